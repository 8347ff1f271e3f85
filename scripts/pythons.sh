#!/usr/bin/env bash
# Runs unit tests on each Python that is promised and is here: pythons.sh [VERSION...] (3.11 to 3.14)
#
# Some minutes' worth of them, of what needs no LiteLLM, whose image brings its own Python for the hook. Goes on when one
# fails, names those that failed at the end, and writes docs/compatibility.md from what was recorded. All unit tests on
# all of them: .github/workflows/ci.yml.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

[ $# -gt 0 ] || set -- 3.11 3.12 3.13 3.14
lock=requirements-test.lock
tests=(tests/unit/{connect,litellm_proxy,models} tests/unit/test_{commands,settings}.py)
failed=()
for version in "$@"; do
  if ! whole=$("python$version" -c 'import platform; print(platform.python_version())' 2>/dev/null); then
    echo "== there is no python$version here"
    continue
  fi
  echo "== Python $whole"
  venv=.venv-python-$version
  if ! cmp -s "$lock" "$venv/.requirements.lock"; then
    "python$version" -m venv --clear "$venv"
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check --require-hashes -r "$lock"
    cp "$lock" "$venv/.requirements.lock"
  fi
  rm -f "build/compatibility/python-$version".*.xml
  "$venv/bin/python" -m pytest -q "${tests[@]}" -o junit_family=xunit1 \
    --junitxml="build/compatibility/python-$whole.xml" || failed+=("$version")
done
"${PYTHON:-python3}" scripts/compatibility.py
if [ ${#failed[@]} -gt 0 ]; then
  echo "the unit tests do not pass on Python ${failed[*]}" >&2
  exit 1
fi
