#!/usr/bin/env bash
# Runs the core of tests/litellm on LiteLLM versions: matrix.sh [VERSION...] (all that are listed but the newest)
#
# One after the other, because some tests measure how long requests wait. Goes on when a version fails, says how long each
# took, names those that failed at the end, and writes docs/compatibility.md from what was recorded. The newest version
# has all tests, by scripts/test.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-python3}
if [ $# -eq 0 ]; then
  others=$("$python" scripts/litellm_versions.py --others)
  # shellcheck disable=SC2086  # one word a version
  set -- $others
fi
# A version on which everything hangs must not keep the others from being tried.
export PYTEST_ADDOPTS="${PYTEST_ADDOPTS:-} --session-timeout=900"
failed=()
took=()
for version in "$@"; do
  began=$SECONDS
  code=0
  scripts/test.sh --litellm "$version" --core || code=$?
  took+=("LiteLLM $version: $((SECONDS - began)) s$([ $code -eq 0 ] || echo ", failed ($code)")")
  [ $code -eq 0 ] || failed+=("$version")
done
echo "== matrix"
printf '%s\n' "${took[@]}"
"$python" scripts/compatibility.py
if [ ${#failed[@]} -gt 0 ]; then
  echo "the core does not hold on LiteLLM ${failed[*]}" >&2
  exit 1
fi
