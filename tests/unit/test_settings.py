"""Settings: declared once, checked together, secrets kept."""

from __future__ import annotations

import json
import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.errors import UsageError
from sidecar.parsers import ADDRESS
from sidecar.secret import Secret
from sidecar.settings import Settings, declarations, likely_typos
from tests.support import canary
from tests.support.paths import ROOT

WRONG = {
    "COPILOT_MODEL_SYNC_INTERVAL": "soon",
    "COPILOT_REMOVE_AFTER": "0",
    "COPILOT_HEALTH_PORT": "65536",
    "COPILOT_LOG_LEVEL": "chatty",
    "COPILOT_PICKER_ONLY": "maybe",
    "COPILOT_MODEL_NAMES": "short",
    "COPILOT_CREDENTIAL_NAME": "os.environ/SECRET",
    "COPILOT_EDITOR_VERSION": "vscode/1\r\nx-evil: 1",
    "GITHUB_COPILOT_API_KEY_URL": "ftp://api.github.com/token",
    "GITHUB_COPILOT_API_BASE": "http://api.example.com",
}


def load(**environ):
    return Settings.load(environ)


def refusal(**environ):
    with pytest.raises(UsageError) as caught:
        load(**environ)
    assert caught.value.exit_code == 2 and caught.value.hint
    return str(caught.value)


def test_defaults_need_nothing():
    """An empty environment gives the documented defaults."""
    found = load()
    assert (found.interval, found.remove_after, found.sync_on_startup, found.names) == (3600, 3, True, "prefixed")
    assert found.token_dir == Path.home() / ".config/litellm/github_copilot"
    assert found.client_id == "Iv1.b507a08c87ecfe98"


@pytest.mark.parametrize("name", ["team", "GitHub Copilot", "a", "copilot.per-user_2@x:y+z", "x" * 128])
def test_a_credential_name(name):
    """What LiteLLM's credentials are usually called is taken as it is; none is set by default."""
    assert load(COPILOT_CREDENTIAL_NAME=f" {name} ").credential == name
    assert load().credential is None


@pytest.mark.parametrize(
    "name", ["os.environ/KEY", "oidc/google/x", "a/b", "-a", ".a", "a\nb", "a\tb", "é", "a{b}", "x" * 129]
)
def test_what_is_no_credential_name(name):
    """A name that LiteLLM would resolve, or that no credential should have, is refused with what is allowed."""
    text = refusal(COPILOT_CREDENTIAL_NAME=name)
    assert "COPILOT_CREDENTIAL_NAME=" in text and "letters, digits, spaces and ._:@+-" in text


def test_every_default_passes_its_own_check():
    """A default written into the environment gives the default."""
    written = {item.name: item.default for item in declarations() if item.default}
    assert Settings.load(written) == load()


def test_every_knob_is_documented():
    """Each setting has a name of its own, a help text, and a type that can be told."""
    names = [item.name for item in declarations()]
    assert len(set(names)) == len(names)
    assert all(item.help and item.parser.takes for item in declarations())


def test_all_mistakes_at_once():
    """Every wrong variable is named in one error, with what is wrong."""
    text = refusal(**WRONG)
    assert [name for name in WRONG if f"{name}=" not in text] == []
    assert text.count(";") >= len(WRONG) - 1 and "\n" not in text and "\r" not in text


@pytest.mark.parametrize("name", sorted(item.name for item in declarations()))
@pytest.mark.parametrize("empty", ["", "  \t"])
def test_empty_is_not_set(name, empty):
    """An empty variable, as compose passes it on, counts as not set."""
    assert Settings.load({name: empty}) == load()


@pytest.mark.parametrize("text", ["soon", "-1", "1.5", "1e3", "31536001", "0x10", "NaN", "∞", "9" * 5000])
def test_interval_that_is_none(text):
    """An interval that is no number of seconds is refused by name."""
    assert "COPILOT_MODEL_SYNC_INTERVAL" in refusal(COPILOT_MODEL_SYNC_INTERVAL=text)


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), (" 60 ", 60), ("31536000", 31_536_000)])
def test_interval(text, seconds):
    """Whole seconds from 0 to a year are an interval."""
    assert load(COPILOT_MODEL_SYNC_INTERVAL=text).interval == seconds


@pytest.mark.parametrize("text", ["true", "TRUE", "1", "yes", "on", " True "])
@pytest.mark.parametrize("negated", [False, True])
def test_booleans(text, negated):
    """The usual spellings of true and false, in any case."""
    opposite = {"true": "false", "1": "0", "yes": "no", "on": "off"}
    text = opposite[text.strip().lower()] if negated else text
    assert load(SYNC_COPILOT_MODELS_ON_STARTUP=text).sync_on_startup is not negated


def test_patterns():
    """Patterns are split at commas, and blanks around them do not count."""
    assert load(COPILOT_MODELS_INCLUDE=" gpt-*, claude-* ,,").include == ("gpt-*", "claude-*")


GUARDED = [item.name for item in declarations() if item.https_only]
MAY_BE_HTTP = {"COPILOT_CLIENT_URL", "COPILOT_ON_CHANGE_URL", "COPILOT_SYNC_URL", "LITELLM_URL"}


@pytest.mark.parametrize(
    "pattern", ["[gpt", "[]", "[!]", "gpt-[4,5]", "gpt 4", "'gpt-*'", "!gpt-*", "github_copilot/*"]
)
def test_patterns_that_match_nothing(pattern):
    """A pattern that no model's id can match is a mistake, and is not taken for a filter."""
    with pytest.raises(UsageError, match=r"COPILOT_MODELS_EXCLUDE=.* can match nothing"):
        Settings.load({"COPILOT_MODELS_EXCLUDE": f"gpt-*,{pattern}"})


@pytest.mark.parametrize(
    "pattern", ["*", "gpt-?", "gpt-[45]*", "[!a]*", "[]a]x", "[a b]*", "accounts/*/routers/*", "GPT*"]
)
def test_patterns_that_may_match(pattern):
    """What a model's id may match is a filter, however odd it looks."""
    assert Settings.load({"COPILOT_MODELS_INCLUDE": pattern}).include == (pattern,)


def test_every_address_that_is_sent_a_token_is_guarded():
    """Plain http is only accepted without a word where no token of GitHub's goes."""
    assert {item.name for item in declarations() if item.parser is ADDRESS} - set(GUARDED) == MAY_BE_HTTP


@pytest.mark.parametrize("scheme", ["http", "HTTP", "Http"])
@pytest.mark.parametrize("name", sorted(GUARDED))
def test_plain_http_is_refused(name, scheme):
    """An address that would send the token in the clear needs COPILOT_INSECURE_HTTP."""
    assert "https" in refusal(**{name: f"{scheme}://api.example.com/token"})
    assert Settings.load({name: f"{scheme}://api.example.com/token", "COPILOT_INSECURE_HTTP": "true"})


@pytest.mark.parametrize(
    "text",
    [
        *("api.github.com", "https://", "https://user:pw@host", "https://host:x", "https://host:99999", "https://[::1"),
        *("https://@host", "https://api.github.com\\.evil.example", "https://ho\nst", "https://ho st", "https://höst"),
    ],
)
def test_addresses_that_are_none(text):
    """What is no address, or holds a password, is refused."""
    assert "GITHUB_COPILOT_API_BASE" in refusal(GITHUB_COPILOT_API_BASE=text)


def test_slash_at_the_end():
    """A slash at the end of an address does not matter."""
    assert load(GITHUB_COPILOT_API_BASE="https://x.ghe.com/").api_base == "https://x.ghe.com"


@pytest.mark.parametrize("show", [repr, str, ascii, "{}".format, "{!r}".format])
def test_secret_does_not_show(show):
    """Neither a secret nor the settings that hold it show it."""
    secret = canary.new("a")
    found = load(GITHUB_TOKEN=f" {secret} \n")
    assert found.github_token.reveal() == secret
    canary.search("what is shown", show(found.github_token) + show(found))


def test_secret_is_not_serialised_or_logged():
    """JSON refuses a secret, and a log line hides it."""
    secret = Secret(canary.new("a"))
    with pytest.raises(TypeError):
        json.dumps(secret)
    logging.getLogger("x").warning("token %s", secret, extra={"token": secret})


def test_secret_is_not_in_a_refusal():
    """A mistake elsewhere does not show the token."""
    canary.search("the refusal", refusal(GITHUB_TOKEN=canary.new("a"), COPILOT_HEALTH_PORT="x"))


def test_secrets_compare_by_value():
    """Equal secrets are equal, and no string is one."""
    assert Secret("abcd") == Secret("abcd") != Secret("abce")
    assert Secret("abcd") != "abcd" and len({Secret("abcd"), Secret("abcd")}) == 1
    assert pickle.loads(pickle.dumps(Secret("abcd"), 2)) == Secret("abcd")


def test_settings_do_not_change():
    """Settings are frozen: whoever holds them can rely on them."""
    with pytest.raises(AttributeError):
        load().interval = 1


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("COPILOT_MODEL_SYNC_INTERVALL", "COPILOT_MODEL_SYNC_INTERVAL"),
        ("COPILOT_MODELS_INCLUDES", "COPILOT_MODELS_INCLUDE"),
        ("GITHUB_COPILOT_TOKENDIR", "GITHUB_COPILOT_TOKEN_DIR"),
        ("SYNC_COPILOT_MODELS_ON_START", "SYNC_COPILOT_MODELS_ON_STARTUP"),
    ],
)
def test_typo(written, meant):
    """A misspelled variable is pointed out with the right name."""
    assert likely_typos({written: "1", "PATH": "/bin"}) == [(written, meant)]


def test_no_typo():
    """LiteLLM's and other people's variables are nobody's mistake."""
    others = {"GITHUB_COPILOT_API_KEY_FILE": "x", "COPILOT_AGENT_ID": "x", "GITHUB_TOKENS": "x", "CONFIG_FILE": "x"}
    assert likely_typos({**others, **WRONG}) == []


def test_import_without_a_home():
    """A user without a home directory, as in a container with any uid, does not stop the program."""
    script = "import pwd; pwd.getpwuid = {}.__getitem__; import sidecar.settings"
    environ = {name: value for name, value in os.environ.items() if name != "HOME"}
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environ, check=True)


ADDRESSES = sorted(item.name for item in declarations() if item.parser is ADDRESS)


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize(
    "text",
    [
        "https://user:canary@host/path",
        "https://user:" + "canary" * 20 + "@host",
        "https//user:canary@host",
        "user:canary@host:4000",
        "http://user:can@ary#canary@host",
        "http://host:99999/?key=canary",
        "ghu_" + "canary" * 3,
        "sk-" + "canary" * 3,
    ],
)
def test_a_password_in_an_address_is_not_shown(name, text):
    """An address is refused for a password in it, and neither that nor anything else that is secret is echoed."""
    said = refusal(**{name: text})
    assert f"{name}=" in said and "canary" not in said


@pytest.mark.parametrize("name", sorted(GUARDED))
def test_a_query_is_not_shown(name):
    """An address that is refused for being plain http is shown without its query."""
    said = refusal(**{name: "http://host/path?key=canary"})
    assert "http://host/path?***" in said and "canary" not in said


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "LITELLM_MASTER_KEY"])
@pytest.mark.parametrize(
    "text", ["sk-canary\nx-evil: 1", "sk-canary\r\nx", "sk-can\0ary", "sk-canarÿ", "sk-canary\x7f"]
)
def test_a_key_that_is_no_header(name, text):
    """A key that cannot be sent is refused by name, and not shown."""
    said = refusal(**{name: text})
    assert f"{name}=*** is not plain ASCII text on one line" in said and "canary" not in said


@pytest.mark.parametrize("text", ["10.0.0.1", "fd00::1", "kubernetes.default.svc"])
def test_the_api_servers_host(text):
    """Names and addresses are hosts; what would become another part of an address is not."""
    assert load(KUBERNETES_SERVICE_HOST=text).kubernetes_host == text
    for wrong in (f"{text}/x", f"a@{text}", f"{text}?", f"a {text}", f"{text}\nx", f"{text}#"):
        assert "KUBERNETES_SERVICE_HOST=" in refusal(KUBERNETES_SERVICE_HOST=wrong)


CANARY = "cAnArY-0123456789"
HOSTILE = st.text(max_size=40) | st.sampled_from(
    [
        f"https://u:{CANARY}@h",
        f"http://h/?{CANARY}",
        f"ghu_{CANARY}",
        f"sk-{CANARY}",
        "'",
        "\0",
        "1" * 5000,
        "1e999",
        "\ud800",
    ]
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    st.dictionaries(st.sampled_from([item.name for item in declarations()]), HOSTILE, max_size=8),
    st.dictionaries(st.sampled_from([item.name for item in declarations() if item.private]), HOSTILE),
)
def test_any_environment(environ, private):
    """Whatever the variables hold, the answer is settings or a UsageError on one line, without anything secret."""
    private = {name: f"{text}{CANARY}\n'\0" for name, text in private.items()}
    try:
        Settings.load({**environ, **private})
    except UsageError as error:
        text = f"{error} {error.hint}"
    else:
        text = ""
    assert "\n" not in text and CANARY not in text
