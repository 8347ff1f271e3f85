#!/usr/bin/env bash
# Runs the core of tests/litellm on LiteLLM versions: matrix.sh [VERSION...] (all that are listed but the newest)
#
# Two at a time: nothing in the core measures how long requests wait. What each says is shown when
# it is done. Goes on when a version fails, says how long each took, names those that failed at the end, and writes
# docs/compatibility.md from what was recorded. The newest version has all tests, by scripts/test.sh.
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
mkdir -p build
run() {
  local began=$SECONDS code=0
  scripts/test.sh --litellm "$1" --core >"build/matrix-$1.log" 2>&1 || code=$?
  cat "build/matrix-$1.log"
  echo "LiteLLM $1: $((SECONDS - began)) s$([ $code -eq 0 ] || echo ", failed ($code)")" >"build/matrix-$1.took"
}
export -f run
# uv is made once, before two runs could want to make it.
# shellcheck source=scripts/_uv.sh
. scripts/_uv.sh
use_uv
# shellcheck disable=SC2016  # the inner shell expands it
printf '%s\0' "$@" | xargs -0 -n 1 -P 2 bash -c 'run "$1"' _
echo "== matrix"
failed=()
for version in "$@"; do
  cat "build/matrix-$version.took"
  if grep -q failed "build/matrix-$version.took"; then failed+=("$version"); fi
done
"$python" scripts/compatibility.py
if [ ${#failed[@]} -gt 0 ]; then
  echo "the core does not hold on LiteLLM ${failed[*]}" >&2
  exit 1
fi
