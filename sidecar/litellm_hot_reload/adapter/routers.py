"""Adds, replaces and removes the models of a running LiteLLM: one class per generation of its router.

``Entrypoints``  ``apply(ChangeSet)`` and ``registry()``, documented since 1.109
``Members``      the router's own methods and lists, before that

Every change runs without an await, and so is atomic for all other requests of the worker.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from ..managed import id_of

Entry = dict[str, Any]

NO_COOLDOWN = 0.001
"""Seconds of a cooldown that is as good as over."""


class Refused(Exception):
    """LiteLLM rejects an entry; the router is unchanged."""


class Router(Protocol):
    """What the follower needs from a router of any generation."""

    how: str

    def entries(self) -> list[Mapping[str, Any]]:
        """The models as LiteLLM has them, ``model_info.id`` in each."""

    def version(self) -> object:
        """Changes whenever the models do."""

    def is_at(self, version: Any) -> bool:
        """Whether this is still the version. In any thread, and cheap, as it is asked all the time."""

    def put(self, entry: Entry) -> bool:
        """Add the entry, or replace the one with its id; returns whether anything changed. Raises Refused."""

    def remove(self, key: str) -> None:
        """Remove every entry with this id."""

    def settle(self) -> None:
        """After changes: update LiteLLM's own lists of names."""

    def stable_id(self, entry: Mapping[str, Any]) -> str:
        """The id that LiteLLM gives a config entry without one."""

    def end_cooldowns(self, keys: Iterable[str]) -> None:
        """Let these models serve again immediately."""


def find(proxy: Any) -> Router | None:
    """The adapter that fits the router of ``proxy``, LiteLLM's ``proxy_server`` module; None if none does."""
    router = proxy.llm_router
    for generation in (Entrypoints, Members):
        if all(callable(getattr(type(router), name, None)) for name in generation.needs):
            return generation(proxy, router)
    return None


def _deployment(entry: Entry) -> Any:
    from litellm.types.router import Deployment

    try:
        return Deployment(**copy.deepcopy(entry))
    except Exception as error:
        raise Refused(" ".join(str(error).split())) from None


def _same(present: Any, deployment: Any) -> bool:
    """Whether the router already has this, compared the way LiteLLM does it."""
    return present is not None and all(
        getattr(present, part) == getattr(deployment, part) for part in ("model_name", "litellm_params", "model_info")
    )


def _enforce_mode(entry: Entry) -> None:
    """LiteLLM remembers ``responses`` for a model that once had it and would keep sending chat requests there, even for
    an entry that it loaded itself.
    """
    import litellm

    backend, mode = entry["litellm_params"]["model"], entry["model_info"].get("mode")
    if mode and (litellm.model_cost.get(backend) or {}).get("mode", mode) != mode:
        litellm.register_model({backend: {"mode": mode}})


@contextlib.contextmanager
def _replacing_prices(key: str) -> Iterator[Callable[[], None]]:
    """LiteLLM only ever adds to what it knows about a model, so the price of a removed tier would stay. Yields a
    function to call once LiteLLM has accepted the entry.
    """
    import litellm

    known, accepted = litellm.model_cost.pop(key, None), list[bool]()
    try:
        yield lambda: accepted.append(True)
    finally:
        if not accepted and known is not None:
            litellm.model_cost[key] = known


class Entrypoints:
    """LiteLLM 1.109 and later."""

    needs = ("apply", "registry", "health")
    how = "registry() and apply()"

    def __init__(self, proxy: Any, router: Any) -> None:
        from litellm.router_api import ChangeSet, deployment_id

        self._proxy, self._router = proxy, router
        self._changes, self._deployment_id = ChangeSet, deployment_id

    def entries(self) -> list[Mapping[str, Any]]:
        return list(self._router.registry().all())

    def version(self) -> object:
        return self._router.registry().version

    def is_at(self, version: Any) -> bool:
        return bool(self._router.registry().version == version)

    def put(self, entry: Entry) -> bool:
        deployment, key = _deployment(entry), entry["model_info"]["id"]
        _enforce_mode(entry)
        if _same(self._router.registry().deployment(key), deployment):
            return False
        with _replacing_prices(key) as accept:
            if self._router.apply(self._changes(upsert=[deployment])).upserted[0] is None:
                raise Refused("see LiteLLM's message above")
            accept()
        return True

    def remove(self, key: str) -> None:
        self._router.apply(self._changes(delete=[key]))
        rest = self.entries()
        if not any(id_of(item) == key for item in rest):
            return
        # Its index has one position per id, but a config may contain an id twice. This rebuilds everything.
        self._router.set_model_list([copy.deepcopy(dict(item)) for item in rest if id_of(item) != key])

    def settle(self) -> None:
        registry = self._router.registry()
        names, backends = registry.names(kind="deployment_names"), [_backend_of(item) for item in registry.all()]
        # LiteLLM accepts requests for anything listed here, and only ever adds to it. If it is no longer the live
        # list that it is documented to be, a removed model answers "no deployments" instead of "invalid".
        with contextlib.suppress(TypeError):
            if list(names) != backends:
                names[:] = backends
        self._proxy.llm_model_list = registry.deployments()

    def stable_id(self, entry: Mapping[str, Any]) -> str:
        return str(self._deployment_id(model_group=entry["model_name"], litellm_params=entry["litellm_params"]))

    def end_cooldowns(self, keys: Iterable[str]) -> None:
        cooldowns = self._router.health().cooldowns
        for key in keys:
            # A cooldown can only be ended by replacing it with one that ends immediately.
            cooldowns.add_deployment_to_cooldown(
                model_id=key, original_exception=Exception("over"), exception_status=401, cooldown_time=NO_COOLDOWN
            )


class Members:
    """LiteLLM before 1.109."""

    needs = ("upsert_deployment", "delete_deployment", "get_deployment", "get_model_list")
    how = "upsert_deployment() and delete_deployment()"

    def __init__(self, proxy: Any, router: Any) -> None:
        self._proxy, self._router = proxy, router

    def entries(self) -> list[Mapping[str, Any]]:
        return list(self._router.model_list)

    def version(self) -> object:
        return list(self._router.model_list)

    def is_at(self, version: Any) -> bool:
        # Two lists of the same objects: for a thousand that takes microseconds, and none of them is touched.
        return bool(self._router.model_list == version)

    def put(self, entry: Entry) -> bool:
        deployment, key = _deployment(entry), entry["model_info"]["id"]
        _enforce_mode(entry)
        if _same(self._router.get_deployment(model_id=key), deployment):
            return False
        with _replacing_prices(key) as accept:
            try:
                accepted = self._router.upsert_deployment(deployment) is not None
            except Exception as error:
                raise Refused(" ".join(str(error).split())) from None
            if not accepted:
                raise Refused("see LiteLLM's message above")
            accept()
        return True

    def remove(self, key: str) -> None:
        router = self._router
        names = {item.get("model_name") for item in router.model_list if id_of(item) == key}
        # Its index has one position per id, but a config may contain an id twice.
        while places := [number for number, item in enumerate(router.model_list) if id_of(item) == key]:
            router.model_id_to_deployment_index_map[key] = places[-1]
            router.delete_deployment(id=key)
            if len([item for item in router.model_list if id_of(item) == key]) == len(places):
                raise Refused(f"LiteLLM does not remove {key}")
        for name in names:
            if not router.get_model_list(model_name=name):
                router.model_names.discard(name)

    def settle(self) -> None:
        # LiteLLM accepts requests for anything listed here, and only ever adds to it.
        self._router.deployment_names[:] = [_backend_of(item) for item in self._router.model_list]
        self._proxy.llm_model_list = self._router.get_model_list()

    def stable_id(self, entry: Mapping[str, Any]) -> str:
        make = getattr(self._router, "generate_model_id", None) or self._router._generate_model_id
        return str(make(model_group=entry["model_name"], litellm_params=entry["litellm_params"]))

    def end_cooldowns(self, keys: Iterable[str]) -> None:
        cooldowns = self._router.cooldown_cache
        store = getattr(cooldowns, "cooldown_store", cooldowns.cache)
        for key in keys:
            store.delete_cache(f"deployment:{key}:cooldown")


def _backend_of(item: Mapping[str, Any]) -> Any:
    params = item.get("litellm_params") or {}
    return params.get("model") if isinstance(params, dict) else getattr(params, "model", None)
