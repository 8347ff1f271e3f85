"""Every setting of the program, declared once: environment variable, type, default, help.

The environment is a parameter, nothing is read at import. All mistakes are reported together, by
name, before anything runs. ``docs/reference.md`` is generated from this table.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sidecar.errors import UsageError


class Secret:
    """A value that never shows itself; deliberately not a string, so that nothing formats or dumps it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "Secret('***')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def reveal(self) -> str:
        """The value itself, for the one request header or file that needs it."""
        return self._value


def boolean(text: str) -> bool:
    """true or false"""
    value = text.strip().lower()
    if value in {"true", "1", "yes", "on"}:
        return True
    if value in {"false", "0", "no", "off"}:
        return False
    raise ValueError("is neither true nor false")


def whole_number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text.strip())
        except ValueError:
            raise ValueError("is not a whole number") from None
        if not low <= value <= high:
            raise ValueError(f"is not between {low} and {high}")
        return value

    parse.__doc__ = f"whole number, {low} to {high}"
    return parse


def choice(*values: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.strip() not in values:
            raise ValueError(f"is none of: {', '.join(values)}")
        return text.strip()

    parse.__doc__ = " or ".join(f"`{value}`" for value in values)
    return parse


def path(text: str) -> Path:
    """path"""
    if "\0" in text:
        raise ValueError("holds a NUL character")
    # Path.expanduser raises for a uid that has no home, as containers have; this leaves the `~` as it is.
    return Path(os.path.expanduser(text))


def file_name(text: str) -> str:
    """file name"""
    if "\0" in text:
        raise ValueError("holds a NUL character")
    return text


def url(text: str) -> str:
    """address"""
    try:
        parts = urlsplit(text.strip())
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid or parts.username or parts.password:
        raise ValueError("is not an http(s) address without a user name")
    return text.strip().rstrip("/")


def words(text: str) -> str:
    """command"""
    try:
        parts = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"cannot be split into words: {error}") from None
    if not parts or "\0" in text:
        raise ValueError("holds no command")
    return text


def header_value(text: str) -> str:
    """text"""
    if not re.fullmatch(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?", text):
        raise ValueError("is not plain ASCII text on one line")
    return text


def configmap_name(text: str) -> str:
    """`name` or `namespace/name`"""
    parts = text.strip().split("/")
    subdomain = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
    if len(parts) > 2 or not all(subdomain.fullmatch(part) for part in parts):
        raise ValueError("is not the name of a ConfigMap, or namespace/name")
    return "/".join(parts)


def credential_name(text: str) -> str:
    """letters, digits, spaces and `._:@+-`, up to 128"""
    name = text.strip()
    # No slash: LiteLLM resolves what begins with os.environ/ or oidc/.
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9 ._:@+-]{0,126}[A-Za-z0-9._:@+-])?", name):
        raise ValueError(
            "is not a credential name: up to 128 letters, digits, spaces and ._:@+-, a letter or digit first"
        )
    return name


def text_value(text: str) -> str:
    """text"""
    return text.strip()


def globs(text: str) -> tuple[str, ...]:
    """comma-separated patterns (`*`, `?`, `[…]`)"""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def secret(text: str) -> Secret:
    """secret"""
    return Secret(text.strip())


def knob(
    name: str,
    parse: Callable[[str], Any],
    default: str | None,
    help: str,
    *,
    private: bool = False,
    plain_http: bool = False,
) -> Any:
    """Declare a setting; ``default`` is text like the environment's, None means "not set".

    A ``private`` value is never shown; ``plain_http`` lets an address be http without COPILOT_INSECURE_HTTP.
    """
    parsed = None if default is None else parse(default)
    about = {"name": name, "parse": parse, "default": default, "help": help}
    return field(default=parsed, metadata={**about, "private": private, "plain_http": plain_http})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one run, checked. Durations are in seconds."""

    token_dir: Path = knob(
        "GITHUB_COPILOT_TOKEN_DIR",
        path,
        "~/.config/litellm/github_copilot",
        "The token directory: holds the access token. `/github_auth` in the image.",
    )
    access_token_file: str = knob(
        "GITHUB_COPILOT_ACCESS_TOKEN_FILE",
        file_name,
        "access-token",
        "Name of LiteLLM's access token file in the token directory.",
    )
    github_token: Secret | None = knob(
        "GITHUB_TOKEN",
        secret,
        None,
        "An access token for CI and Codespaces, used when the token directory holds none. "
        "It serves `sync`; LiteLLM itself cannot use it.",
        private=True,
    )
    models_file: Path = knob(
        "COPILOT_MODELS_FILE",
        path,
        "copilot_models.yaml",
        "The models file, read by LiteLLM's hook too. `/shared/copilot_models.yaml` in the image.",
    )
    config_file: Path | None = knob(
        "CONFIG_FILE",
        path,
        None,
        "A LiteLLM config that is kept in step in place, instead of the models file: only its generated entries "
        "are replaced.",
    )
    follow_config: Path | None = knob(
        "COPILOT_FOLLOW_CONFIG",
        path,
        None,
        "Read by the hook in LiteLLM's container: LiteLLM's own config, whose `model_list` is then followed too, "
        "entries of all providers: docs/follow-config.md. CONFIG_FILE there has the same effect.",
    )
    config_backups: int = knob(
        "COPILOT_CONFIG_BACKUPS", whole_number(0, 10_000), "10", "Backups of that config that are kept beside it."
    )
    validate: str | None = knob(
        "COPILOT_VALIDATE",
        words,
        None,
        "Run when that config has changed, with its path as the last argument; if it fails, the old one comes back.",
        private=True,
    )
    on_change: str | None = knob(
        "COPILOT_ON_CHANGE",
        words,
        None,
        "Run after a change, with the change as JSON on its input, for at most a minute. There is no shell: "
        "`sh -c '…'` is one.",
        private=True,
    )
    on_change_url: str | None = knob(
        "COPILOT_ON_CHANGE_URL",
        url,
        None,
        "Where the change is posted as JSON; http will do.",
        private=True,
        plain_http=True,
    )
    on_change_gunicorn: Path | None = knob(
        "COPILOT_ON_CHANGE_GUNICORN",
        path,
        None,
        "A file with the process number of a gunicorn master, which is sent SIGHUP; nothing else ever is.",
    )
    configmap: str | None = knob(
        "COPILOT_CONFIGMAP",
        configmap_name,
        None,
        "In a pod: `sync` keeps the models file and its memory in this ConfigMap instead of in a file.",
    )
    sync_jitter: int = knob(
        "COPILOT_SYNC_JITTER",
        whole_number(0, 3600),
        "0",
        "`sync` waits up to so many seconds first, by chance: for a CronJob, so that installations stay apart.",
    )
    kubernetes_host: str | None = knob(
        "KUBERNETES_SERVICE_HOST", text_value, None, "The API server's address; Kubernetes sets it in every pod."
    )
    kubernetes_port: int = knob(
        "KUBERNETES_SERVICE_PORT", whole_number(1, 65535), "443", "Its port; Kubernetes sets it in every pod."
    )
    sync_on_startup: bool = knob(
        "SYNC_COPILOT_MODELS_ON_STARTUP",
        boolean,
        "true",
        "Sync when `run` starts; `false` waits for the first interval to pass.",
    )
    interval: int = knob(
        "COPILOT_MODEL_SYNC_INTERVAL",
        whole_number(0, 31_536_000),
        "3600",
        "Seconds between two syncs of `run`, give or take a tenth; `0` syncs at start-up only.",
    )
    remove_after: int = knob(
        "COPILOT_REMOVE_AFTER",
        whole_number(1, 1000),
        "3",
        "A model leaves after it was absent from the catalog this many times in a row.",
    )
    health_port: int = knob(
        "COPILOT_HEALTH_PORT",
        whole_number(0, 65535),
        "8080",
        "Port on which `run` answers `/livez`, `/readyz` and `/metrics`; `0` switches it off.",
    )
    log_level: str = knob(
        "COPILOT_LOG_LEVEL",
        choice("DEBUG", "INFO", "WARNING", "ERROR"),
        "INFO",
        "The least important log lines that are written.",
    )
    log_file: Path | None = knob(
        "COPILOT_LOG_FILE",
        path,
        None,
        "Log lines go to this file too, as JSON. It rotates by itself at 100 MB; 5 older ones are kept.",
    )
    litellm_url: str = knob(
        "LITELLM_URL", url, "http://localhost:4000", "LiteLLM's address, for `doctor`.", plain_http=True
    )
    litellm_key: Secret | None = knob("LITELLM_MASTER_KEY", secret, None, "LiteLLM's key, for `doctor`.", private=True)
    include: tuple[str, ...] = knob(
        "COPILOT_MODELS_INCLUDE",
        globs,
        "",
        "Only models whose id matches one of these patterns; all when not set.",
    )
    exclude: tuple[str, ...] = knob(
        "COPILOT_MODELS_EXCLUDE",
        globs,
        "",
        "No model whose id matches one of these patterns; wins over the include patterns.",
    )
    picker_only: bool = knob(
        "COPILOT_PICKER_ONLY",
        boolean,
        "true",
        "Only models that Copilot offers in its own model picker.",
    )
    previews: bool = knob("COPILOT_PREVIEWS", boolean, "true", "Models that are marked as previews too.")
    embeddings: bool = knob("COPILOT_EMBEDDINGS", boolean, "false", "Embedding models too.")
    slashed_ids: bool = knob(
        "COPILOT_SLASHED_IDS",
        boolean,
        "false",
        "Models whose id has a slash too: routers and customers' own models.",
    )
    names: str = knob(
        "COPILOT_MODEL_NAMES",
        choice("prefixed", "bare", "both"),
        "prefixed",
        "What clients call the models: `github_copilot/gpt-4o`, `gpt-4o`, or both.",
    )
    aliases_file: Path | None = knob(
        "COPILOT_ALIASES_FILE",
        path,
        None,
        "YAML file of further names: `claude-sonnet: newest of claude-sonnet-*` or `fast: gpt-4o-mini`.",
    )
    overrides_file: Path | None = knob(
        "COPILOT_OVERRIDES_FILE",
        path,
        None,
        "YAML file of id pattern → `litellm_params` / `model_info` that are merged over the generated ones.",
    )
    prices: str = knob(
        "COPILOT_PRICES",
        choice("live", "litellm", "zero"),
        "live",
        "Prices from the catalog, LiteLLM's own, or zero (flat plans).",
    )
    credential: str | None = knob(
        "COPILOT_CREDENTIAL_NAME",
        credential_name,
        None,
        "The LiteLLM credential with per-user Copilot login under which every model is called, so that each user "
        "spends their own seat. Needs LiteLLM 1.108 or newer and its database: docs/per-user-seats.md.",
    )
    editor_version: str = knob(
        "COPILOT_EDITOR_VERSION",
        header_value,
        "vscode/1.104.1",
        "The `editor-version` header that Copilot sees.",
    )
    editor_plugin_version: str = knob(
        "COPILOT_EDITOR_PLUGIN_VERSION",
        header_value,
        "copilot-chat/0.31.1",
        "The `editor-plugin-version` header that Copilot sees.",
    )
    integration_id: str = knob(
        "COPILOT_INTEGRATION_ID",
        header_value,
        "vscode-chat",
        "The `copilot-integration-id` header that Copilot sees.",
    )
    user_agent: str = knob(
        "COPILOT_USER_AGENT",
        header_value,
        "GitHubCopilotChat/0.31.1",
        "The `user-agent` header that GitHub and Copilot see.",
    )
    client_id: str = knob(
        "GITHUB_COPILOT_CLIENT_ID",
        header_value,
        "Iv1.b507a08c87ecfe98",
        "OAuth client of the device login (LiteLLM's own default).",
    )
    device_code_url: str = knob(
        "GITHUB_COPILOT_DEVICE_CODE_URL",
        url,
        "https://github.com/login/device/code",
        "Where the device login starts.",
    )
    access_token_url: str = knob(
        "GITHUB_COPILOT_ACCESS_TOKEN_URL",
        url,
        "https://github.com/login/oauth/access_token",
        "Where the device login fetches the access token.",
    )
    api_key_url: str = knob(
        "GITHUB_COPILOT_API_KEY_URL",
        url,
        "https://api.github.com/copilot_internal/v2/token",
        "Where the access token is exchanged for a Copilot token. "
        "GHE.com: `https://api.<tenant>.ghe.com/copilot_internal/v2/token`.",
    )
    api_base: str | None = knob(
        "GITHUB_COPILOT_API_BASE",
        url,
        None,
        "Copilot's address where the exchange names none; its host is trusted with the token. "
        "`https://api.githubcopilot.com` when not set.",
    )
    insecure_http: bool = knob(
        "COPILOT_INSECURE_HTTP",
        boolean,
        "false",
        "Let plain http addresses through. For tests and the demo only: the token is sent in the clear.",
    )

    @classmethod
    def load(cls, environ: Mapping[str, str], flags: Mapping[str, tuple[str, str]] | None = None) -> Settings:
        """Check the environment and return the settings; an empty variable counts as not set.

        ``flags`` are variables that were set on the command line, with the flag's name and value: they win.
        Raises UsageError that names every wrong variable or flag, not only the first one.
        """
        flags = flags or {}
        values: dict[str, Any] = {}
        mistakes: list[str] = []
        for item in fields(cls):
            name = item.metadata["name"]
            label, text = flags.get(name) or (name, environ.get(name, ""))
            if not text.strip():
                continue
            try:
                values[item.name] = item.metadata["parse"](text)
            except ValueError as error:
                shown = "***" if item.metadata["private"] else repr(text[:60])
                mistakes.append(f"{label}={shown} {error}")
        settings = cls(**values)
        if not settings.insecure_http:
            for item in fields(cls):
                value = getattr(settings, item.name)
                guarded = item.metadata["parse"] is url and not item.metadata["plain_http"]
                if guarded and value and urlsplit(value).scheme == "http":
                    mistakes.append(f"{item.metadata['name']}={value!r} is not https (the token would be readable)")
        if mistakes:
            raise UsageError(
                "; ".join(mistakes),
                hint="Correct or unset them; docs/reference.md lists what each takes.",
            )
        return settings

    def editor_headers(self) -> dict[str, str]:
        """The four headers without which Copilot refuses a request."""
        return {
            "editor-version": self.editor_version,
            "editor-plugin-version": self.editor_plugin_version,
            "copilot-integration-id": self.integration_id,
            "user-agent": self.user_agent,
        }


def knobs() -> Iterable[Field[Any]]:
    """All settings in the order of declaration, for the reference and for ``--help``."""
    return fields(Settings)


def likely_typos(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Variables that are set, are nobody's, and look like one of ours: ``(as written, as meant)``."""
    known = [item.metadata["name"] for item in knobs()]
    others = {"GITHUB_COPILOT_API_KEY_FILE"}  # LiteLLM's and the hook's; one set of variables serves both containers
    ours = re.compile(r"(COPILOT|GITHUB_COPILOT|SYNC_COPILOT)_\w+")
    typos = []
    for name in sorted(environ):
        if name not in known and name not in others and ours.fullmatch(name):
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
            if close:
                typos.append((name, close[0]))
    return typos
