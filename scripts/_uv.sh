# shellcheck shell=bash
# Finds uv, the installer, for the scripts in this directory. They source it with the clone as the working directory.

# Sets uv: the one on PATH, or the one pinned in requirements-test.lock, in its own virtual environment (.venv-uv).
use_uv() {
  uv=$(command -v uv || true)
  [ -z "$uv" ] || return 0
  uv=.venv-uv/bin/uv
  local pinned
  pinned=$(sed -n '/^uv==/,/[^\\]$/p' requirements-test.lock)
  if [ ! -x "$uv" ] || [ "$pinned" != "$(cat .venv-uv/.pinned 2>/dev/null)" ]; then
    echo "== installing uv into .venv-uv" >&2
    "${PYTHON:-python3}" -m venv --clear .venv-uv
    printf '%s\n' "$pinned" >.venv-uv/pinned.txt
    .venv-uv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r .venv-uv/pinned.txt
    mv .venv-uv/pinned.txt .venv-uv/.pinned
  fi
}
