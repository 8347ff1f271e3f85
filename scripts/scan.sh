#!/usr/bin/env bash
# Looks for known vulnerabilities, for .github/workflows/security.yml: scan.sh packages | image
#
# packages asks pip-audit about the locked packages; image builds the sidecar image and asks debsecan, Debian's own, about
# the packages that it has and Debian has mended. Both need network access. A finding is an exit code other than 0.
# What LiteLLM pins is shown, but is no failure: it cannot be mended here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages() {
  local venv code=0 lock
  venv=$(mktemp -d)
  "${PYTHON:-python3}" -m venv "$venv"
  "$venv/bin/pip" install -qq --disable-pip-version-check --require-hashes -r tests/k8s/requirements-linters.lock
  for lock in requirements.lock requirements-build.lock requirements-test.lock tests/*/requirements-*.lock; do
    echo "== $lock"
    # Strict: a package that it could not ask about is not one without a finding.
    "$venv/bin/pip-audit" --strict --require-hashes --disable-pip -r "$lock" || code=1
  done
  lock=requirements-litellm/$(scripts/litellm_versions.py --role default).lock
  echo "== $lock (for information)"
  "$venv/bin/pip-audit" --require-hashes --disable-pip -r "$lock" || true
  rm -rf "$venv"
  return "$code"
}

image() {
  local found
  docker build --quiet --pull --tag litellm-copilot-model-sync:scan .
  # debsecan is installed from Debian's signed repository into a container that is thrown away.
  found=$(docker run --rm --user 0 --entrypoint /bin/sh litellm-copilot-model-sync:scan -euc '
    apt-get -qq update
    apt-get -qq install -y --no-install-recommends ca-certificates debsecan >/dev/null
    . /etc/os-release
    debsecan --suite "$VERSION_CODENAME" --only-fixed --format detail')
  if [ -n "$found" ]; then
    printf '%s\n' "$found"
    return 1
  fi
  echo "nothing that Debian has mended is missing"
}

case ${1:-} in
  packages) packages ;;
  image) image ;;
  *)
    echo "usage: scripts/scan.sh packages | image" >&2
    exit 2
    ;;
esac
