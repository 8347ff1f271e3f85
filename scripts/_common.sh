# shellcheck shell=bash
# Shared by the shell scripts in this directory, which source it. `root` is the clone.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Prints the first Python that has the packages the sidecar needs: COPILOT_PYTHON, the clone's .venv, or one on PATH.
# With -P, here and below, because without it Python takes modules from the working directory, which may be anybody's.
find_python() {
  local candidate
  for candidate in "${COPILOT_PYTHON:-}" "$root/.venv/bin/python" python3 python; do
    if [ -n "$candidate" ] && "$candidate" -P -c 'import requests, yaml, tenacity, pythonjsonlogger' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
    if [ -n "$candidate" ] && [ "$candidate" = "${COPILOT_PYTHON:-}" ]; then
      echo "COPILOT_PYTHON=$candidate does not run, is older than 3.11, or lacks the packages of requirements.lock" >&2
      return 2
    fi
  done
  echo "no Python with the packages of requirements.lock was found" >&2
  echo "  Create one: python3 -m venv $root/.venv && $root/.venv/bin/pip install -r $root/requirements.lock" >&2
  return 2
}

# Sets python, and sidecar: the command line that runs the package from any working directory.
use_package() {
  python=$(find_python)
  # shellcheck disable=SC2034  # used by the sourcing script
  sidecar=(env "PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}" "$python" -P -m sidecar)
}

# From here on, all output also goes to the file, which is rotated.
log_to() {
  exec 3>&1 4>&2
  exec > >(PYTHONPATH=$root exec "$python" -P -m sidecar.logs "$1") 2>&1
  logger=$!
  trap 'log_end' EXIT
}

# Stops the copying, once everything written so far is in the file.
log_end() {
  exec 1>&3 2>&4
  wait "$logger" 2>/dev/null || true
}
