# shellcheck shell=bash
# Shared by the shell scripts in this directory, which source it first. `root` is the clone.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# --help shows the comment at the script's top, and nothing else is done.
for word in "$@"; do
  case $word in
    --help | -h)
      sed -n '2,$ { /^#/!q; s/^# \{0,1\}//p; }' "$0"
      exit 0
      ;;
  esac
done

# Prints the first Python that has the packages the sidecar needs: COPILOT_PYTHON, the clone's .venv, or one on PATH.
# With -P, here and below, because without it Python takes modules from the working directory, which may be anybody's.
# Pythons before 3.11 do not know it.
find_python() {
  local candidate found problem='' cure='Install Python 3.11 or newer, or set COPILOT_PYTHON to its path.'
  for candidate in "${COPILOT_PYTHON:-}" "$root/.venv/bin/python" python3 python; do
    [ -n "$candidate" ] || continue
    found=$(command -v "$candidate") || found=''
    if [ -z "$found" ]; then
      [ "$candidate" != "${COPILOT_PYTHON:-}" ] || problem="COPILOT_PYTHON=$candidate does not run"
    elif ! "$found" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      problem=${problem:-"Python 3.11 or newer is needed, and $found is older"}
    elif "$found" -P -c 'import requests, yaml, tenacity, pythonjsonlogger' 2>/dev/null; then
      echo "$found"
      return
    elif [[ $cure != *venv* ]]; then
      problem="$found lacks the packages of requirements.lock"
      # Never into the system's Python, which belongs to its package manager.
      cure=$(printf 'Give them an environment of their own: %q -m venv %q && %q install --require-hashes -r %q\n' \
        "$found" "$root/.venv" "$root/.venv/bin/pip" "$root/requirements.lock")
      cure+=$'\n  (on Debian and Ubuntu, `apt install python3-venv` first)'
    fi
    [ "$candidate" != "${COPILOT_PYTHON:-}" ] || break
  done
  printf '%s: %s\n  %s\n' "${0##*/}" "${problem:-there is no Python}" "$cure" >&2
  return 2
}

# Sets python, and sidecar: the command line that runs the package from any working directory.
use_package() {
  python=$(find_python) || return
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
