#!/usr/bin/env bash
# Locks the test dependencies for a LiteLLM version: lock_litellm.sh VERSION... | --all | --latest
#
# Writes requirements-litellm/VERSION.lock: that LiteLLM proxy, the packages in requirements-test.in, and all their
# dependencies, with hashes, for Python 3.11 and newer. --all does this for each version in
# requirements-litellm/versions.txt; --latest for the newest release on the package index, whose number it prints.
# Other output goes to stderr.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/_uv.sh
. scripts/_uv.sh

if [ $# -eq 0 ]; then
  echo "usage: scripts/lock_litellm.sh VERSION... | --all | --latest" >&2
  exit 2
fi
use_uv
case $1 in
  --all)
    mapfile -t versions < <("${PYTHON:-python3}" scripts/litellm_versions.py)
    [ ${#versions[@]} -gt 0 ] || exit 2
    ;;
  --latest)
    versions=("$(echo litellm | "$uv" pip compile --quiet --no-deps --no-header --no-annotate --upgrade - | sed -n 's/^litellm==//p')")
    echo "${versions[0]}"
    ;;
  *) versions=("$@") ;;
esac

known=$("${PYTHON:-python3}" scripts/litellm_versions.py)
for version in "${versions[@]}"; do
  if ! [[ $version =~ ^[0-9]+(\.[0-9]+)+[a-z0-9.]*$ ]]; then
    echo "lock_litellm.sh: '$version' is not a LiteLLM version such as 1.108.14" >&2
    exit 2
  fi
  printf -- '-r requirements-test.in\nlitellm[proxy]==%s\nprisma\n' "$version" |
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
      --no-emit-index-url --no-emit-find-links --constraints requirements-test.lock \
      --overrides requirements-litellm/overrides.txt - --output-file "requirements-litellm/$version.lock" >/dev/null
  echo "wrote requirements-litellm/$version.lock" >&2
  if ! grep -qxF "$version" <<<"$known"; then
    echo "  To have it tested, add a line to requirements-litellm/versions.txt" >&2
  fi
done
