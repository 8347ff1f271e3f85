# shellcheck shell=bash
# What the shell scripts beside this file share. Sourced by them; `root` is the clone.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Says which Python has the packages that the sidecar needs: COPILOT_PYTHON, the clone's .venv, or what is on PATH.
find_python() {
  local candidate
  for candidate in "${COPILOT_PYTHON:-}" "$root/.venv/bin/python" python3 python; do
    if [ -n "$candidate" ] && "$candidate" -c 'import requests, yaml, tenacity, pythonjsonlogger' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
    if [ -n "$candidate" ] && [ "$candidate" = "${COPILOT_PYTHON:-}" ]; then
      echo "COPILOT_PYTHON=$candidate does not run, or lacks what requirements.lock lists" >&2
      return 2
    fi
  done
  echo "no Python with the packages of requirements.lock was found" >&2
  echo "  Make one: python3 -m venv $root/.venv && $root/.venv/bin/pip install -r $root/requirements.lock" >&2
  return 2
}

# Sets python, and sidecar: the words that run a command of the package, whatever the working directory.
use_package() {
  python=$(find_python)
  # shellcheck disable=SC2034  # for who sources this
  sidecar=(env "PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}" "$python" -m sidecar)
}

# From here on everything that is written goes to the file too, which rotates by itself.
log_to() {
  exec 3>&1 4>&2
  exec > >(PYTHONPATH=$root exec "$python" -m sidecar.logs "$1") 2>&1
  logger=$!
  trap 'log_end' EXIT
}

# Ends the copying; what was written is in the file then.
log_end() {
  exec 1>&3 2>&4
  wait "$logger" 2>/dev/null || true
}
