#!/usr/bin/env bash
# Runs all checks and tests: scripts/test.sh [pytest arguments]
#
# Makes a virtual environment (.venv-test, or COPILOT_TEST_VENV) from requirements-test.lock, with the real
# LiteLLM proxy in it. Needs Python 3.11 or newer with venv; no root. The container tests use the Docker
# engine that is there and say why they are skipped where there is none; with CI=true that is a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=${COPILOT_TEST_VENV:-.venv-test}
python=$venv/bin/python
stamp=$venv/.requirements-test.lock
if ! cmp -s requirements-test.lock "$stamp"; then
  echo "== installing what the tests need into $venv"
  "${PYTHON:-python3}" -m venv --clear "$venv"
  "$python" -m pip install -qq --disable-pip-version-check --require-hashes -r requirements-test.lock
  cp requirements-test.lock "$stamp"
fi
export PATH="$PWD/$venv/bin:$PATH"
[ "${venv#/}" = "$venv" ] || export PATH="$venv/bin:$PATH"

if [ $# -eq 0 ]; then
  echo "== checks"
  ruff check .
  ruff format --check .
  mypy
  "$python" scripts/reference.py --check
  git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck
fi

echo "== tests"
exec "$python" -m pytest "$@"
