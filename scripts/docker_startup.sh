#!/usr/bin/env bash
# Runs everything in one container or on one machine: docker_startup.sh [arguments of litellm]
#
# Checks the login (and shows a code to enter if there is none), syncs, starts the background sync, and starts LiteLLM
# with the hook, which follows the models without a restart. Signals are forwarded to both, and the script waits for
# both. The exit code is LiteLLM's. The log is logs/startup.log.
#
# LITELLM_CONFIG is LiteLLM's config (default: CONFIG_FILE, or config.yaml in the current directory). It is not changed:
# the models come from COPILOT_MODELS_FILE (/shared/copilot_models.yaml). LITELLM names the program.
# GITHUB_COPILOT_TOKEN_DIR must be writable for the login.
set -euo pipefail
# shellcheck source=scripts/_common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/_common.sh"
use_package
mkdir -p "$root/logs"
log_to "${COPILOT_STARTUP_LOG:-$root/logs/startup.log}"

config=${LITELLM_CONFIG:-${CONFIG_FILE:-$PWD/config.yaml}}
unset CONFIG_FILE
export COPILOT_MODELS_FILE=${COPILOT_MODELS_FILE:-/shared/copilot_models.yaml}
litellm_program=${LITELLM:-litellm}
again_after=10

say() { echo "docker_startup.sh: $*"; }

if ! command -v "$litellm_program" >/dev/null; then
  say "$litellm_program: command not found"
  say "install LiteLLM ($python -m pip install 'litellm[proxy]'), or set LITELLM to its path"
  exit 2
fi
if [ ! -r "$config" ]; then
  say "LiteLLM's config $config cannot be read"
  say "run this in the directory of your config.yaml, or set LITELLM_CONFIG; $root/config.yaml is one to begin with"
  exit 2
fi
if ! mkdir -p "$(dirname "$COPILOT_MODELS_FILE")"; then
  say "set COPILOT_MODELS_FILE to a path in a writable directory"
  exit 5
fi

# While the programs run one after the other, a signal goes to the running one and terminates this script.
stopping=
running=
litellm=
background=
# shellcheck disable=SC2317,SC2329  # called by the traps
forward() {
  stopping=$1
  local process
  for process in $running $litellm $background; do
    kill -s "$1" "$process" 2>/dev/null || true
  done
}
trap 'forward TERM' TERM
trap 'forward INT' INT
trap 'forward TERM' HUP

# Runs a program until it exits, even if a signal arrives.
follow() {
  local code=0
  "$@" &
  running=$!
  while true; do
    code=0
    wait "$running" || code=$?
    kill -0 "$running" 2>/dev/null || break
  done
  running=
  if [ -n "$stopping" ]; then
    say "terminated by SIG$stopping"
    [ "$stopping" = INT ] && exit 130
    exit 143
  fi
  return "$code"
}

say "checking the login"
follow "${sidecar[@]}" login || exit $?
follow "${sidecar[@]}" prepare
on_startup=${SYNC_COPILOT_MODELS_ON_STARTUP:-true}
if [ "$on_startup" = true ]; then
  say "syncing"
  # If this succeeds, the background sync need not sync at startup.
  if follow "${sidecar[@]}" sync; then on_startup=false; else say "the first sync failed; the background sync keeps retrying"; fi
fi

start_background() {
  SYNC_COPILOT_MODELS_ON_STARTUP=$1 "${sidecar[@]}" run &
  background=$!
}

start_background "$on_startup"
say "starting LiteLLM"
# `prepare` has placed the hook next to the models file.
LITELLM_WORKER_STARTUP_HOOKS=litellm_hot_reload:start \
  PYTHONPATH=$(dirname "$COPILOT_MODELS_FILE")${PYTHONPATH:+:$PYTHONPATH} \
  "$litellm_program" --config "$config" "$@" &
litellm=$!

code=0
while true; do
  code=0
  # Returns when either exits, or on a signal.
  wait -n "$litellm" ${background:+"$background"} || code=$?
  if ! kill -0 "$litellm" 2>/dev/null; then
    code=0
    wait "$litellm" || code=$?
    break
  fi
  if [ -z "$stopping" ] && [ -n "$background" ] && ! kill -0 "$background" 2>/dev/null; then
    say "the background sync has exited ($code); restarting it in $again_after s, LiteLLM keeps serving"
    SECONDS=0
    while [ -z "$stopping" ] && [ $SECONDS -lt $again_after ] && kill -0 "$litellm" 2>/dev/null; do sleep 0.5; done
    background=
    [ -n "$stopping" ] || start_background true
  fi
  # A program that has exited must not be waited for again.
  if [ -n "$stopping" ] && [ -n "$background" ] && ! kill -0 "$background" 2>/dev/null; then background=; fi
done
say "LiteLLM has exited ($code)"
if [ -n "$background" ]; then
  kill -s TERM "$background" 2>/dev/null || true
  wait "$background" || true
fi
exit "$code"
