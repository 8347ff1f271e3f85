"""Every setting, declared once: environment variable, type, default, help.

The environment is a parameter; nothing is read at import. All errors are reported together, by name,
before anything runs. ``docs/reference.md`` is generated from this table.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Generic, TypeVar, overload
from urllib.parse import urlsplit

from sidecar.errors import UsageError
from sidecar.litellm_hot_reload import exchange
from sidecar.parsers import (
    ADDRESS,
    ANYTHING,
    BOOLEAN,
    COMMAND,
    CONFIGMAP_NAME,
    CREDENTIAL_NAME,
    FILE_NAME,
    HEADER_VALUE,
    HOST,
    PATH,
    PATTERNS,
    SECRET,
    Parser,
    choice,
    whole_number,
)
from sidecar.secret import without_secrets

T = TypeVar("T")
DAY = 86_400


class Setting(Generic[T]):
    """The declaration of a setting; on an instance of ``Settings`` the attribute is its value.

    ``default`` is text, as in the environment; None means "not set". A ``private`` value is never shown, nor a password
    in another one. An ``https_only`` address is sent a token, so it may be http only with COPILOT_INSECURE_HTTP.
    """

    def __init__(
        self,
        name: str,
        parser: Parser[T],
        default: str | None,
        help: str,
        *,
        private: bool = False,
        https_only: bool = False,
    ) -> None:
        self.name, self.parser, self.default, self.help = name, parser, default, help
        self.private, self.https_only = private, https_only

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.attribute = attribute

    @overload
    def __get__(self, instance: None, owner: type) -> Setting[T]: ...

    @overload
    def __get__(self, instance: Settings, owner: type) -> T: ...

    def __get__(self, instance: Settings | None, owner: type) -> Setting[T] | T:
        if instance is None:
            return self
        value: T = instance.values[self.attribute]
        return value

    def __set__(self, instance: Settings, value: T) -> None:
        raise AttributeError(f"{self.name} cannot be changed after the settings are loaded")


def optional(
    name: str, parser: Parser[T], help: str, *, private: bool = False, https_only: bool = False
) -> Setting[T | None]:
    """Declare a setting that is None when not set."""
    return Setting[T | None](name, parser, None, help, private=private, https_only=https_only)


def _editor_header(header: str, help: str) -> Setting[str]:
    variable, default = exchange.EDITOR_HEADERS[header]
    return Setting(variable, HEADER_VALUE, default, help)


class Settings:
    """The settings of one run, checked. Durations are in seconds."""

    token_dir = Setting(
        "GITHUB_COPILOT_TOKEN_DIR",
        PATH,
        exchange.TOKEN_DIR,
        "The token directory, which contains the access token. `/github_auth` in the image.",
    )
    access_token_file = Setting(
        "GITHUB_COPILOT_ACCESS_TOKEN_FILE",
        FILE_NAME,
        exchange.TOKEN_FILE,
        "Name of LiteLLM's access token file in the token directory.",
    )
    github_token = optional(
        "GITHUB_TOKEN",
        SECRET,
        "An access token for CI and Codespaces, used when the token directory has none. "
        "It works for `sync`; LiteLLM itself cannot use it.",
        private=True,
    )
    models_file = Setting(
        "COPILOT_MODELS_FILE",
        PATH,
        "copilot_models.yaml",
        "The models file, also read by LiteLLM's hook. `/shared/copilot_models.yaml` in the image.",
    )
    config_file = optional(
        "CONFIG_FILE",
        PATH,
        "A LiteLLM config to keep in sync in place, instead of the models file; only its generated entries are "
        "replaced.",
    )
    follow_config = optional(
        "COPILOT_FOLLOW_CONFIG",
        PATH,
        "Read by the hook in LiteLLM's container: LiteLLM's own config, whose `model_list` is then followed too, "
        "for all providers (docs/follow-config.md). CONFIG_FILE there has the same effect.",
    )
    sync_url = optional(
        "COPILOT_SYNC_URL",
        ADDRESS,
        "Read by the hook in LiteLLM's container: the sidecar's address, `http://host:port`, to which each worker "
        "reports what it serves. Nothing is reported if not set. The compose file and the sidecar manifests set it.",
    )
    config_backups = Setting(
        "COPILOT_CONFIG_BACKUPS", whole_number(0, 10_000), "10", "How many backups of that config are kept next to it."
    )
    validate = optional(
        "COPILOT_VALIDATE",
        COMMAND,
        "Run after that config has changed, with its path as the last argument; if it fails, the old one is restored.",
        private=True,
    )
    on_change = optional(
        "COPILOT_ON_CHANGE",
        COMMAND,
        "Run after a change, with the change as JSON on its standard input, for at most a minute. No shell is "
        "involved; use `sh -c '…'` for one.",
        private=True,
    )
    on_change_url = optional(
        "COPILOT_ON_CHANGE_URL", ADDRESS, "Address that the change is POSTed to as JSON; may be http.", private=True
    )
    on_change_format = Setting(
        "COPILOT_ON_CHANGE_FORMAT",
        choice("json", "slack", "discord"),
        "json",
        "What is POSTed to that address: the change as JSON, or a message for a webhook of Slack (or of what takes "
        "Slack's form) or Discord.",
    )
    on_change_gunicorn = optional(
        "COPILOT_ON_CHANGE_GUNICORN",
        PATH,
        "PID file of a gunicorn master, which is sent SIGHUP after a change; no other process ever is.",
    )
    configmap = optional(
        "COPILOT_CONFIGMAP",
        CONFIGMAP_NAME,
        "In a pod: `sync` keeps the models file and the record of absences in this ConfigMap instead of in files.",
    )
    sync_jitter = Setting(
        "COPILOT_SYNC_JITTER",
        whole_number(0, 3600),
        "0",
        "`sync` first waits a random time of up to this many seconds, so that CronJobs do not all run at once.",
    )
    kubernetes_host = optional(
        "KUBERNETES_SERVICE_HOST", HOST, "The API server's address; Kubernetes sets it in every pod."
    )
    kubernetes_port = Setting(
        "KUBERNETES_SERVICE_PORT",
        whole_number(1, 65535),
        "443",
        "The API server's port; Kubernetes sets it in every pod.",
    )
    sync_on_startup = Setting(
        "SYNC_COPILOT_MODELS_ON_STARTUP",
        BOOLEAN,
        "true",
        "Sync when `run` starts; `false` waits for the first interval to pass.",
    )
    interval = Setting(
        "COPILOT_MODEL_SYNC_INTERVAL",
        whole_number(0, 31_536_000),
        "3600",
        "Seconds between two syncs of `run`, give or take a tenth; `0` syncs only at startup. A new login is synced at "
        "once, and a failed sync is repeated sooner.",
    )
    remove_after = Setting(
        "COPILOT_REMOVE_AFTER",
        whole_number(1, 1000),
        "3",
        "A model is removed after it was absent from the catalog this many times in a row.",
    )
    accept_loss_after = optional(
        "COPILOT_ACCEPT_LOSS_AFTER",
        whole_number(1, 100_000),
        "Where the catalog loses half of the models or more (and at least two), they are kept, with a warning, until "
        "that has repeated this many times in a row, or until `sync --accept-loss`. A day's worth of syncs if not "
        "set, and never fewer than COPILOT_REMOVE_AFTER.",
    )
    quota = Setting(
        "COPILOT_QUOTA",
        BOOLEAN,
        "true",
        "Ask GitHub once an interval what is left of the account's credit. Nothing depends on the answer.",
    )
    health_port = Setting(
        "COPILOT_HEALTH_PORT",
        whole_number(0, 65535),
        "8080",
        "Port on which `run` answers `/livez`, `/readyz` and `/metrics`, and shows the status page; `0` disables it.",
    )
    status_port = Setting(
        "COPILOT_STATUS_PORT",
        whole_number(0, 65535),
        "8080",
        "Port of 127.0.0.1 on which the compose file publishes the status page; with `0`, anywhere, there is no page.",
    )
    status_trigger = Setting(
        "COPILOT_STATUS_TRIGGER",
        BOOLEAN,
        "false",
        "The status page has a button, and `POST /sync` with a header `copilot-sync`, that start a sync: at most one a "
        "minute.",
    )
    log_level = Setting(
        "COPILOT_LOG_LEVEL",
        choice("DEBUG", "INFO", "WARNING", "ERROR"),
        "INFO",
        "The lowest level of log lines that are written.",
    )
    log_format = Setting(
        "COPILOT_LOG_FORMAT",
        choice("auto", "text", "json"),
        "auto",
        "How log lines are written to standard error. `auto`: text, but JSON by `run` where that is not a terminal.",
    )
    no_color = optional("NO_COLOR", ANYTHING, "With any value, nothing is in colours, on a terminal either.")
    log_file = optional(
        "COPILOT_LOG_FILE",
        PATH,
        "Log lines also go to this file, as JSON. It is rotated at 100 MB; 5 old files are kept. All have mode 0600.",
    )
    litellm_url = Setting(
        "LITELLM_URL", ADDRESS, "http://localhost:4000", "LiteLLM's address, for `doctor` and `connect`."
    )
    client_url = optional(
        "COPILOT_CLIENT_URL",
        ADDRESS,
        "LiteLLM's address as its clients reach it, for `connect`; LITELLM_URL if not set. The compose file sets it.",
    )
    litellm_key = optional("LITELLM_MASTER_KEY", SECRET, "LiteLLM's key, for `doctor`.", private=True)
    litellm_key_file = optional(
        "LITELLM_MASTER_KEY_FILE",
        PATH,
        "File with LiteLLM's key, where LITELLM_MASTER_KEY is not set: `run` makes it, with a new key, if it does not "
        "exist, and the hook gives the key to LiteLLM. `/keys/master-key` in the compose file.",
    )
    include = Setting(
        "COPILOT_MODELS_INCLUDE", PATTERNS, "", "Only models whose id matches one of these patterns; all if not set."
    )
    exclude = Setting(
        "COPILOT_MODELS_EXCLUDE",
        PATTERNS,
        "",
        "No models whose id matches one of these patterns; takes precedence over the include patterns.",
    )
    picker_only = Setting(
        "COPILOT_PICKER_ONLY", BOOLEAN, "true", "Only models that Copilot offers in its own model picker."
    )
    previews = Setting("COPILOT_PREVIEWS", BOOLEAN, "true", "Also models marked as previews.")
    embeddings = Setting("COPILOT_EMBEDDINGS", BOOLEAN, "false", "Also embedding models.")
    slashed_ids = Setting(
        "COPILOT_SLASHED_IDS",
        BOOLEAN,
        "false",
        "Also models whose id contains a slash: routers and customers' own models.",
    )
    names = Setting(
        "COPILOT_MODEL_NAMES",
        choice("prefixed", "bare", "both"),
        "prefixed",
        "What clients call the models: `github_copilot/gpt-4o`, `gpt-4o`, or both; ids with a slash are prefixed.",
    )
    claude_names = Setting(
        "COPILOT_CLAUDE_NAMES",
        BOOLEAN,
        "false",
        "Also the names that Claude Code asks for by itself, which begin with `claude-`: `claude-sonnet-4-5` for "
        "`claude-sonnet-4.5`, and the ids of its releases for the newest of the family (docs/clients.md).",
    )
    aliases_file = optional(
        "COPILOT_ALIASES_FILE",
        PATH,
        "YAML file of additional names: `claude-sonnet: newest of claude-sonnet-*` or `fast: gpt-4o-mini`.",
    )
    overrides_file = optional(
        "COPILOT_OVERRIDES_FILE",
        PATH,
        "YAML file of id pattern → `litellm_params` / `model_info` to merge over the generated ones.",
    )
    prices = Setting(
        "COPILOT_PRICES",
        choice("live", "litellm", "zero"),
        "live",
        "Prices from the catalog, LiteLLM's own, or zero (flat plans).",
    )
    long_context = Setting(
        "COPILOT_LONG_CONTEXT",
        BOOLEAN,
        "true",
        "`false`: `max_input_tokens` ends where the catalog's dearer price for long prompts begins, so that clients "
        "shorten their context before it.",
    )
    credential = optional(
        "COPILOT_CREDENTIAL_NAME",
        CREDENTIAL_NAME,
        "The LiteLLM credential with per-user Copilot login that every model is called with, so that each user "
        "uses their own seat. Requires LiteLLM 1.108 or newer with its database: docs/per-user-seats.md.",
    )
    editor_version = _editor_header("editor-version", "The `editor-version` header that Copilot sees.")
    editor_plugin_version = _editor_header(
        "editor-plugin-version", "The `editor-plugin-version` header that Copilot sees."
    )
    integration_id = _editor_header("copilot-integration-id", "The `copilot-integration-id` header that Copilot sees.")
    user_agent = _editor_header("user-agent", "The `user-agent` header that GitHub and Copilot see.")
    client_id = Setting(
        "GITHUB_COPILOT_CLIENT_ID",
        HEADER_VALUE,
        "Iv1.b507a08c87ecfe98",
        "OAuth client id for the device login (LiteLLM's own default).",
    )
    device_code_url = Setting(
        "GITHUB_COPILOT_DEVICE_CODE_URL",
        ADDRESS,
        "https://github.com/login/device/code",
        "Where the device login starts.",
        https_only=True,
    )
    access_token_url = Setting(
        "GITHUB_COPILOT_ACCESS_TOKEN_URL",
        ADDRESS,
        "https://github.com/login/oauth/access_token",
        "Where the device login fetches the access token.",
        https_only=True,
    )
    api_key_url = Setting(
        "GITHUB_COPILOT_API_KEY_URL",
        ADDRESS,
        exchange.EXCHANGE_URL,
        "Where the access token is exchanged for a Copilot token. "
        "GHE.com: `https://api.<tenant>.ghe.com/copilot_internal/v2/token`.",
        https_only=True,
    )
    api_base = optional(
        "GITHUB_COPILOT_API_BASE",
        ADDRESS,
        "Copilot's address if the exchange names none; its host is trusted with the token. "
        "`https://api.githubcopilot.com` if not set.",
        https_only=True,
    )
    insecure_http = Setting(
        "COPILOT_INSECURE_HTTP",
        BOOLEAN,
        "false",
        "Allow plain http addresses. For tests and the demo only: the token is sent in the clear.",
    )

    def __init__(self, **values: Any) -> None:
        """``values`` by attribute; all others have their defaults."""
        defaults = {
            item.attribute: None if item.default is None else item.parser.parse(item.default) for item in declarations()
        }
        if unknown := values.keys() - defaults.keys():
            raise TypeError(f"there is no setting {', '.join(sorted(unknown))}")
        self.values: Mapping[str, Any] = {**defaults, **values}
        self.blank: frozenset[str] = frozenset()
        """The variables that are set, but to nothing: as a secret that CI does not have."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and self.values == other.values

    @classmethod
    def load(cls, environ: Mapping[str, str], flags: Mapping[str, tuple[str, str]] | None = None) -> Settings:
        """Check the environment and return the settings; an empty variable counts as not set.

        ``flags`` are variables set on the command line, with the flag's name and value; they take precedence.
        Raises a UsageError that names every invalid variable or flag, not only the first.
        """
        flags = flags or {}
        values: dict[str, Any] = {}
        errors: list[str] = []
        for item in declarations():
            label, text = flags.get(item.name) or (item.name, environ.get(item.name, ""))
            if not text.strip():
                continue
            try:
                values[item.attribute] = item.parser.parse(text)
            except ValueError as error:
                shown = "***" if item.private else repr(without_secrets(text)[:60])
                errors.append(f"{label}={shown} {error}")
        settings = cls(**values)
        settings.blank = frozenset(name for name, text in environ.items() if not text.strip())
        if not settings.insecure_http:
            for item in declarations():
                value = settings.values[item.attribute]
                if item.https_only and value and urlsplit(value).scheme == "http":
                    errors.append(f"{item.name}={without_secrets(value)!r} is not https (the token would be readable)")
        if errors:
            raise UsageError(
                "; ".join(errors),
                hint="Correct or unset them; docs/reference.md lists the valid values.",
            )
        return settings

    def accept_after(self) -> int:
        """How many syncs in a row an implausible loss must have repeated before it is believed."""
        day = math.ceil(DAY / self.interval) if self.interval else 24
        return max(self.accept_loss_after or day, self.remove_after)

    def editor_headers(self) -> dict[str, str]:
        """The four headers without which Copilot rejects a request."""
        return {
            "editor-version": self.editor_version,
            "editor-plugin-version": self.editor_plugin_version,
            "copilot-integration-id": self.integration_id,
            "user-agent": self.user_agent,
        }


def declarations() -> list[Setting[Any]]:
    """All settings in the order of declaration."""
    return [item for item in vars(Settings).values() if isinstance(item, Setting)]


def likely_typos(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Unknown variables that look like a misspelled setting of ours: ``(as written, as meant)``."""
    known = [item.name for item in declarations()]
    others = {"GITHUB_COPILOT_API_KEY_FILE"}  # LiteLLM's and the hook's; both containers may share their variables
    ours = re.compile(r"(COPILOT|GITHUB_COPILOT|SYNC_COPILOT)_\w+")
    typos = []
    for name in sorted(environ):
        if name not in known and name not in others and ours.fullmatch(name):
            import difflib

            close = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
            if close:
                typos.append((name, close[0]))
    return typos
