#!/bin/sh
# What the sidecar container runs when it starts: PID 1 becomes the program itself, as the right user.
#
# The access token is 0600 and belongs to whoever logged in: the image's user, root, or a user of the
# host whose directory is mounted. Started as root (as the compose file does, with a handful of
# capabilities), this becomes the token's owner, so that the file can be read as it is, and drops
# everything else. Started as any other user (Kubernetes), it changes nothing.
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
  # The models file is replaced by renaming, for which owning the directory is enough.
  if [ -d "$shared" ] && [ -w "$shared" ]; then
    chown "$owner:$group" "$shared"
  fi
  exec setpriv --reuid="$owner" --regid="$group" --clear-groups --inh-caps=-all --bounding-set=-all \
    -- /venv/bin/python -m sidecar "$@"
fi

exec /venv/bin/python -m sidecar "$@"
