"""What LiteLLM reports about requests, through its documented ``CustomLogger``.

``Refusals``    notices Copilot's 401 for a token that should still be valid
``Bills``       does that, and adds up what Copilot says a request cost; only where that is reported to somebody
``UserAgent``   for a LiteLLM whose OpenAI client would send its own User-Agent next to ours: spells the header so
                that ours replaces it. Only used there, because such a logger takes LiteLLM off its fast path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from litellm.integrations.custom_logger import CustomLogger

from ..billing import billed_in, usd

PROVIDER = "github_copilot"
_MAX_STREAMS = 1000


class Refusals(CustomLogger):  # type: ignore[misc]
    """Calls ``refused(model id, Unix time of the request)`` for each 401 from Copilot."""

    def __init__(self, refused: Callable[[str | None, float], None]) -> None:
        super().__init__()
        self._refused = refused

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        if getattr(kwargs.get("exception"), "status_code", None) != 401:
            return
        params = kwargs.get("litellm_params") or {}
        if not _is_copilots(kwargs) or _is_per_user(params):
            return
        self._refused((params.get("model_info") or {}).get("id"), start_time.timestamp())


class Bills(Refusals):
    """Calls ``bill(model, USD billed, USD computed)`` for each request whose bill is to be seen, and for no other, so
    that the two sums are of the same requests. Whose seat pays makes no difference to that.

    Neither method takes a request off LiteLLM's fast paths: both are called after it, the first one for each logger.
    """

    def __init__(self, refused: Callable[[str | None, float], None], bill: Callable[[str, float, float], None]) -> None:
        super().__init__(refused)
        self._bill = bill
        self._streamed: dict[str, float] = {}

    async def async_logging_hook(self, kwargs: Any, result: Any, call_type: str) -> tuple[Any, Any]:
        """Given the last event of a stream of ``/responses`` as it came, with the bill that LiteLLM then leaves out."""
        billed, call = billed_in(result), kwargs.get("litellm_call_id")
        if billed is not None and isinstance(call, str):
            self._streamed[call] = billed
            while len(self._streamed) > _MAX_STREAMS:
                self._streamed.pop(next(iter(self._streamed)))
        return kwargs, result

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        billed = self._streamed.pop(kwargs.get("litellm_call_id"), None)
        # What LiteLLM answers from its own cache was billed when it was asked for.
        if not _is_copilots(kwargs) or kwargs.get("cache_hit"):
            return
        # LiteLLM's type for an answer of /v1/messages lacks the bill; the text of the answer has it, unless streamed.
        for answer in (response_obj, kwargs.get("original_response")):
            billed = billed_in(answer) if billed is None else billed
        if billed is not None:
            model = str(kwargs.get("model")).removeprefix(PROVIDER + "/")
            self._bill(model, billed, usd(kwargs.get("response_cost")) or 0.0)


def _is_copilots(kwargs: Mapping[str, Any]) -> bool:
    """Whether the request went to Copilot."""
    params = kwargs.get("litellm_params") or {}
    return bool((kwargs.get("custom_llm_provider") or params.get("custom_llm_provider")) == PROVIDER)


def _is_per_user(params: Mapping[str, Any]) -> bool:
    """Whether the request used the caller's own seat, and so not our token."""
    return bool(params.get("litellm_credential_name") or params.get("github_copilot_user_session"))


class UserAgent(CustomLogger):  # type: ignore[misc]
    """Spells ``user-agent`` in title case for requests sent through the OpenAI client."""

    async def async_pre_call_deployment_hook(self, kwargs: dict[str, Any], call_type: Any) -> dict[str, Any] | None:
        headers = kwargs.get("extra_headers")
        if getattr(call_type, "value", call_type) != "acompletion" or not isinstance(headers, dict):
            return None
        # An entry without the header is left alone: given any header, LiteLLM omits its own editor headers.
        if "user-agent" not in headers or not _goes_to_chat(str(kwargs.get("model")), kwargs):
            return None
        spelled = {"User-Agent" if name == "user-agent" else name: value for name, value in headers.items()}
        return {**kwargs, "extra_headers": spelled}


def _goes_to_chat(model: str, kwargs: Mapping[str, Any]) -> bool:
    import litellm

    backend = model if model.startswith(PROVIDER + "/") else f"{PROVIDER}/{model}"
    if model != backend and kwargs.get("custom_llm_provider") != PROVIDER:
        return False
    return bool((litellm.model_cost.get(backend) or {}).get("mode") != "responses")


def openai_doubles_user_agent() -> bool:
    """Whether the OpenAI client sends its own User-Agent in addition to one given in lower case."""
    import openai
    from openai._models import FinalRequestOptions

    never: Any = object()  # connecting takes a megabyte of modules and certificates
    unconnected = openai.DefaultAsyncHttpxClient(transport=never)
    client = openai.AsyncOpenAI(api_key="none", base_url="http://127.0.0.1", http_client=unconnected)
    options = FinalRequestOptions.construct(method="post", url="/", headers={"user-agent": "probe"})
    return len(client._build_headers(options).get_list("user-agent")) > 1
