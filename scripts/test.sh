#!/usr/bin/env bash
# Runs checks and tests: scripts/test.sh [--all] [--checks] [--litellm VERSION] [--core] [--install] [pytest arguments]
#
# Without arguments: all checks, and the tests that need neither engine nor cluster; of LiteLLM what has to hold on every
# version and does not take long. Three minutes or so on two cores. With --all: all checks and all tests, also those that
# measure under load. Both with the newest LiteLLM of requirements-litellm/versions.txt. With --litellm: tests/litellm on
# that version, also what only the nightly run has time for (`lock_litellm.sh VERSION` first, if it has no lock yet). With
# --core: only what has to hold on every version, and nothing that measures. Each version has an environment of its own,
# .venv-litellm-VERSION (or COPILOT_TEST_VENV). Needs Python 3.11 or newer with venv; no root. The container tests use the
# Docker engine that is there and say why they are skipped where there is none; with CI=true that is a failure. Tests run
# beside one another, in COPILOT_TEST_WORKERS processes, but for those marked `alone`, which come last; pytest arguments
# that are given here are followed as they stand. Runs of a version as a whole leave in build/compatibility what
# scripts/compatibility.py makes a page of. With --install: makes the environment, and runs nothing. With --checks: the
# checks alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/_uv.sh
. scripts/_uv.sh

checks=$([ $# -eq 0 ] && echo yes || true)
all='' version='' core='' install='' alone=''
while [ $# -gt 0 ]; do
  case $1 in
    --all) all=yes checks=yes && shift ;;
    --checks) checks=yes alone=yes && shift ;;
    --litellm) version=${2:?--litellm needs a version, like 1.108.14} && shift 2 ;;
    --litellm=*) version=${1#*=} && shift ;;
    --core) core=yes && shift ;;
    --install) install=yes && shift ;;
    *) break ;;
  esac
done
whole=$([ $# -eq 0 ] && echo yes || true)
if [ -n "$version$core" ]; then
  # tests/litellm, unless the arguments name tests.
  named=''
  for word in "$@"; do
    if [ -e "${word%%::*}" ]; then named=yes; fi
  done
  [ -n "$named" ] || set -- tests/litellm "$@"
fi
[ -n "$version" ] || version=$("${PYTHON:-python3}" scripts/litellm_versions.py --role newest)

lock=requirements-litellm/$version.lock
if [ ! -r "$lock" ]; then
  echo "test.sh: there is no $lock; make it with scripts/lock_litellm.sh $version" >&2
  exit 2
fi
venv=${COPILOT_TEST_VENV:-.venv-litellm-$version}
python=$venv/bin/python
stamp=$venv/.requirements.lock
if ! cmp -s "$lock" "$stamp"; then
  use_uv
  echo "== installing LiteLLM $version and what the tests need into $venv"
  "${PYTHON:-python3}" -m venv --clear --without-pip "$venv"
  # Without dependencies: the lock is complete, and some releases pin builds that not every index holds. Compiled once
  # here, because the tests start LiteLLM very often, and Python may be told not to write compiled files.
  "$uv" pip install --quiet --compile-bytecode --python "$python" --require-hashes --no-deps -r "$lock"
  cp "$lock" "$stamp"
fi
[ -z "$install" ] || exit 0
export PATH="$PWD/$venv/bin:$PATH"
[ "${venv#/}" = "$venv" ] || export PATH="$venv/bin:$PATH"

if [ -n "$checks" ]; then
  echo "== checks"
  ruff check .
  ruff format --check .
  mypy
  "$python" scripts/structure.py --check
  "$python" scripts/reference.py --check
  "$python" scripts/messages.py --check
  "$python" scripts/compatibility.py --check
  git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck
fi
[ -z "$alone" ] || exit 0

echo "== tests with LiteLLM $version"
if [ -z "$whole" ]; then
  [ -z "$core" ] || set -- -m core "$@"
  exec "$python" -m pytest "$@"
fi

workers=${COPILOT_TEST_WORKERS:-$(($(getconf _NPROCESSORS_ONLN) + 1))} # one more, because much of it is waiting
set -- --durations=15 "$@"
if [ -n "$checks" ] && [ -z "$all" ]; then
  exec "$python" -m pytest -n "$workers" -m "(core or not litellm) and not (long or alone or containers or cluster)" "$@"
fi
export COPILOT_TEST_RESULTS=${COPILOT_TEST_RESULTS:-$PWD/build/compatibility}
rm -f "$COPILOT_TEST_RESULTS/$version.jsonl"
later=${all:+ and not nightly}
code=0
"$python" -m pytest -n "$workers" -m "${core:+core and }not alone$later" "$@" || code=$?
[ -z "$core" ] || exit "$code"
echo "== those that measure, one by one"
mapfile -t measuring < <(grep -rlE --include='test_*.py' 'mark\.alone|"alone"' tests)
"$python" -m pytest -m "alone$later" "$@" "${measuring[@]}" || code=$?
exit "$code"
