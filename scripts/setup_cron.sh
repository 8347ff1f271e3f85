#!/usr/bin/env bash
# Makes cron run sync_copilot_models.sh: COPILOT_MODEL_SYNC_INTERVAL=60 setup_cron.sh [--remove | --show]
#
# The interval is in MINUTES here (in `run` and docker_startup.sh it is seconds). CONFIG_FILE is the config (default:
# config.yaml in the current directory). Installs, updates or removes one line in this user's crontab; all other lines
# are left alone. --show prints the line and changes nothing. The settings in the current environment (CONFIG_FILE,
# COPILOT_…, GITHUB_COPILOT_…, proxies, CA certificates) are saved in .cron.env (0600) in the clone for cron, which has
# none; access tokens in environment variables are not. Run again, it keeps what it has saved, the interval and the
# directory too, and changes what the environment sets anew. The log is logs/cron_sync.log in the clone.
set -euo pipefail
# shellcheck source=scripts/_common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/_common.sh"
mark="# copilot-model-sync $root"
env_file=$root/.cron.env

refuse() {
  echo "setup_cron.sh: $1" >&2
  echo "  $2" >&2
  exit "${3:-2}"
}

# Quotes a word for sh. % is escaped because cron would end the command there.
quoted() {
  printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g; s/%/\\\\%/g")"
}

# The five fields for every $1 minutes. The minute depends on the host name, so that installations are spread out.
schedule() {
  local n=$1 minute hour
  minute=$(($(hostname | cksum | cut -d' ' -f1) % 60))
  hour=$((minute % 24))
  if [ "$n" -eq 0 ]; then
    return 1
  elif [ "$n" -eq 1 ]; then
    echo "* * * * *"
  elif [ "$n" -lt 60 ] && [ $((60 % n)) -eq 0 ]; then
    echo "$((minute % n))-59/$n * * * *"
  elif [ "$n" -eq 60 ]; then
    echo "$minute * * * *"
  elif [ "$n" -lt 1440 ] && [ $((n % 60)) -eq 0 ] && [ $((1440 % n)) -eq 0 ]; then
    echo "$minute $((hour % (n / 60)))-23/$((n / 60)) * * *"
  elif [ "$n" -eq 1440 ]; then
    echo "$minute $hour * * *"
  elif [ "$n" -eq 10080 ]; then
    echo "$minute $hour * * 0"
  else
    return 1
  fi
}

# The interval of $1 minutes in words, so that minutes are not taken for seconds.
words() {
  local n=$1
  if [ "$n" -gt 1440 ] && [ $((n % 1440)) -eq 0 ]; then
    echo "every $n minutes ($((n / 1440)) days)"
  elif [ "$n" -gt 60 ] && [ $((n % 60)) -eq 0 ]; then
    echo "every $n minutes ($((n / 60)) hours)"
  elif [ "$n" -gt 60 ]; then
    echo "every $n minutes ($((n / 60)) hours and $((n % 60)) minutes)"
  else
    echo "every $n minutes"
  fi
}

others() {
  # crontab fails if there is no crontab yet; any other failure must not lead to an empty one.
  local error
  if ! error=$(crontab -l 2>&1 >/dev/null); then
    case $error in
      *"no crontab"*) return 0 ;;
      *) cannot read "$error" ;;
    esac
  fi
  crontab -l | grep -vF -- "$mark" || true
}

# Makes the standard input the crontab.
install_table() {
  local error
  error=$(crontab - 2>&1) || cannot written "$error"
}

cannot() {
  refuse "the crontab cannot be $1: $2" "Have this user allowed to use cron (/etc/cron.allow, /etc/cron.deny), or run \
\`python -m sidecar run\` as a service; nothing was changed." 5
}

# The config in what an earlier run has saved, with its whole path.
saved_config() {
  (
    unset CONFIG_FILE
    # shellcheck disable=SC1090
    . "$env_file" || exit
    case ${CONFIG_FILE:-} in /* | "") echo "${CONFIG_FILE:-}" ;; *) echo "$PWD/$CONFIG_FILE" ;; esac
  ) 2>/dev/null || true
}

# Prints cron's settings: what was saved, unless the environment sets it now, and what that sets.
settings() {
  local name line value
  echo "# The cron job's settings; scripts/setup_cron.sh overwrites this file."
  echo "# interval $minutes"
  line=$(grep '^cd ' "$env_file" 2>/dev/null || printf 'cd %q\n' "$PWD")
  echo "${line%% || return} || return"
  while read -r line; do
    name=${line#export }
    name=${name%%=*}
    [ "$name" = COPILOT_PYTHON ] || [ -n "${!name+set}" ] || echo "$line"
  done < <(grep '^export ' "$env_file" 2>/dev/null || true)
  while read -r name; do
    value=${!name}
    case $name in
      COPILOT_MODEL_SYNC_INTERVAL | COPILOT_CRON_ENV | COPILOT_PYTHON) continue ;;
      GITHUB_COPILOT_*_FILE) ;; # names of files in the token directory
      *_FILE | *_DIR | *_BUNDLE) case $value in /* | '' | '~'*) ;; *) value=$PWD/$value ;; esac ;;
    esac
    case $name in
      CONFIG_FILE | COPILOT_* | GITHUB_COPILOT_* | HTTPS_PROXY | HTTP_PROXY | NO_PROXY | https_proxy | http_proxy | no_proxy | \
        REQUESTS_CA_BUNDLE | CURL_CA_BUNDLE | SSL_CERT_FILE | SSL_CERT_DIR)
        printf 'export %s=%q\n' "$name" "$value"
        ;;
    esac
  done < <(compgen -e | sort)
  printf 'export COPILOT_PYTHON=%q\n' "$python"
}

case ${1:-} in
  "" | --remove | --show) ;;
  *) refuse "unknown argument $1" "Usage: [COPILOT_MODEL_SYNC_INTERVAL=minutes] setup_cron.sh [--remove | --show]" ;;
esac
if [ "${1:-}" != --show ] && ! command -v crontab >/dev/null; then
  refuse "there is no crontab command on this machine" "Install cron, or run \`python -m sidecar run\` as a service."
fi

if [ "${1:-}" = --remove ]; then
  kept=$(others && echo x)
  printf '%s' "${kept%x}" | install_table
  rm -f "$env_file"
  echo "The cron job has been removed."
  exit 0
fi

minutes=$(sed -n 's/^# interval \([0-9]*\)$/\1/p' "$env_file" 2>/dev/null || true)
minutes=${COPILOT_MODEL_SYNC_INTERVAL:-${minutes:-60}}
possible="Possible are 1 2 3 4 5 6 10 12 15 20 30 60 120 180 240 360 480 720 1440 (a day) or 10080 (a week) minutes."
case $minutes in
  *[!0-9]* | "" | ???????*) refuse "COPILOT_MODEL_SYNC_INTERVAL=$minutes is not a number of minutes" "60 means once an hour." ;;
esac
minutes=$((10#$minutes))
if [ "$minutes" -eq 0 ]; then
  refuse "COPILOT_MODEL_SYNC_INTERVAL=0 would be never, which needs no cron" \
    "Name an interval in minutes, 60 for once an hour; \`setup_cron.sh --remove\` removes the job."
elif ! fields=$(schedule "$minutes"); then
  meant=''
  if [ $((minutes % 60)) -eq 0 ] && schedule $((minutes / 60)) >/dev/null; then
    meant="If you mean $minutes seconds, that is COPILOT_MODEL_SYNC_INTERVAL=$((minutes / 60)) here. "
  fi
  refuse "cron cannot run anything exactly $(words "$minutes"); the interval is in minutes here" "$meant$possible"
fi
case $root in
  *$'\n'*) refuse "the path of this clone contains a line break" "Move the clone." ;;
esac
use_package
line="$fields COPILOT_CRON_ENV=$(quoted "$env_file") COPILOT_SYNC_LOG=$(quoted "$root/logs/cron_sync.log")"
line="$line $(quoted "$root/scripts/sync_copilot_models.sh") >/dev/null $mark"
if [ "${1:-}" = --show ]; then
  echo "$line"
  exit 0
fi

export CONFIG_FILE=${CONFIG_FILE:-$(saved_config)}
CONFIG_FILE=${CONFIG_FILE:-config.yaml}
case $CONFIG_FILE in /*) ;; *) CONFIG_FILE=$PWD/$CONFIG_FILE ;; esac
if [ ! -f "$CONFIG_FILE" ]; then
  refuse "the config $CONFIG_FILE does not exist" \
    "Run this in the directory of your config.yaml, or set CONFIG_FILE to the config."
elif [ "$CONFIG_FILE" -ef "$root/config.yaml" ]; then
  refuse "the config $CONFIG_FILE comes with the clone, for compose and the models file, and is not edited in place" \
    "Set CONFIG_FILE to a config of your own, or run this in its directory."
fi
kept=$(others && echo x)
(umask 077 && settings >"$env_file.new")
trap 'rm -f "$env_file.new"' EXIT
mkdir -p "$root/logs"
printf '%s%s\n' "${kept%x}" "$line" | install_table
mv "$env_file.new" "$env_file"
echo "cron syncs $CONFIG_FILE $(words "$minutes"); the log is $root/logs/cron_sync.log:"
echo "  $line"
