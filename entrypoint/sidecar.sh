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
  token=$tokens/${GITHUB_COPILOT_ACCESS_TOKEN_FILE:-access-token}
  [ -e "$token" ] || token=$tokens/github_token.json
  [ -e "$token" ] || token=$tokens
  if [ ! -e "$token" ]; then
    echo "sidecar: $tokens does not exist; mount the token directory there" >&2
    exit 2
  fi
  owner=$(stat -L -c %u "$token")
  group=$(stat -L -c %g "$token")
  # The models file is replaced by a rename, which only needs ownership of the directory.
  if [ -d "$shared" ] && [ -w "$shared" ]; then
    chown "$owner:$group" "$shared"
  fi
  # shellcheck disable=SC2086  # lists of options
  {
    become="setpriv --reuid=$owner --regid=$group --clear-groups"
    rights='--inh-caps=-all --bounding-set=-all'
    closed=false
    for file in "$token" "${COPILOT_ALIASES_FILE:-}" "${COPILOT_OVERRIDES_FILE:-}"; do
      if [ -e "$file" ] && ! $become $rights test -r "$file"; then closed=true; fi
    done
    if [ "${1:-}" = login ] && ! $become $rights test -w "$tokens"; then closed=true; fi
    # For a token in another user's private directory, or a clone made with umask 077, this one capability
    # is kept: to read them, and for the login to replace the token.
    if $closed; then
      rights='--inh-caps=-all,+dac_override --ambient-caps=-all,+dac_override --bounding-set=-all,+dac_override'
    fi
    exec $become $rights -- /venv/bin/python -m sidecar "$@"
  }
fi

exec /venv/bin/python -m sidecar "$@"
