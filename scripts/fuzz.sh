#!/usr/bin/env bash
# Fuzzes the doors through which other people's bytes come in, guided by coverage: fuzz.sh [SECONDS]
#
# Each door of tests/fuzz/doors.py in turn, from the corpus in tests/fuzz/corpus: for SECONDS each, or, without, a number
# of inputs that takes some twenty seconds, the same each time. Needs Python 3.11 to 3.13; atheris gets an environment of
# its own, .venv-fuzz. An input that a door does not hold against is left in build/fuzz and ends the run with an error:
# mend the code, and keep the input in the corpus. New inputs that reach new code are left in build/fuzz/DOOR.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/_uv.sh
. scripts/_uv.sh

lock=tests/fuzz/requirements-fuzz.lock
venv=.venv-fuzz
if ! cmp -s "$lock" "$venv/.requirements.lock"; then
  use_uv
  echo "== installing what the fuzzers need into $venv"
  "${PYTHON:-python3}" -m venv --clear "$venv"
  "$uv" pip install --quiet --python "$venv/bin/python" --require-hashes --no-deps -r "$lock"
  cp "$lock" "$venv/.requirements.lock"
fi

declare -A inputs=([edit]=2000 [reader]=20000)
code=0
for door in "${!inputs[@]}"; do
  limit=(-runs="${inputs[$door]}" -seed=1)
  if [ $# -gt 0 ]; then limit=(-max_total_time="${1:?}"); fi
  echo "== fuzzing $door"
  mkdir -p "build/fuzz/$door"
  # What is too slow (-timeout, seconds) or too large (-rss_limit_mb) for a few kilobytes is a failure too.
  "$venv/bin/python" -m tests.fuzz.run "$door" "${limit[@]}" -max_len=4096 -timeout=60 -rss_limit_mb=2048 \
    -artifact_prefix="build/fuzz/$door-" -print_final_stats=1 -verbosity=0 \
    "build/fuzz/$door" "tests/fuzz/corpus/$door" 2>&1 | sed '/^INFO: Instrumenting/d' || code=$?
done
exit "$code"
