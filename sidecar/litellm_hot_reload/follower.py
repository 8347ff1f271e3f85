"""Keeps a router in step with the models file and, if configured, with LiteLLM's own config.

It compares what the files want with what the router actually has instead of just reacting to changes, so anything
LiteLLM dropped comes back. It works in short slices, so that requests are served in between.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from .adapter import routers
from .adapter.provider import Guard
from .adapter.proxy import Knowledge
from .adapter.routers import Refused, Router
from .config_file import ConfigFile
from .inotify import Inotify
from .lookout import forever
from .managed import id_of, is_managed, is_managed_id
from .models_file import ModelsFile
from .slices import Slices
from .text import printable

log = logging.getLogger("copilot_hook")

POLL = 0.75
QUIET = 2.0
"""Seconds between two looks, and between two while there is nothing to do and the kernel tells when a file changes."""
REST = 1.0
"""Seconds for which a file that is written in place must stay as it is."""
RETRY_REFUSED = 60.0
FORGET_COOLDOWN = 10.0

Entry = Mapping[str, Any]


class Standing(NamedTuple):
    """What the router has of the models file: the file's ``digest``, once every entry of it is applied, and how many
    entries are served. ``refused`` are names and reasons, of the config's entries too.
    """

    digest: str = ""
    entries: int = 0
    refused: tuple[tuple[str, str], ...] = ()


class Follower:
    """``proxy`` is LiteLLM's ``proxy_server`` module. ``on_change`` is called when ``standing`` has changed."""

    def __init__(
        self, proxy: Any, guard: Guard, knowledge: Knowledge, models: ModelsFile | None, config: ConfigFile | None
    ) -> None:
        self.proxy, self.guard, self.knowledge = proxy, guard, knowledge
        self.models, self.config = models, config
        self.sources = [source for source in (models, config) if source is not None]
        self._router: Router | None = None
        self._routed: object = None
        self._applied: dict[str, Entry] = {}
        self._refused: dict[str, tuple[Entry, float, str]] = {}
        self._conflicts: frozenset[str] = frozenset()
        self._in_config: dict[str, Entry] | None = None
        self._wanted_by_config: dict[str, Entry] = {}
        self._loaded_settings: dict[str, Any] = {}
        self._restart_for: tuple[str, ...] = ()
        self._settled: tuple[object, object, object] | None = None
        self._cooldowns: dict[str, float] = {}
        self._waiting = False
        self.standing = Standing()
        self.on_change: Callable[[], None] = lambda: None
        self.task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Follow forever."""
        await forever(self.look, self.turn, self.wait)

    def wait(self, notices: Inotify) -> None:
        """Block until it is time for the next look."""
        if any(source.is_being_written for source in self.sources):
            time.sleep(REST)
            return
        is_told = notices.watches([path for source in self.sources for path in source.files])
        is_idle = self._settled is not None and not self._waiting and not self._cooldowns
        notices.wait(QUIET if is_told and is_idle else POLL)

    def refresh(self) -> None:
        """Re-read the files that have changed. Blocks; never raises."""
        for source in self.sources:
            source.refresh()

    def look(self) -> bool:
        """Re-read the files that have changed; whether there is anything to do. Blocks; never raises."""
        self.refresh()
        try:
            router = getattr(self.proxy, "llm_router", None)
            if router is None or router is not self._routed:
                return router is not None
            return self._router is not None and (bool(self._cooldowns) or not self._is_settled(self._router))
        except Exception:
            return True  # the turn will say what is wrong

    def _is_settled(self, router: Router) -> bool:
        """Whether nothing has changed since a turn that found nothing to do: neither the files nor LiteLLM's models.
        This, and not each entry, is looked at while idle.
        """
        if self._settled is None or self._waiting:
            return False
        if self._refused and min(again for _, again, _ in self._refused.values()) <= time.monotonic():
            return False
        (wanted, entries), (then_wanted, then_entries, version) = self._sources(), self._settled
        return wanted is then_wanted and entries is then_entries and router.is_at(version)

    def _sources(self) -> tuple[Mapping[str, Entry] | None, Sequence[Entry] | None]:
        return self.models.wanted if self.models else None, self.config.entries if self.config else None

    async def turn(self) -> None:
        """Apply to the router what has changed. On the event loop."""
        router = self.router()
        if router is None:
            return
        self.end_cooldowns()
        if self._is_settled(router):
            return
        wanted, entries = self._sources()
        version = router.version()
        touched = self._waiting = False
        if self.config is not None and entries is not None:
            touched = await self._follow_config(router, self.config, entries, owned=wanted is None)
        if wanted is not None:
            touched = await self._follow_models(router, wanted) or touched
        if touched:
            router.settle()
        gone = self._refused.keys() - (wanted or {}).keys() - self._wanted_by_config.keys()
        for key in gone:
            del self._refused[key]
        # Only a turn that changed nothing shows that nothing is to be done, as LiteLLM may change its models meanwhile.
        self._settled = None if touched else (wanted, entries, version)
        self._stand(wanted or {}, self.models.digest if self.models else "")

    def router(self) -> Router | None:
        """The adapter for LiteLLM's router; None while there is no router or it is unknown."""
        current = getattr(self.proxy, "llm_router", None)
        if current is None:
            return None
        if current is not self._routed:
            self._router, self._routed = routers.find(self.proxy), current
            self.knowledge.follows = self._router.how if self._router else ""
            self._applied.clear()
            self._settled = None
        return self._router

    def note_cooldown(self, key: str | None) -> None:
        """Note that LiteLLM puts this model into cooldown because of a refused token."""
        if key is not None:
            self._cooldowns[key] = time.monotonic() + FORGET_COOLDOWN

    def end_cooldowns(self) -> None:
        """End the cooldowns that were only caused by the refused token. Runs on the event loop.

        Also if there is no valid token at all: requests then fail with the reason, which a cooldown would hide.
        """
        keeper = self.guard.keeper
        if not self._cooldowns or (keeper.is_refused() and keeper.current() is not None):
            return
        router, now = self.router(), time.monotonic()
        if router is not None:
            router.end_cooldowns(list(self._cooldowns))
        # A failure that is reported late may start the cooldown again.
        self._cooldowns = {key: until for key, until in self._cooldowns.items() if until > now}

    def state(self) -> dict[str, Any]:
        """What is followed, as JSON types."""
        return {
            "models_file": str(self.models.path) if self.models else None,
            "models": len(self.models.wanted) if self.models and self.models.wanted is not None else None,
            "models_problem": self.models.problem if self.models else "",
            "config": str(self.config.path) if self.config else None,
            "config_problem": self.config.problem if self.config else "",
            "restart_for": list(self._restart_for),
            "refused": sorted(str(entry["model_name"]) for entry, _, _ in self._refused.values()),
        }

    def _stand(self, wanted: Mapping[str, Entry], digest: str) -> None:
        """Note where things stand after a turn. An entry that gives way to one of the config's is applied."""
        applied = self._applied
        whole = all(applied.get(key) is entry or key in self._conflicts for key, entry in wanted.items())
        refused = tuple((str(entry["model_name"]), reason) for entry, _, reason in self._refused.values())
        standing = Standing(digest if whole else "", sum(key in applied for key in wanted), refused)
        if standing != self.standing:
            self.standing = standing
            self.on_change()

    async def _follow_models(self, router: Router, wanted: Mapping[str, Entry]) -> bool:
        """Apply the difference between the models file and the router; returns whether there was one."""
        listed, touched = router.entries(), False
        own_names = {item.get("model_name") for item in listed if not is_managed(item)}
        conflicts = frozenset(key for key, entry in wanted.items() if entry["model_name"] in own_names)
        for key in conflicts - self._conflicts:
            log.info("%s stays as config.yaml has it; the catalog's entry is skipped", wanted[key]["model_name"])
        self._conflicts = conflicts
        present = {id_of(item): str(item.get("model_name")) for item in listed if is_managed(item)}
        copies = Counter(id_of(item) for item in listed)
        # After a start without them every request for one of them fails until it is there.
        slices = Slices() if present else Slices(share=0)
        for key in [key for key in present if key not in wanted or key in conflicts]:
            touched = self._remove(router, key, present[key]) or touched
            await slices.pause()
        for key, entry in wanted.items():
            if key in conflicts or (key in present and copies[key] == 1 and self._applied.get(key) is entry):
                continue
            if copies[key] > 1:
                log.warning("%s is also in LiteLLM's config; the models file owns it", entry["model_name"])
            touched = self._put(router, key, entry, known=key in present, duplicate=copies[key] > 1) or touched
            await slices.pause()
        return touched

    async def _follow_config(
        self, router: Router, config: ConfigFile, entries: Sequence[Entry], *, owned: bool
    ) -> bool:
        """Apply what has changed in LiteLLM's config since it was loaded; returns whether anything had.

        ``owned``: managed entries in it count as its own, because there is no models file.
        """
        wanted = {key: entry for key, entry in self._with_ids(router, entries) if owned or not is_managed_id(key)}
        self._wanted_by_config = wanted
        if self._in_config is None:
            # LiteLLM has already loaded these itself.
            self._in_config, self._loaded_settings = wanted, config.settings
            return False
        self._report_needed_restart(config)
        before, touched, slices = self._in_config, False, Slices()
        names = {id_of(item): str(item.get("model_name")) for item in router.entries()}
        # New entries first, so that a name that stays is served without interruption.
        for key, entry in wanted.items():
            if before.get(key) != entry and self._put(router, key, entry, known=key in names):
                touched = True
                await slices.pause()
        for key in [key for key in before if key not in wanted]:
            if key in names:
                touched = self._remove(router, key, names[key]) or touched
                await slices.pause()
            elif key not in self._refused:
                log.warning("%s was not found in LiteLLM; a restart will remove it", before[key]["model_name"])
        # If LiteLLM refuses an entry, its previous version is still there and has to be removed along with it.
        applied = {key: before.get(key) if key in self._refused else entry for key, entry in wanted.items()}
        self._in_config = {key: entry for key, entry in applied.items() if entry is not None}
        return touched

    def _with_ids(self, router: Router, entries: Sequence[Entry]) -> list[tuple[str, Entry]]:
        found = list[tuple[str, Entry]]()
        for entry in entries:
            info = entry.get("model_info") or {}
            key = str(info["id"]) if info.get("id") else router.stable_id(entry)
            found.append((key, {**entry, "model_info": {**info, "id": key}}))
        return found

    def _report_needed_restart(self, config: ConfigFile) -> None:
        loaded, now = self._loaded_settings, config.settings
        changed = tuple(sorted(key for key in loaded.keys() | now.keys() if loaded.get(key) != now.get(key)))
        if changed != self._restart_for:
            self._restart_for = changed
            if changed:
                log.warning("some changes in %s need a restart of LiteLLM: %s", config.path, ", ".join(changed))

    def _remove(self, router: Router, key: str, name: str) -> bool:
        self._applied.pop(key, None)
        try:
            router.remove(key)
        except Refused as error:
            log.warning("%s", error)
            return False
        log.info("removed %s", name)
        return True

    def _put(self, router: Router, key: str, entry: Entry, *, known: bool, duplicate: bool = False) -> bool:
        refused, again, _ = self._refused.get(key, (None, 0.0, ""))
        if refused == entry and time.monotonic() < again:
            return False
        if not self.guard.keeps_registrations and self.guard.keeper.current() is None:
            self._waiting = True
            return False
        try:
            with self.guard.registering():
                if duplicate:
                    router.remove(key)
                changed = router.put(dict(entry))
        except Exception as error:
            reason = printable(error, 300)
            if refused != entry:
                log.warning("LiteLLM refuses %s: %s", entry["model_name"], reason)
            self._refused[key] = (entry, time.monotonic() + RETRY_REFUSED, reason)
            return False
        self._applied[key] = entry
        self._refused.pop(key, None)
        if changed:
            log.info("%s %s", "updated" if known else "added", entry["model_name"])
        return changed
