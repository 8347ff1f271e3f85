#!/usr/bin/env bash
# Installs the clients that tests/clients runs, from their locks: install.sh [PLACE] (default: build/clients).
#
# Does nothing where they are there already. With AIDER=true also aider, which takes long and is tested every night only.
# Needs npm, and Python with pip and venv ($PYTHON).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
place=${1:-$here/../../build/clients}
mkdir -p "$place"
place=$(cd "$place" && pwd)
python=${PYTHON:-python3}

# Runs the rest of its arguments in an empty directory $place/$1, unless it was made from the same lock $2.
once() {
  local name=$1 lock=$2
  shift 2
  if cmp -s "$lock" "$place/.$name.lock"; then return; fi
  rm -rf "${place:?}/$name"
  mkdir "$place/$name"
  (cd "$place/$name" && "$@")
  cp "$lock" "$place/.$name.lock"
}

from_npm() {
  cp "$here/package.json" "$here/package-lock.json" .
  # The packages bring their programs with them; no script of theirs is run.
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
}

from_pypi() {
  "$python" -m pip install -qq --disable-pip-version-check --require-hashes --target . \
    -r "$here/requirements-clients.lock"
}

aider() {
  "$python" -m venv .
  bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r "$here/aider.lock"
}

once npm "$here/package-lock.json" from_npm
once python "$here/requirements-clients.lock" from_pypi
if [ "${AIDER:-}" = true ]; then once aider "$here/aider.lock" aider; fi
