#!/usr/bin/env bash
# Syncs the Copilot models of a LiteLLM config, for cron: sync_copilot_models.sh [flags of `sync`]
#
# CONFIG_FILE is the config (default: config.yaml in the current directory). One run at a time: a second one exits
# immediately. The package makes a backup, checks what it writes, replaces the config atomically, runs COPILOT_VALIDATE
# on it and restores the old one if that fails, and then notifies LiteLLM (COPILOT_ON_CHANGE…). The log is
# logs/copilot_sync.log in the clone, or COPILOT_SYNC_LOG. Exit codes: docs/reference.md.
set -euo pipefail
# shellcheck source=scripts/_common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/_common.sh"
log=${COPILOT_SYNC_LOG:-$root/logs/copilot_sync.log}
mkdir -p "$root/logs"

# What fails before there is a Python that keeps the log: cron shows it to nobody.
early() { (umask 077 && tee -a "$log" >&2); }

# The settings that setup_cron.sh saved for cron, which has no environment of its own.
if [ -n "${COPILOT_CRON_ENV:-}" ]; then
  # shellcheck disable=SC1090
  if [ ! -r "$COPILOT_CRON_ENV" ] || ! . "$COPILOT_CRON_ENV"; then
    echo "sync_copilot_models.sh: cron's settings, $COPILOT_CRON_ENV, cannot be read or name a directory that is gone
  Run scripts/setup_cron.sh again, with CONFIG_FILE and what else you set; nothing was changed." | early
    exit 2
  fi
fi
if ! use_package 2> >(early); then
  wait "$!" || true
  exit 2
fi
export CONFIG_FILE=${CONFIG_FILE:-$PWD/config.yaml}
log_to "$log"

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
  6) echo "the config is up to date, but LiteLLM could not be notified (6)" ;;
  *)
    if [ "$code" = 1 ] && [[ " $* " = *" --dry-run "* ]]; then
      echo "the config would change"
    else
      echo "the sync failed ($code); the config is unchanged"
    fi
    ;;
esac
exit "$code"
