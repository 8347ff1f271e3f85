"""Keeps LiteLLM's Copilot login from calling GitHub on the event loop, where all of the worker's traffic would
wait for it.

``Authenticator.get_api_key`` returns the keeper's Copilot token (LiteLLM before 1.110 would exchange one, 1.110
would send the long-lived access token itself), and ``get_api_base`` the address named by the exchange (1.110
would ask GitHub's user endpoint on each request). Without a valid token, a request fails immediately and says
why, while a registration succeeds: LiteLLM only checks that there is a token, and would otherwise drop the model
for good. Whatever else that module may do in future, its HTTP client refuses to work on the event loop's thread.

LiteLLM shows a request as it would be sent, ``Authorization`` included, to whoever asks ``/utils/transform_request``.
While it makes one for that, it is given a stand-in for the token.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ..keeper import Keeper

PLACEHOLDER = "no-copilot-token-yet"
SHOWN_REQUESTS = "shown requests"
HIDDEN = "hidden-by-copilot-hook"
_SHOWN: contextvars.ContextVar[bool] = contextvars.ContextVar("copilot_hook_shown", default=False)
_KNOWN = {"get_access_token", "get_api_key", "get_api_base"}
_CLIENTS = ("get_httpx_client", "_get_httpx_client")


class Guard:
    """``guarded`` and ``unguarded`` list what was found and what was not; ``unknown`` lists unfamiliar methods."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.guarded: list[str] = []
        self.unguarded: list[str] = []
        self.unknown: list[str] = []
        self._registering = threading.local()  # LiteLLM runs parts of requests in other threads

    @contextlib.contextmanager
    def registering(self) -> Iterator[None]:
        """Within this context, this thread registers models and does not run requests."""
        outer = getattr(self._registering, "now", False)
        self._registering.now = True
        try:
            yield
        finally:
            self._registering.now = outer

    @property
    def keeps_registrations(self) -> bool:
        """Whether a model can be registered without a token."""
        return "get_api_key" in self.guarded

    def install(self) -> None:
        """Replace the known methods that exist. Never raises."""
        try:
            from litellm.llms.github_copilot import authenticator as module
        except ImportError:
            self.unguarded.append("litellm.llms.github_copilot.authenticator")
            return
        login = getattr(module, "Authenticator", None)
        for name, ours in (("get_api_key", self._get_api_key), ("get_api_base", self._get_api_base)):
            if callable(getattr(login, name, None)):
                setattr(login, name, _method(ours))
                self.guarded.append(name)
            else:
                self.unguarded.append(name)
        clients = [name for name in _CLIENTS if callable(getattr(module, name, None))]
        for name in clients:
            setattr(module, name, _off_the_loop(getattr(module, name)))
        (self.guarded if clients else self.unguarded).append("HTTP client")
        self._hide_shown_requests()
        self.unknown = sorted(name for name in vars(login or object) if name[0] != "_" and name not in _KNOWN)

    def _hide_shown_requests(self) -> None:
        """LiteLLM's route imports the function when it is called, so that the replacement counts."""
        import litellm.utils as module

        make = getattr(module, "return_raw_request", None)
        if callable(make):
            module.return_raw_request = _shown(make)
        (self.guarded if callable(make) else self.unguarded).append(SHOWN_REQUESTS)

    def _get_api_key(self) -> str:
        if _SHOWN.get():
            return HIDDEN
        token = self.keeper.current()
        if token is not None:
            return token
        if getattr(self._registering, "now", False):
            return PLACEHOLDER
        raise _unavailable(self.keeper.problem)

    def _get_api_base(self) -> str | None:
        return self.keeper.api_base()


def _method(ours: Callable[[], Any]) -> Callable[[Any], Any]:
    return lambda _authenticator: ours()


def _shown(make: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(make)
    def hidden(*args: Any, **named: Any) -> Any:
        before = _SHOWN.set(True)
        try:
            return make(*args, **named)
        finally:
            _SHOWN.reset(before)

    return hidden


def _off_the_loop(client: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(*args: Any, **named: Any) -> Any:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return client(*args, **named)
        raise _unavailable("LiteLLM would have called GitHub on its event loop")

    return guarded


def _unavailable(reason: str) -> Exception:
    """A BadRequestError, because LiteLLM passes it through wherever in a request it is raised, and because it does not
    put the model into cooldown, whose own error would hide the reason.
    """
    import litellm

    error: Exception = litellm.BadRequestError(f"GitHub Copilot is not available: {reason}", "", "github_copilot")
    return error
