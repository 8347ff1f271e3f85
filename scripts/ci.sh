#!/usr/bin/env bash
# One job of .github/workflows/ci.yml, on any Debian or Ubuntu: ci.sh JOB
#
#   lists                what the jobs below are for, as outputs of a step: LiteLLM versions and Kubernetes minors
#   checks               all checks, and the tests of scripts, manifests, alerts and clients
#   unit                 the unit tests, and faults and doors: what has to hold on every Python
#   litellm VERSION      the real proxy: everything on the newest version, the core on the others
#   browser              the status page in Chromium
#   containers           the compose files on the Docker engine that is there
#   kubernetes MINOR     the manifests on a kind cluster of that minor: tests/k8s/kind-nodes.txt
#
# Installs what a job lacks, with sudo where it has to. A tool that is missing is a failure, not a skipped test.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/_tools.sh
. scripts/_tools.sh
export CI=true DEBIAN_FRONTEND=noninteractive
nodes=tests/k8s/kind-nodes.txt
kind=0.33.0 kind_sha256=aee6151561422756b764a4ae28e7f44cda5af5a9eead3cc9985112b1de8d8e0d

# Installs Debian's packages whose command is missing: COMMAND:PACKAGE …
need() {
  local pair missing=()
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  as_root apt-get -qq update
  as_root apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
}

# Tests of a directory or more, but for those that only the nightly run has time for.
run() {
  scripts/test.sh -n "$(getconf _NPROCESSORS_ONLN)" -m "not nightly and not alone" "$@"
}

# JSON of the first words of lines.
list() {
  python3 -c 'import json, sys; print(json.dumps([line.split()[0] for line in sys.stdin if line[0].isdigit()]))'
}

kubernetes() {
  local node
  node=$(awk -v minor="$1" '$1 == minor { print $2 }' "$nodes")
  if [ -z "$node" ]; then
    echo "ci.sh: $nodes has no Kubernetes $1" >&2
    exit 2
  fi
  export PATH=$cache/copilot-kind-$kind:$PATH
  if [ ! -x "$cache/copilot-kind-$kind/kind" ]; then
    mkdir -p "$cache/copilot-kind-$kind"
    curl -fsSL --retry 3 -o "$cache/kind" "https://github.com/kubernetes-sigs/kind/releases/download/v$kind/kind-linux-amd64"
    echo "$kind_sha256  $cache/kind" | sha256sum --check --quiet
    install "$cache/kind" "$cache/copilot-kind-$kind/kind"
  fi
  kind create cluster --name copilot --image "$node" --wait 180s
  trap 'kind delete cluster --name copilot' EXIT
  # The one that fits this Kubernetes.
  docker cp copilot-control-plane:/usr/bin/kubectl "$cache/copilot-kind-$kind/kubectl"
  docker pull --quiet "${BASE_IMAGE:-python:3.13-slim}"
  docker pull --quiet "$(scripts/litellm_versions.py --image)"
  # Without CI: what has to stop the processes of the control plane cannot be had with kind, and says so as it is skipped.
  CI='' COPILOT_TEST_K8S=1 scripts/test.sh tests/k8s -m cluster -rs
}

case ${1:-} in
  lists)
    printf 'litellm=%s\n' "$(scripts/litellm_versions.py | list)"
    printf 'kubernetes=%s\n' "$(list <"$nodes")"
    ;;
  checks)
    need cron:cron strace:strace faketime:faketime openssl:openssl npm:npm
    use_linters
    use_clients
    use_prometheus
    scripts/test.sh --checks
    run tests/scripts tests/monitoring tests/clients tests/k8s/test_manifests.py
    ;;
  unit)
    need strace:strace faketime:faketime openssl:openssl
    run tests/unit tests/faults tests/fuzz
    ;;
  litellm)
    need strace:strace faketime:faketime npm:npm
    [ -e /usr/lib/postgresql ] || need postgres:postgresql
    version=${2:?litellm needs a version, like 1.108.14}
    others=$(scripts/litellm_versions.py --others)
    core=()
    ! grep -qxF "$version" <<<"$others" || core=(--core)
    scripts/test.sh --litellm "$version" "${core[@]}"
    ;;
  browser)
    need chromium:chromium npm:npm
    use_linters
    use_browser
    run tests/browser
    ;;
  containers)
    run tests/containers
    ;;
  kubernetes) kubernetes "${2:?kubernetes needs a minor, like 1.29}" ;;
  *)
    sed -n '2,/^#$/p;/^#   /p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
