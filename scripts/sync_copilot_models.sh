#!/usr/bin/env bash
# Syncs the Copilot models of a LiteLLM config, for cron: sync_copilot_models.sh [flags of `sync`]
#
# CONFIG_FILE is the config (default: this clone's config.yaml). One run at a time: a second one exits immediately. The
# package makes a backup, checks what it writes, replaces the config atomically, runs COPILOT_VALIDATE on it and
# restores the old one if that fails, and then notifies LiteLLM (COPILOT_ON_CHANGE…). The log is
# logs/copilot_sync.log, or COPILOT_SYNC_LOG. Exit codes: docs/reference.md.
set -euo pipefail
# shellcheck source=scripts/_common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/_common.sh"

# The settings that setup_cron.sh saved for cron, which has no environment of its own.
if [ -n "${COPILOT_CRON_ENV:-}" ]; then
  # shellcheck disable=SC1090
  . "$COPILOT_CRON_ENV"
fi
use_package
export CONFIG_FILE=${CONFIG_FILE:-$root/config.yaml}
mkdir -p "$root/logs"
log_to "${COPILOT_SYNC_LOG:-$root/logs/copilot_sync.log}"

if command -v flock >/dev/null; then
  exec 9>"$root/logs/.copilot_sync.lock"
  if ! flock --nonblock 9; then
    echo "another run is still in progress; exiting"
    exit 0
  fi
fi

echo "syncing $CONFIG_FILE"
code=0
"${sidecar[@]}" sync "$@" || code=$?
case $code in
  0) echo "done" ;;
  1) echo "the config would change" ;;
  6) echo "the config is up to date, but LiteLLM could not be notified (6)" ;;
  *) echo "the sync failed ($code); the config is unchanged" ;;
esac
exit "$code"
