"""What an entry of ours may hold: one list for the models file, which the hook reads, and for the user's overrides,
which the sidecar reads. Pure.

The list names what is allowed, because LiteLLM's own keys change from release to release: some of them send the
Copilot token to an address of somebody's choice (``api_base``, ``custom_llm_provider``, ``use_litellm_proxy``), and
text such as ``os.environ/NAME`` makes LiteLLM put the value of an environment variable in its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from .managed import PROVIDER, is_managed_id
from .text import printable

MAX_FILE_SIZE = 2 * 2**20
MAX_ENTRIES = 1000
"""Of the models file. The largest catalog seen has 42 models, 60 kB of entries; 300 models under two names each take
1.1 MB, and 0.4 s of a thread to parse.
"""
MAX_TEXT = 1000
MAX_LIST = 100
MAX_KEYS = 200
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+/-]{0,199}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+/@-]{0,399}")
_HEADER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
# Bounded, as the time to search grows with the square of the length. The one left out is a dictionary.
_COST = re.compile(r"(?!search_context_)(?=.{4,100}\Z)[a-z0-9_]*cost[A-Za-z0-9_]*")
# LiteLLM resolves `os.environ/NAME` wherever it stands in a config, and these beginnings in some places (1.110:
# proxy/proxy_server.py, secret_managers/main.py, llms/base_llm/auth/identity_source.py).
_INSTRUCTION = re.compile(
    r"os\.environ/|\A\s*(?:oidc|hashicorp_vault|aws_secret_manager|google_secret_manager)/", re.IGNORECASE
)
_OTHERS_HEADER = re.compile(
    r"authorization|proxy-.*|host|(set-)?cookie2?|connection|keep-alive|upgrade|te|trailer|expect|transfer-encoding"
    r"|content-.*|accept-encoding|x-api-key|api-key|x-goog-api-key|forwarded|x-forwarded-.*|x-http-method.*"
)


class Check(NamedTuple):
    """``says`` describes the valid values, for a message."""

    says: str
    holds: Callable[[Any], bool]


def is_instruction(text: str) -> bool:
    """Whether LiteLLM could take ``text`` for a reference to a secret, which it would put in its place."""
    return _INSTRUCTION.search(text) is not None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT and not is_instruction(value)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MAX_LIST and all(map(_is_text, value))


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, bool) or _is_number(value) or _is_text(value)


def _is_headers(value: Any) -> bool:
    return isinstance(value, dict) and len(value) <= MAX_LIST and all(map(_is_header, value.items()))


def _is_header(pair: tuple[Any, Any]) -> bool:
    name, text = pair
    return (
        isinstance(name, str)
        and len(name) <= MAX_TEXT
        and _is_header_name(name)
        and _is_text(text)
        and text.isascii()
        and text.isprintable()
        and text == text.strip()
    )


@lru_cache(128)  # all entries have the same
def _is_header_name(name: str) -> bool:
    others = _OTHERS_HEADER.fullmatch(name.lower().replace("_", "-"))
    return _HEADER.fullmatch(name) is not None and others is None


FLAG = Check("true or false", lambda value: isinstance(value, bool))
NUMBER = Check("a number", _is_number)
AMOUNT = Check("a number of 0 or more, without quotes (0.000001, not 1e-6)", lambda v: _is_number(v) and v >= 0)
COUNT = Check("a whole number of 0 or more", lambda value: isinstance(value, int) and _is_number(value) and value >= 0)
TEXT = Check(f"text of at most {MAX_TEXT} characters that is no reference to a secret", _is_text)
TEXTS = Check("a list of texts", _is_texts)
STOP = Check("text or a list of texts", lambda value: _is_text(value) or _is_texts(value))
HEADERS = Check(
    "header names with texts as values (in quotes), but no header of the connection or of the login", _is_headers
)
SCALAR = Check("a number, true, false, or text that is no reference to a secret", _is_scalar)
PROVIDER_NAME = Check(PROVIDER.rstrip("/"), lambda value: value == PROVIDER.rstrip("/"))

PARAMS: Mapping[str, Check] = {
    "extra_headers": HEADERS,
    **dict.fromkeys(
        ("timeout", "stream_timeout", "cooldown_time", "keepalive_seconds", "max_budget", "weight"), AMOUNT
    ),
    **dict.fromkeys(("max_retries", "num_retries", "max_parallel_requests", "order"), COUNT),
    **dict.fromkeys(("rpm", "tpm", "itpm", "otpm", "rpd", "tpd"), COUNT),
    **dict.fromkeys(("default_api_key_rpm_limit", "default_api_key_tpm_limit"), COUNT),
    **dict.fromkeys(("budget_duration", "reasoning_effort", "service_tier", "verbosity"), TEXT),
    **dict.fromkeys(("tags", "additional_drop_params", "allowed_openai_params"), TEXTS),
    **dict.fromkeys(("drop_params", "merge_reasoning_content_in_choices", "parallel_tool_calls"), FLAG),
    **dict.fromkeys(("temperature", "top_p", "presence_penalty", "frequency_penalty"), NUMBER),
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "seed"), COUNT),
    "stop": STOP,
}
"""The keys of ``litellm_params`` that overrides may set, besides all prices (``…cost…``)."""
_SEAT = ("litellm_credential_name", "github_copilot_auth_type")
_PER_USER = "per_user_oauth"
INFO: Mapping[str, Check] = {
    "litellm_provider": PROVIDER_NAME,
    "tier": Check("free or paid", lambda value: value in ("free", "paid")),
    **dict.fromkeys(("mode", "base_model", "pricing_provider", "team_id", "team_public_model_name"), TEXT),
    **dict.fromkeys(("blocked", "discoverable", "member_auto_router", "allow_fail_open"), FLAG),
    **dict.fromkeys(("enable_tag_filtering", "internal_router_model", "enforce_supported_endpoints"), FLAG),
    **dict.fromkeys(("rpm", "tpm"), COUNT),
    "max_embedding_batch_size": Check("a whole number above 0", lambda value: COUNT.holds(value) and value > 0),
}
"""The keys of ``model_info`` that LiteLLM has a type for, besides abilities, prices and limits; others are free."""
_LITELLMS_OWN = re.compile(r"(?:created|updated)_(?:at|by)|access_windows|tiered_pricing|off_peak_pricing|ptu_.*")
_STEERS_LITELLM = {
    "id": "it marks the entry as managed",
    "db_model": "LiteLLM would look for the model in its database",
    "health_check_model": "LiteLLM would call another model",
    "health_check_params": "LiteLLM would call the model with other parameters",
}


def param_problem(key: object, value: object) -> str | None:
    """Why ``litellm_params`` may not hold this, worded to follow the key; None if it may. Only the keys that anybody
    may set, so neither ``model`` nor the credential.
    """
    check = PARAMS.get(key) if isinstance(key, str) else None
    if check is None and isinstance(key, str) and _COST.fullmatch(key):
        check = AMOUNT
    if check is None:
        return "is not one of the keys that may be set"
    return None if check.holds(value) else f"must be {check.says}"


def info_problem(key: object, value: object) -> str | None:
    """Why ``model_info`` may not hold this besides its id, worded to follow the key; None if it may."""
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        return "is not a name of letters, digits and underscores"
    check = _info_check(key)
    if isinstance(check, str):
        return check
    if check is None:
        check = TEXTS if isinstance(value, list) else SCALAR
    return None if check.holds(value) else f"must be {check.says}"


@lru_cache(128)  # all entries have the same keys
def _info_check(key: str) -> Check | str | None:
    """What is asked of this key's value, or why there may be none; None if it is free."""
    if key in _STEERS_LITELLM:
        return f"must not be set: {_STEERS_LITELLM[key]}"
    if _LITELLMS_OWN.fullmatch(key):
        return "must not be set: LiteLLM takes it only in a form of its own"
    if key not in INFO and key.startswith("supports_"):
        return FLAG
    if key not in INFO and (_COST.fullmatch(key) or key.endswith("_tokens")):
        return AMOUNT
    return INFO.get(key)


def entry_problem(entry: object) -> str | None:
    """Why this is no entry of ours, with the name of the key; None if it is one."""
    if not isinstance(entry, dict) or entry.keys() != {"model_name", "litellm_params", "model_info"}:
        return "an entry has other keys than model_name, litellm_params and model_info"
    name, params, info = entry["model_name"], entry["litellm_params"], entry["model_info"]
    if not isinstance(name, str) or not _NAME.fullmatch(name) or is_instruction(name):
        return f"model_name is {printable(repr(name), 60)}, not a valid name"
    if not isinstance(params, dict) or not isinstance(info, dict) or max(len(params), len(info)) > MAX_KEYS:
        return f"litellm_params or model_info of {name} is not a mapping, or too large"
    model, key = params.get("model"), info.get("id")
    if (
        not isinstance(model, str)
        or not model.startswith(PROVIDER)
        or not _NAME.fullmatch(model.removeprefix(PROVIDER))
    ):
        return f"litellm_params.model of {name} is not a model of {PROVIDER}"
    if not (isinstance(key, str) and is_managed_id(key) and _ID.fullmatch(key)):
        return f"model_info.id of {name} is not that of a managed entry"
    seat = {part: params[part] for part in _SEAT if part in params}
    if seat and not (len(seat) == 2 and seat[_SEAT[1]] == _PER_USER and _is_text(seat[_SEAT[0]])):
        return f"litellm_params.{next(iter(seat))} of {name} does not name each user's own seat"
    for part, content, known, problem_of in (
        ("litellm_params", params, {"model", *_SEAT}, param_problem),
        ("model_info", info, {"id"}, info_problem),
    ):
        for own, value in content.items():
            problem = None if own in known else problem_of(own, value)
            if problem:
                return f"{part}.{printable(own, 60)} of {name} {problem}"
    return None
