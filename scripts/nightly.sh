#!/usr/bin/env bash
# Tests the newest LiteLLM, for .github/workflows/litellm-nightly.yml: nightly.sh release | image | report
#
# release runs all of tests/litellm and tests/clients on the newest release on the package index; image runs the container tests with
# NIGHTLY_IMAGE (the moving tag, main-stable). Both tell GitHub Actions what was tested and which tests failed.
# report maintains one issue, labelled litellm-nightly: it opens or updates it when something broke, and closes it when
# everything works. It reads the results of the other two from RELEASE_… and IMAGE_…, and talks to GitHub with `gh`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
label=litellm-nightly
moving=${NIGHTLY_IMAGE:-ghcr.io/berriai/litellm:main-stable}

# Sets an output of the step, which may have several lines.
tell() {
  local end
  end=end-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  printf '%s<<%s\n%s\n%s\n' "$1" "$end" "$2" "$end" >>"${GITHUB_OUTPUT:-/dev/stdout}"
}

# Runs tests, and outputs which failed.
try() {
  local log code=0
  log=$(mktemp)
  "$@" 2>&1 | tee "$log" || code=$?
  tell failures "$(grep -E '^(FAILED|ERROR) ' "$log" | cut -c1-300 | head -40)"
  rm -f "$log"
  return "$code"
}

# All tests of a LiteLLM version, and real clients that use it, aider too.
everything() {
  local code=0
  scripts/test.sh --litellm "$1" || code=1
  { AIDER=true tests/clients/install.sh && scripts/test.sh --litellm "$1" tests/clients; } || code=1
  return "$code"
}

section() {
  local result=$1 what=$2 failures=$3
  [ "$result" != success ] || return 0
  printf '\n## %s\n\n' "$what"
  if [ -z "$failures" ]; then
    printf 'The tests were not reached, or did not finish: %s.\n' "$result"
  else
    # Text from a test run: it must not close the block.
    # shellcheck disable=SC2016
    printf '```\n%s\n```\n' "${failures//'```'/}"
  fi
}

report() {
  local number body
  number=$(gh issue list --label "$label" --state open --limit 1 --json number --jq '.[].number')
  if [ "$RELEASE_RESULT" = success ] && [ "$IMAGE_RESULT" = success ]; then
    echo "everything works"
    [ -z "$number" ] || gh issue close "$number" --comment "It works again: $RUN_URL"
    return
  fi
  body=$(mktemp)
  {
    printf 'Last tested in %s. This text is updated every night, and the issue is closed once everything works.\n' "$RUN_URL"
    section "$RELEASE_RESULT" "${RELEASE_WHAT:-The newest release}" "$RELEASE_FAILURES"
    section "$IMAGE_RESULT" "${IMAGE_WHAT:-$moving}" "$IMAGE_FAILURES"
    printf '\nCONTRIBUTING.md explains how to add a LiteLLM version.\n'
  } >"$body"
  if [ -n "$number" ]; then
    gh issue edit "$number" --body-file "$body"
  else
    gh label create "$label" --force --description "Written by the nightly workflow" --color d73a4a
    gh issue create --title "The newest LiteLLM breaks something" --label "$label" --body-file "$body"
  fi
  rm -f "$body"
}

case ${1:-} in
  release)
    version=$(scripts/lock_litellm.sh --latest)
    tell what "LiteLLM $version"
    try everything "$version"
    ;;
  image)
    docker pull --quiet "$moving"
    version=$(docker run --rm --entrypoint python "$moving" -c 'import importlib.metadata as m; print(m.version("litellm"))')
    tell what "$moving (LiteLLM $version)"
    export LITELLM_IMAGE=$moving
    try scripts/test.sh tests/containers
    ;;
  report) report ;;
  *)
    echo "usage: scripts/nightly.sh release | image | report" >&2
    exit 2
    ;;
esac
