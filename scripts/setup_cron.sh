#!/usr/bin/env bash
# Makes cron run sync_copilot_models.sh: COPILOT_MODEL_SYNC_INTERVAL=60 setup_cron.sh [--remove | --show]
#
# The interval is in minutes. Installs, updates or removes one line in this user's crontab; all other lines are left
# alone. --show prints the line and changes nothing. The settings in the current environment (CONFIG_FILE, COPILOT_…,
# GITHUB_COPILOT_…, proxies, CA certificates) are saved in .cron.env (0600) for cron, which has none; access tokens in
# environment variables are not. The log is logs/cron_sync.log.
set -euo pipefail
# shellcheck source=scripts/_common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/_common.sh"
mark="# copilot-model-sync $root"
env_file=$root/.cron.env

refuse() {
  echo "setup_cron.sh: $1" >&2
  echo "  $2" >&2
  exit 2
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
  if [ "$n" -eq 1 ]; then
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

others() {
  # crontab fails if there is no crontab yet; any other failure must not lead to an empty one.
  local error
  if ! error=$(crontab -l 2>&1 >/dev/null); then
    case $error in
      *"no crontab"*) return 0 ;;
      *) echo "setup_cron.sh: the crontab cannot be read: $error" >&2 && return 5 ;;
    esac
  fi
  crontab -l | grep -vF -- "$mark" || true
}

# Saves the current settings for cron.
record() {
  local name
  (
    umask 077
    {
      echo "# The cron job's settings; scripts/setup_cron.sh overwrites this file."
      printf 'cd %q\n' "$PWD"
      while read -r name; do
        case $name in
          COPILOT_MODEL_SYNC_INTERVAL | COPILOT_CRON_ENV) ;;
          CONFIG_FILE | COPILOT_* | GITHUB_COPILOT_* | HTTPS_PROXY | HTTP_PROXY | NO_PROXY | https_proxy | http_proxy | no_proxy | \
            REQUESTS_CA_BUNDLE | CURL_CA_BUNDLE | SSL_CERT_FILE | SSL_CERT_DIR)
            printf 'export %s=%q\n' "$name" "${!name}"
            ;;
        esac
      done < <(compgen -e | sort)
      printf 'export COPILOT_PYTHON=%q\n' "$python"
    } >"$env_file.new"
  )
  mv "$env_file.new" "$env_file"
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
  printf '%s' "${kept%x}" | crontab -
  rm -f "$env_file"
  echo "The cron job has been removed."
  exit 0
fi

minutes=${COPILOT_MODEL_SYNC_INTERVAL:-60}
case $minutes in
  *[!0-9]* | "" | ???????*) refuse "COPILOT_MODEL_SYNC_INTERVAL=$minutes is not a number of minutes" "60 means once an hour." ;;
esac
minutes=$((10#$minutes))
if ! fields=$(schedule "$minutes"); then
  refuse "cron cannot run anything exactly every $minutes minutes" \
    "Possible are 1 2 3 4 5 6 10 12 15 20 30 60 120 180 240 360 480 720 1440 (a day) or 10080 (a week) minutes."
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
kept=$(others && echo x)
record
mkdir -p "$root/logs"
printf '%s%s\n' "${kept%x}" "$line" | crontab -
echo "cron syncs every $minutes minutes; the log is $root/logs/cron_sync.log:"
echo "  $line"
