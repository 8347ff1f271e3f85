#!/bin/sh
# The sidecar container's entry point: PID 1 becomes the program itself, running as the right user.
#
# The access token is 0600 and belongs to whoever logged in: the image's user, root, or a host user whose
# directory is mounted. When started as root (as in the compose file, with a handful of capabilities), this
# script switches to the token's owner, so that the file can be read as it is, and drops everything else.
# When started as any other user (Kubernetes), it changes nothing.
set -eu
umask 077

if [ "$(id -u)" -eq 0 ]; then
  tokens=${GITHUB_COPILOT_TOKEN_DIR:-/github_auth}
  shared=$(dirname "${COPILOT_MODELS_FILE:-/shared/copilot_models.yaml}")
  key=${LITELLM_MASTER_KEY_FILE:-}
  token=$tokens/${GITHUB_COPILOT_ACCESS_TOKEN_FILE:-access-token}
  [ -e "$token" ] || token=$tokens/github_token.json
  [ -e "$token" ] || token=$tokens
  if [ ! -e "$token" ]; then
    echo "sidecar: $tokens does not exist; mount the token directory there" >&2
    exit 2
  fi
  owner=$(stat -L -c %u "$token")
  group=$(stat -L -c %g "$token")
  # Both are written by renaming a file, which only needs ownership of the directory. The key stays readable if the
  # token's owner changes. Whatever is mounted read-only is left alone; if it is needed, the program says so.
  for path in "$shared" ${key:+"$(dirname "$key")" "$key"}; do
    if [ -e "$path" ]; then chown -h "$owner:$group" "$path" 2>/dev/null || true; fi
  done
  # For `run`: whatever it exits with, it is started again, and comes by here.
  export SIDECAR_SUPERVISED=1
  # shellcheck disable=SC2086  # lists of options
  {
    become="setpriv --reuid=$owner --regid=$group --clear-groups"
    rights='--inh-caps=-all --bounding-set=-all'
    kept=''
    for file in "$token" "${COPILOT_ALIASES_FILE:-}" "${COPILOT_OVERRIDES_FILE:-}"; do
      if [ -e "$file" ] && ! $become $rights test -r "$file"; then kept=dac_read_search; fi
    done
    if { [ "${1:-}" = login ] || [ "${1:-}" = logout ]; } && { [ -n "$kept" ] || ! $become $rights test -w "$tokens"; }; then kept=dac_override; fi
    # For a file in another user's private directory, or a clone made with umask 077, one capability is kept: to read
    # them, and in the one-shot login or logout, which alone has the directory writable, to replace or remove the token.
    if [ -n "$kept" ]; then
      rights="--inh-caps=-all,+$kept --ambient-caps=-all,+$kept --bounding-set=-all,+$kept"
    fi
    exec $become $rights -- /venv/bin/python -m sidecar "$@"
  }
fi

exec /venv/bin/python -m sidecar "$@"
