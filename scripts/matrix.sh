#!/usr/bin/env bash
# Runs the core of tests/litellm on LiteLLM versions: matrix.sh [VERSION...] (all that are listed but the newest)
#
# Goes on when a version fails, says how long each took, names those that failed at the end, and writes
# docs/compatibility.md from what was recorded. The newest version has all tests, by scripts/test.sh --all.
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
took=() failed=()
while [ $# -gt 0 ]; do
  version=$1 began=$SECONDS
  shift
  # The next one is installed while this one's tests wait. If that fails, its own run says so.
  if [ $# -gt 0 ] && [ -z "${COPILOT_TEST_VENV:-}" ]; then
    scripts/test.sh --litellm "$version" --install || true
    nice scripts/test.sh --litellm "$1" --install >/dev/null 2>&1 &
  fi
  scripts/test.sh --litellm "$version" --core || failed+=("$version")
  wait
  took+=("LiteLLM $version: $((SECONDS - began)) s")
done
echo "== matrix"
printf '%s\n' "${took[@]}"
"$python" scripts/compatibility.py
if [ ${#failed[@]} -gt 0 ]; then
  echo "the core does not hold on LiteLLM ${failed[*]}" >&2
  exit 1
fi
