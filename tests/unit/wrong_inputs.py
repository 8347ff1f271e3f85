"""The table of wrong inputs: what a user does, what names it, what helps, and the exit code.

``test_wrong_inputs.py`` does each, and writes what was said into docs/wrong-inputs.md.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.catalog import model
from tests.support import canary
from tests.support.bench import Bench
from tests.support.files import put_secret
from tests.support.github_paths import EXCHANGE, MODELS
from tests.support.older import older_config

Prepare = Callable[[Bench], object]
LIST = "model_list: []\n"


@dataclass(frozen=True)
class Wrong:
    """A command line (``HOME`` is a directory of the user's) and what is wrong with it or around it.

    ``names`` has to be in the message, ``cure`` in the message or the hint below it. ``nobody`` is whom it is done as.
    """

    group: str
    what: str
    line: str
    exit: int
    names: str
    cure: str
    prepare: Prepare | None = None
    login: bool = True
    writes: bool = False
    nobody: bool = False

    @property
    def shown(self) -> str:
        """As in the page."""
        return ": ".join(filter(None, (self.what, self.line and f"`{self.line}`")))

    def environ(self) -> dict[str, str]:
        """The variables before the command."""
        pairs = (word.partition("=") for word in self._words() if self._is_variable(word))
        return {name: value for name, _, value in pairs}

    def arguments(self) -> list[str]:
        """The command and what follows it."""
        return [word for word in self._words() if not self._is_variable(word)]

    def _words(self) -> list[str]:
        return shlex.split(self.line)

    @staticmethod
    def _is_variable(word: str) -> bool:
        return word.partition("=")[0].isupper()


def home(bench: Bench) -> Path:
    """The directory that ``HOME`` stands for."""
    return Path(bench.environ["HOME"])


def file(name: str, content: str = LIST, mode: int = 0o644) -> Prepare:
    """A file that has been there for long."""

    def write(bench: Bench) -> None:
        path = home(bench) / name
        path.write_text(content)
        path.chmod(mode)
        os.utime(path, (1e9, 1e9))

    return write


def token(kind: str) -> Prepare:
    return lambda bench: bench.log_in(kind=kind)


def variable(name: str, value: Callable[[Bench], str]) -> Prepare:
    """A variable with something that is only known in the test."""
    return lambda bench: bench.environ.update({name: value(bench)})


def answers(path: str, **how: object) -> Prepare:
    return lambda bench: bench.gh.fail(path, **how)


def _emptied(bench: Bench) -> None:
    file("config.yaml", "")(bench)
    file("config.yaml.bak-20260101T000000Z")(bench)


def _foreign(bench: Bench) -> None:
    file("config.yaml")(bench)
    home(bench).chmod(0o777)
    bench.tokens.chmod(0o755)
    put_secret(bench.token_file, bench.token_file.read_text())
    os.chown(bench.token_file, 65534, 65534)


def _closed(bench: Bench) -> None:
    (home(bench) / "closed").mkdir(mode=0o555)


def _directory_is_a_file(bench: Bench) -> None:
    bench.tokens.rmdir()
    bench.tokens.write_text("")


def commands() -> list[Wrong]:
    def row(line: str, names: str, cure: str = "usage", exit: int = 2, **more: object) -> Wrong:
        return Wrong("commands and flags", str(more.pop("what", "")), line, exit, names, cure, **more)  # type: ignore[arg-type]

    return [
        row("", "command", what="nothing"),
        row("frobnicate", "frobnicate"),
        row("sync --frobnicate", "--frobnicate"),
        row("sync --config ''", "--config: must not be empty"),
        row("sync --restore", "--restore needs a config", "--config or CONFIG_FILE"),
        row(
            "sync --restore 2020 --config HOME/config.yaml",
            "/config.yaml has no backup of 2020",
            "first sync that changes it",
            prepare=file("config.yaml"),
        ),
        row("changes --since yesterday", "--since='yesterday'", "7d, 12h"),
        row("sync --on-change-format teams", "--on-change-format='teams'", "json, slack, discord"),
        row('sync --validate "\'unclosed"', "--validate=***", "No closing quotation"),
        row("sync --on-change-url hooks.example/x", "--on-change-url=***", "http:// or https://"),
        row("login --import HOME/nowhere", "/nowhere cannot be read", "existing file", 5),
        row("login --import HOME/shared", "no access token in", "Log in", 3, what="a directory without a token"),
        row(
            "login --import HOME/token",
            "/token is not believed: others may write to it",
            "chmod 600",
            3,
            what="a file that others may write to",
            prepare=file("token", "", 0o666),
        ),
        row("connect emacs", "'emacs' is not a client that is known", "claude-code"),
        row("connect --write", "--write needs a client", "claude-code"),
        row("connect curl", "nothing has been published yet", "sidecar sync", what="before the first sync"),
        row("CONFIG_FILE=HOME/shared connect curl", "/shared is not a regular file", "Name the file itself"),
        row("COPILOT_HEALTH_PORT=0 healthcheck", "COPILOT_HEALTH_PORT is 0", "Set a port"),
        row(
            "sync --on-change nowhere",
            "the on-change command cannot be started",
            "next sync notifies it again",
            6,
            writes=True,
        ),
        row("sync --on-change-gunicorn HOME/pid", "/pid does not name a running process", "on-change", 6, writes=True),
        row(
            "sync --config HOME/config.yaml --validate false",
            "the validation command exited with 1",
            "--validate",
            prepare=file("config.yaml"),
            writes=True,
        ),
    ]  # fmt: skip


def settings() -> list[Wrong]:
    def row(line: str, names: str, cure: str = "docs/reference.md", exit: int = 2, **more: object) -> Wrong:
        return Wrong("settings", str(more.pop("what", "")), line, exit, names, cure, **more)  # type: ignore[arg-type]

    return [
        row("COPILOT_MODEL_SYNC_INTERVAL=1h sync", "COPILOT_MODEL_SYNC_INTERVAL='1h' is not a whole number"),
        row("COPILOT_REMOVE_AFTER=0 sync", "COPILOT_REMOVE_AFTER='0' is not between 1 and 1000"),
        row("COPILOT_HEALTH_PORT=70000 run", "COPILOT_HEALTH_PORT='70000' is not between 0 and 65535"),
        row("COPILOT_CONFIG_BACKUPS=-1 sync", "COPILOT_CONFIG_BACKUPS='-1' is not between 0 and 10000"),
        row("COPILOT_SYNC_JITTER=1.5 sync", "COPILOT_SYNC_JITTER='1.5' is not a whole number"),
        row("COPILOT_PREVIEWS=ja models", "COPILOT_PREVIEWS='ja' is not true or false"),
        row("COPILOT_MODEL_NAMES=short models", "COPILOT_MODEL_NAMES='short'", "prefixed, bare, both"),
        row("COPILOT_PRICES=free models", "COPILOT_PRICES='free'", "live, litellm, zero"),
        row("COPILOT_LOG_LEVEL=LOUD sync", "COPILOT_LOG_LEVEL='LOUD'", "DEBUG, INFO, WARNING, ERROR"),
        row("COPILOT_CREDENTIAL_NAME=os.environ/X sync", "COPILOT_CREDENTIAL_NAME='os.environ/X'", "starting with"),
        row("COPILOT_CONFIGMAP=A/B/C sync", "COPILOT_CONFIGMAP='A/B/C'", "namespace/name"),
        row("COPILOT_CONFIGMAP=models sync", "COPILOT_CONFIGMAP is set", "Unset COPILOT_CONFIGMAP"),
        row("COPILOT_CONFIGMAP=models run", "COPILOT_CONFIGMAP is only supported by `sync`", "Unset it"),
        row("COPILOT_CONFIGMAP=models changes", "in the ConfigMap", "kubectl"),
        row("KUBERNETES_SERVICE_HOST='a b' sync", "KUBERNETES_SERVICE_HOST='a b' is not a host name"),
        row(
            "COPILOT_REMOVE_AFTER=x COPILOT_PRICES=y prepare",
            "COPILOT_REMOVE_AFTER='x'",
            "COPILOT_PRICES='y'",
            what="two at once",
        ),
        row("COPILOT_EDITOR_VERSION=vscöde/1 sync", "COPILOT_EDITOR_VERSION='vscöde/1' is not plain ASCII"),
        row(
            "COPILOT_EDITOR_VERSION=vscode sync",
            "COPILOT_EDITOR_VERSION is 'vscode'",
            "Unset COPILOT_EDITOR_VERSION",
            4,
        ),
        row(
            "doctor",
            "LITELLM_MASTER_KEY=***",
            what="a line break in `LITELLM_MASTER_KEY`",
            prepare=variable("LITELLM_MASTER_KEY", lambda _: f"{canary.new('k')}\nx"),
        ),
        row("COPILOT_MODELS_INCLUDE=[gpt models", "COPILOT_MODELS_INCLUDE='[gpt' can match nothing", "its `]`"),
        row("""COPILOT_MODELS_EXCLUDE='"gpt-*"' models""", "COPILOT_MODELS_EXCLUDE=", "no model id has"),
        row("COPILOT_MODELS_INCLUDE=github_copilot/gpt-* sync", "COPILOT_MODELS_INCLUDE=", "`github_copilot/`"),
        row("COPILOT_MODELS_EXCLUDE=* sync", "pattern in COPILOT_MODELS_EXCLUDE", "Widen"),
        row(
            "run",
            "Address already in use",
            "Choose a free port",
            what="`COPILOT_HEALTH_PORT` of another program",
            prepare=variable("COPILOT_HEALTH_PORT", lambda bench: str(bench.gh.port)),
        ),
    ]  # fmt: skip


def addresses() -> list[Wrong]:
    def row(line: str, names: str, cure: str = "docs/reference.md", exit: int = 2, **more: object) -> Wrong:
        return Wrong("addresses", str(more.pop("what", "")), line, exit, names, cure, **more)  # type: ignore[arg-type]

    return [
        row("LITELLM_URL=localhost:4000 doctor", "LITELLM_URL='localhost:4000'", "http:// or https://"),
        row("LITELLM_URL=http://:4000 doctor", "LITELLM_URL='http://:4000'", "not an http(s) address"),
        row(
            "doctor",
            "LITELLM_URL='http://***@litellm:4000'",
            "has a user name in it",
            what="a password in `LITELLM_URL`",
            prepare=variable("LITELLM_URL", lambda _: f"http://me:{canary.new('o')}@litellm:4000"),
        ),
        row(
            "LITELLM_URL=http://127.0.0.1:1 doctor",
            "LiteLLM does not answer at http://127.0.0.1",
            "LITELLM_URL",
            6,
            prepare=lambda bench: bench.models_file.write_text(LISTED),
        ),
        row(
            "doctor",
            "is not LiteLLM (HTTP 404)",
            "Correct LITELLM_URL",
            6,
            what="`LITELLM_URL` of another program",
            prepare=lambda bench: (
                bench.models_file.write_text(LISTED),
                bench.environ.update(LITELLM_URL=bench.gh.url),
            ),
        ),
        row("GITHUB_COPILOT_API_KEY_URL=https://api.github.invalid/x HTTPS_PROXY=http://127.0.0.1:1 sync",
            "by the proxy that the environment names: connection refused", "HTTPS_PROXY", 4),
        row("GITHUB_COPILOT_API_KEY_URL=ftp://example.com/x sync", "GITHUB_COPILOT_API_KEY_URL='ftp://example.com/x'"),
        row(
            "GITHUB_COPILOT_API_BASE=http://example.com COPILOT_INSECURE_HTTP=false GITHUB_COPILOT_API_KEY_URL= "
            "GITHUB_COPILOT_DEVICE_CODE_URL= GITHUB_COPILOT_ACCESS_TOKEN_URL= sync",
            "GITHUB_COPILOT_API_BASE=",
            "is not https",
        ),
        row(
            "sync",
            "not accept this kind of access token (404)",
            "GITHUB_COPILOT_API_KEY_URL",
            3,
            what="`GITHUB_COPILOT_API_KEY_URL` leads to a wrong path",
            prepare=variable("GITHUB_COPILOT_API_KEY_URL", lambda bench: f"{bench.gh.url}/nowhere"),
        ),
        row(
            "login",
            "GitHub issued no device code (HTTP 404)",
            "GITHUB_COPILOT_DEVICE_CODE_URL",
            4,
            what="`GITHUB_COPILOT_DEVICE_CODE_URL` leads to a wrong path",
            login=False,
            prepare=variable("GITHUB_COPILOT_DEVICE_CODE_URL", lambda bench: f"{bench.gh.url}/nowhere"),
        ),
        row(
            "sync",
            "the catalog with HTTP 404",
            "GITHUB_COPILOT_API_BASE",
            4,
            what="Copilot's address leads to a wrong path",
            prepare=lambda bench: bench.gh.set(plan_host=f"{bench.gh.url}/nowhere"),
        ),
        row(
            "GITHUB_COPILOT_API_BASE= sync",
            "'http://copilot.example'",
            "GITHUB_COPILOT_API_BASE",
            4,
            what="a host that is not known to be Copilot's",
            prepare=lambda bench: bench.gh.set(plan_host="http://copilot.example"),
        ),
    ]  # fmt: skip


OLDER = "model_list:\n- model_name: gpt-4o\n  litellm_params: {model: github_copilot/gpt-4o, cache_models_for: 60}\n"
LISTED = (
    "model_list:\n- model_name: github_copilot/gpt-4o\n  litellm_params: {model: github_copilot/gpt-4o}\n"
    "  model_info: {id: github_copilot/managed/gpt-4o}\n"
)


def tokens() -> list[Wrong]:
    def row(what: str, line: str, exit: int, names: str, cure: str = "Log in: `docker", **more: object) -> Wrong:
        return Wrong("logins and tokens", what, line, exit, names, cure, **{"login": False, **more})  # type: ignore[arg-type]

    def tested(kind: str) -> Prepare:
        return variable("GITHUB_TOKEN", lambda bench: bench.gh.new_access_token(kind=kind))

    return [
        row("", "GITHUB_COPILOT_CLIENT_ID=Iv1.mine login", 2, "GITHUB_COPILOT_CLIENT_ID='Iv1.mine' (404)", "Unset"),
        row(
            "an OAuth app without device logins", "login", 2, "device_flow_disabled", "Unset GITHUB_COPILOT_CLIENT_ID",
            prepare=lambda bench: bench.gh.device_flow(mode="disabled"),
        ),
        row(
            "the browser's Cancel", "login", 3, "the login was declined in the browser",
            prepare=lambda bench: bench.gh.device_flow(mode="deny", interval=1),
        ),
        row("nobody has logged in", "sync", 3, "no access token in"),
        row("a secret that CI does not have", "GITHUB_TOKEN= sync", 3, "GITHUB_TOKEN is set, but empty", "forks"),
        row("", "GITHUB_TOKEN='two words' sync", 3, "GITHUB_TOKEN does not contain a token", "`login` stores"),
        row("a classic personal access token in `GITHUB_TOKEN`", "sync", 3, "GITHUB_TOKEN contains a personal access "
            "token (ghp_…)", "`login` stores", prepare=tested("ghp_")),
        row("a fine-grained one in `GITHUB_TOKEN`", "sync", 3, "it is a personal access token",
            prepare=tested("github_pat_")),
        row("a classic personal access token, stored", "sync", 3, "/access-token contains a personal access token",
            prepare=token("ghp_")),
        row("the same", "doctor", 3, "ghp_… is a personal access token", prepare=token("ghp_")),
        row("a revoked token", "sync", 3, "revoked or invalid (401)",
            prepare=lambda bench: bench.gh.revoke(bench.log_in())),
        row("an account without Copilot", "sync", 3, "No access to GitHub Copilot found", "github.com/settings/copilot",
            prepare=lambda bench: (bench.log_in(), bench.gh.no_subscription())),
        row("a file in place of the token directory", "sync", 5, "the token directory", "GITHUB_COPILOT_TOKEN_DIR",
            prepare=_directory_is_a_file),
        row("the same", "login", 5, "the token directory", "GITHUB_COPILOT_TOKEN_DIR", prepare=_directory_is_a_file),
        row("a directory in place of the token", "sync", 5, "/access-token cannot be read", "rename or remove it",
            prepare=lambda bench: bench.token_file.mkdir()),
        row("an empty file in place of the token", "sync", 3, "/access-token is empty",
            prepare=lambda bench: bench.token_file.touch()),
        row("half a `github_token.json`", "sync", 3, "/github_token.json does not contain a token",
            prepare=lambda bench: (bench.tokens / "github_token.json").write_text('{"access_')),
        row("a rate limit", "sync", 4, "GitHub is rate-limiting requests", "again in 600 s", login=True,
            prepare=lambda bench: bench.gh.rate_limit(9, retry_after=600)),
        row("the same", "doctor", 4, "GitHub is rate-limiting requests", "again in 600 s", login=True,
            prepare=lambda bench: bench.gh.rate_limit(9, retry_after=600)),
        row("the same", "login", 4, "GitHub issued no device code (HTTP 429)", "again in 600 s",
            prepare=answers("/login/device/code", status=429, headers={"Retry-After": "600"})),
    ]  # fmt: skip


def catalogs() -> list[Wrong]:
    def row(what: str, names: str, prepare: Prepare) -> Wrong:
        cure = "github.com/settings/copilot"
        return Wrong("catalogs", what, "sync", 4, names, cure, lambda bench: (_published(bench), prepare(bench)))

    return [
        row("no models", "the catalog contains no models", lambda bench: bench.gh.set_catalog([])),
        row("a login page", "the catalog is not JSON", answers(MODELS, how="garbage")),
        row("something else", "no list of models", answers(MODELS, status=200, body={"models": []})),
        row("no model that can be called", "no models that LiteLLM can call",
            lambda bench: bench.gh.set_catalog([model("gpt-4o", policy="disabled")])),
        Wrong("catalogs", "an exchange without a token", "sync", 4, "without a Copilot token", "run a command again",
              answers(EXCHANGE, status=200, body={})),
    ]  # fmt: skip


def _published(bench: Bench) -> None:
    bench.models_file.write_text(LISTED)


def files() -> list[Wrong]:
    def row(what: str, line: str, names: str, cure: str, exit: int = 2, **more: object) -> Wrong:
        return Wrong("files", what, line, exit, names, cure, **more)  # type: ignore[arg-type]

    def config(what: str, content: str, names: str, cure: str) -> Wrong:
        return row(what, "sync --config HOME/config.yaml", names, cure, prepare=file("config.yaml", content))

    def aliases(what: str, content: str, names: str) -> Wrong:
        line = "COPILOT_ALIASES_FILE=HOME/aliases.yaml sync"
        return row(what, line, f"/aliases.yaml, line {names}", "Correct that line",
                   prepare=file("aliases.yaml", content))  # fmt: skip

    def overrides(what: str, content: str, names: str) -> Wrong:
        line = "COPILOT_OVERRIDES_FILE=HOME/overrides.yaml sync"
        return row(what, line, names, "Correct that line", prepare=file("overrides.yaml", content))

    def pipe(name: str) -> Prepare:
        return lambda bench: os.mkfifo(home(bench) / name)

    return [
        row("a directory", "sync --config HOME/shared", "/shared is not a regular file", "Name the file itself"),
        row("a pipe", "sync --config HOME/pipe", "/pipe is not a regular file", "Name the file itself",
            prepare=pipe("pipe")),
        row("a directory", "changes --config HOME/shared", "/shared is not a regular file", "Name the file itself"),
        row("a directory", "sync --restore --config HOME/shared", "/shared is not a regular file", "Name the file"),
        row("a directory", "CONFIG_FILE=HOME/shared doctor", "/shared is not a regular file", "Name the file itself"),
        row("no such directory", "sync --config HOME/nowhere/config.yaml", "/nowhere/config.yaml", "create it", 5),
        row("a mistyped name", "sync --config HOME/confg.yaml", "/confg.yaml does not exist", "`sync --create`"),
        config("one of an older tool", older_config(["gpt-4o"]), "1 entry of an older tool", "--adopt`"),
        config("one with the models file in it", f"include: [copilot_models.yaml]\n{LIST}", "line 1 includes",
            "remove that file"),
        config("a list", "- model_name: x\n", "top level is not a mapping", "`model_list:`"),
        config("entries that are no list", "model_list: {a: 1}\n", "model_list is not a list", "- model_name: …"),
        config("a tab", "model_list:\n\t- a: 1\n", "line 2, column 1", "Correct that place"),
        config("a tag", f"{LIST}x: !env Y\n", "LiteLLM cannot read the config: line 2", "Correct it"),
        config("a manifest", "apiVersion: v1\nkind: ConfigMap\n", "a Kubernetes manifest", "--config or CONFIG_FILE"),
        config("an entry of an older tool", OLDER, "older tool, which LiteLLM cannot use: gpt-4o (line 2)", "--adopt"),
        row("no such file", "sync --config HOME/config.yaml", "/config.yaml does not exist", "`sync --create`"),
        row("a config that includes the models file", "sync --config HOME/config.yaml", "/config.yaml: line 1 includes",
            "Keep one of the two",
            prepare=lambda bench: file("config.yaml", f"include: ['{bench.models_file}']\n{LIST}")(bench)),
        row("emptied by an editor", "sync --config HOME/config.yaml", "is empty, but was not before",
            "`sync --restore`", prepare=_emptied),
        row("a config of another user's", "sync --config HOME/config.yaml", "/config.yaml belongs to uid",
            "/config.yaml to uid", 5, prepare=_foreign, nobody=True),
        row("no such file", "COPILOT_ALIASES_FILE=HOME/nowhere sync", "COPILOT_ALIASES_FILE:", "Correct the path"),
        row("a directory", "COPILOT_ALIASES_FILE=HOME/shared sync", "/shared is not a regular file", "Name the file"),
        aliases("half a list", "fast: [gpt\n", "2: not valid YAML"),
        aliases("a list", "- fast\n", "1: the file is not a mapping"),
        aliases("a name with a blank", "my model: gpt-4o\n", "1: the alias 'my model' is not a valid model name"),
        aliases("a number", "fast: 4\n", "1: the alias fast must refer to a model id"),
        overrides("no number", "gpt-*:\n  litellm_params:\n    rpm: many\n", "line 3: litellm_params.rpm of gpt-*"),
        overrides("half a bracket", "'[gpt': {model_info: {x: 1}}\n", "[gpt can match nothing"),
        overrides("an unknown part", "gpt-*:\n  timeout: 3\n", "gpt-* has 'timeout'"),
        aliases("a pattern that matches nothing", "fast: newest of [gpt\n", "1: the alias fast can match nothing"),
        overrides("a pattern that matches nothing", "'[gpt': {model_info: {a: 1}}\n", "line 1: [gpt can match nothing"),
        overrides("words for a number", "gpt-*:\n  litellm_params:\n    rpm: many\n", "line 3: litellm_params.rpm"),
        overrides("words for seconds", "gpt-*:\n  litellm_params:\n    timeout: x\n", "line 3: litellm_params.timeout"),
        overrides("a key of one's own", "gpt-*:\n  litellm_params:\n    api_key: x\n", "litellm_params.api_key"),
        row("a directory", "COPILOT_MODELS_FILE=HOME/tokens sync", "/tokens cannot be read", "rename or remove it", 5),
        row("no such directory", "COPILOT_MODELS_FILE=HOME/nowhere/models.yaml sync", "/nowhere/models.yaml",
            "create it", 5),
        row("below a file", "COPILOT_LOG_FILE=HOME/tokens/access-token/log sync",
            "the log file", "access-token is not a directory", 5),
        row("below what belongs to another user", "COPILOT_LOG_FILE=HOME/closed/logs/log sync",
            "the log file's directory", "COPILOT_LOG_FILE", 5, prepare=_closed, nobody=True),
        row("no such file", "REQUESTS_CA_BUNDLE=HOME/nowhere GITHUB_COPILOT_API_KEY_URL=https://127.0.0.1:1/x sync",
            "REQUESTS_CA_BUNDLE=", "unset it"),
    ]  # fmt: skip


WRONG = [*commands(), *settings(), *addresses(), *tokens(), *catalogs(), *files()]
