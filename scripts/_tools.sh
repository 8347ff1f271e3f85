# shellcheck shell=bash
# Finds or installs what tests need besides Python packages of LiteLLM's, for .ci/run and scripts/ci.sh. They source it
# with the clone as the working directory. Everything is kept in XDG_CACHE_HOME, and told to the tests by a variable.

cache=${XDG_CACHE_HOME:-$HOME/.cache}
mkdir -p "$cache"

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# What checks the manifests pins other versions than LiteLLM does, hence a place of its own.
use_linters() {
  export COPILOT_TEST_LINTERS=$cache/copilot-linters
  "${PYTHON:-python3}" -m venv "$COPILOT_TEST_LINTERS"
  "$COPILOT_TEST_LINTERS/bin/pip" install -qq --disable-pip-version-check --require-hashes \
    -r tests/k8s/requirements-linters.lock
}

# What drives the browser, for the same reason. Needs use_linters, whose pip it takes.
use_browser() {
  export COPILOT_TEST_BROWSER=$cache/copilot-browser
  if ! cmp -s tests/browser/requirements-browser.lock "$COPILOT_TEST_BROWSER/.lock"; then
    rm -rf "$COPILOT_TEST_BROWSER"
    "$COPILOT_TEST_LINTERS/bin/pip" install -qq --disable-pip-version-check --require-hashes --no-compile \
      --target "$COPILOT_TEST_BROWSER" -r tests/browser/requirements-browser.lock
    cp tests/browser/requirements-browser.lock "$COPILOT_TEST_BROWSER/.lock"
  fi
}

# The clients of tests/clients, from npm and the package index. Needs use_linters.
use_clients() {
  export COPILOT_TEST_CLIENTS=$cache/copilot-clients
  PYTHON=$COPILOT_TEST_LINTERS/bin/python tests/clients/install.sh "$COPILOT_TEST_CLIENTS" >/dev/null
}

# Prometheus without its service, which the package would start.
use_prometheus() {
  export PATH=$PATH:$cache/copilot-prometheus/usr/bin
  command -v promtool >/dev/null && return
  mkdir -p "$cache/copilot-prometheus"
  as_root apt-get -qq update
  (cd "$cache/copilot-prometheus" && apt-get -qq download prometheus && dpkg -x prometheus_*.deb . && rm ./*.deb)
}
