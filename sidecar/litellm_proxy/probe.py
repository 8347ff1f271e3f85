"""Asks a running LiteLLM what it serves, for ``doctor``. One request per check; nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from sidecar.errors import LiteLLMError, UpstreamError
from sidecar.http_client import Answer, send
from sidecar.litellm_hot_reload.managed import id_of, is_managed
from sidecar.litellm_proxy.master_key import master_key
from sidecar.secret import without_secrets
from sidecar.settings import Settings
from sidecar.text import printable

_MAX_SHOWN = 5
MAX_BYTES = 4 * 1024 * 1024
"""LiteLLM's list of models, in bytes: some 5 KiB for each, those of other providers included."""
_HOOK_STATE = "/copilot_hook"
_UNKNOWN_HINT = (
    "The hook does not support this LiteLLM: use a version listed in docs/compatibility.md, or a newer release of "
    "this project."
)


def check_alive(settings: Settings) -> str:
    """Check that LiteLLM answers. Raises LiteLLMError."""
    status = _get(settings, "/health/liveliness").status
    if status >= 500:
        raise LiteLLMError(f"LiteLLM is not well at {_shown(settings)} (HTTP {status})", hint="See LiteLLM's log.")
    if status != 200:
        what = f"what answers at {_shown(settings)} is not LiteLLM (HTTP {status})"
        raise LiteLLMError(what, hint="Correct LITELLM_URL.")
    return f"it answers at {_shown(settings)}"


def check_in_sync(settings: Settings, entries: Mapping[str, Any]) -> str:
    """Check that the managed entries LiteLLM serves are exactly ``entries`` (by id). Raises LiteLLMError."""
    answer = _get(settings, "/model/info", with_key=True)
    if answer.status in {401, 403}:
        source = "LITELLM_MASTER_KEY" if settings.litellm_key else settings.litellm_key_file
        what = f"the key in {source}" if source else "a request without a key"
        raise LiteLLMError(
            f"LiteLLM refuses {what}", hint="Set LITELLM_MASTER_KEY to the value that LiteLLM was started with."
        )
    listed = answer.json.get("data") if answer.status == 200 and isinstance(answer.json, dict) else None
    if not isinstance(listed, list):
        raise LiteLLMError(f"LiteLLM does not list its models (HTTP {answer.status})", hint="See LiteLLM's log.")
    served = [item for item in listed if isinstance(item, dict)]
    names = {str(item.get("model_name")) for item in served}
    missing = sorted({str(item.get("model_name")) for item in entries.values()} - names)
    stale = sorted(str(item.get("model_name")) for item in served if _stale(item, entries))
    if missing or stale:
        differences = [
            f"{what} {_list(some)}" for what, some in (("does not serve", missing), ("still serves", stale)) if some
        ]
        raise LiteLLMError(
            f"LiteLLM {' and '.join(differences)}",
            hint="With the hook: look for `copilot-hook` in LiteLLM's log. With a config: restart LiteLLM, or set "
            "COPILOT_ON_CHANGE to a command that does.",
        )
    return f"LiteLLM serves all {len(entries)} entries"


def check_hook(settings: Settings) -> str | None:
    """What the hook reports about the LiteLLM it runs in; None if there is no hook. Raises LiteLLMError."""
    answer = _get(settings, _HOOK_STATE, with_key=True)
    state = answer.json if answer.status == 200 and isinstance(answer.json, dict) else {}
    if "litellm" not in state:
        return None
    known = f"LiteLLM {printable(state['litellm'], 30)}"
    if not state.get("follows"):
        raise LiteLLMError(f"the hook cannot follow the models in {known}", hint=_UNKNOWN_HINT)
    missing = _texts(state, "unguarded")
    if not state.get("refusals_noticed"):
        missing.append("tokens that Copilot refuses")
    if missing:
        raise LiteLLMError(f"in {known} the hook does not protect: {', '.join(missing)}", hint=_UNKNOWN_HINT)
    if state.get("notes"):
        raise LiteLLMError(f"{known}: {_list(_texts(state, 'notes'))}", hint=_UNKNOWN_HINT)
    for what in ("models_problem", "config_problem"):
        if state.get(what):
            raise LiteLLMError(
                f"the hook cannot read a file: {printable(state[what], 200)}",
                hint="LiteLLM keeps serving the previous version. `sync` rewrites a models file; fix a config by hand.",
            )
    if state.get("refused"):
        raise LiteLLMError(
            f"LiteLLM refuses {_list(_texts(state, 'refused'))}",
            hint="See LiteLLM's log for the reason.",
        )
    if state.get("restart_for"):
        changed = _list(_texts(state, "restart_for"))
        raise LiteLLMError(
            f"changed in LiteLLM's config since it started: {changed}", hint="Restart LiteLLM to apply them."
        )
    return f"{known}, models by {printable(state['follows'], 60)}, guarded: {_list(_texts(state, 'guarded'))}"


def _texts(state: Mapping[str, Any], key: str) -> list[str]:
    """A list of the hook's report; whatever else stands there, as a list of one."""
    value = state.get(key) or []
    return [printable(item, 60) for item in (value if isinstance(value, list) else [value])]


def _stale(item: Mapping[str, Any], entries: Mapping[str, Any]) -> bool:
    return is_managed(item) and id_of(item) not in entries


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
    return printable(", ".join(names[:_MAX_SHOWN]), 300) + more


def _shown(settings: Settings) -> str:
    return without_secrets(settings.litellm_url)


def _get(settings: Settings, path: str, *, with_key: bool = False) -> Answer:
    key = master_key(settings) if with_key else None
    try:
        return send(
            "GET",
            settings.litellm_url + path,
            headers={"user-agent": "copilot-model-sync"},
            authorization=("Bearer", key) if key else None,
            max_bytes=MAX_BYTES,
            no_proxy=urlsplit(settings.litellm_url).scheme == "http",  # a proxy would read the key
        )
    except UpstreamError as error:
        raise LiteLLMError(
            f"LiteLLM does not answer at {_shown(settings)}: {error}",
            hint="Start LiteLLM, or set LITELLM_URL to where it is.",
        ) from None
