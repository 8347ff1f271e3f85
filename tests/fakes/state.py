"""Everything the stand-in remembers, and every way to tell it how to behave.

``GitHub`` (in the test's process) and the control endpoint (over HTTP) both act on one ``State``. The
methods lock; the plain settings named in ``SETTINGS`` are single assignments and need no lock.
"""

from __future__ import annotations

import copy
import json
import ssl
import threading
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import Any

from .accounts import Accounts
from .catalog import demo_catalog
from .device import DeviceFlow
from .faults import Faults
from .wire import PLAN_PREFIX, Request

SETTINGS = (
    "clock_skew",
    "flicker",
    "latency",
    "login",
    "plan",
    "plan_host",
    "refresh_in",
    "stream_chunks",
    "stream_gap",
    "token_lifetime",
    "usage",
    "user_fields",
    "verbatim",
)
REQUESTS_KEPT = 50_000


@dataclass
class Recorded:
    """A request as it came in. ``status`` stays ``None`` while, and if, nothing is answered.

    ``headers`` has lower-case names, and joins what came twice by commas; ``raw_headers`` has them as sent.
    """

    time: float
    wall: float
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    status: int | None = None
    raw_headers: list[tuple[str, str]] = field(default_factory=list)


class State(Accounts, Faults):
    """The accounts, tokens, catalog, faults and records of one stand-in.

    Settings: ``token_lifetime`` and ``refresh_in`` of a Copilot token, ``clock_skew`` of the server's
    clock, ``latency`` of an answer and ``stream_gap`` between ``stream_chunks`` pieces of one are in
    seconds. ``usage`` holds token counts. ``plan`` is "individual", "free" or "business" (then only the
    plan's own prefix answers); ``user_fields`` replace what GitHub says of the account, and those that
    are ``None`` are left out; ``plan_host`` replaces ``endpoints.api`` by any text. The ids in ``flicker``
    are missing from every second catalog. ``verbatim`` sends the catalog as it was set, whatever API
    version is asked for. ``login`` is who approves the device code. ``tls`` is what new connections speak,
    where it is set.
    """

    def __init__(self, catalog: list[dict[str, Any]] | None = None) -> None:
        Accounts.__init__(self)
        Faults.__init__(self)
        self.lock = threading.RLock()
        self.device = DeviceFlow()
        self.plan_host: str | None = None
        self.tls: ssl.SSLContext | None = None
        self.latency = 0.0
        self.stream_chunks = 5
        self.stream_gap = 0.02
        self.usage: dict[str, int] = {}
        self.user_fields: dict[str, Any] = {}
        self.flicker: list[str] = []
        self.verbatim = False
        self.refusals: list[tuple[str, str]] = []
        self.catalogs_sent = 0
        self._catalog = demo_catalog() if catalog is None else copy.deepcopy(catalog)
        self._requests: deque[Recorded] = deque(maxlen=REQUESTS_KEPT)

    def set(self, **settings: Any) -> None:
        """Change settings by name."""
        for name, value in settings.items():
            if name not in SETTINGS:
                raise ValueError(f"no such setting: {name}")
            setattr(self, name, value)

    # The catalog

    @property
    def catalog(self) -> list[dict[str, Any]]:
        """The models, in the newest shape; a copy."""
        with self.lock:
            return copy.deepcopy(self._catalog)

    def set_catalog(self, items: list[dict[str, Any]]) -> None:
        """Replace all models."""
        with self.lock:
            self._catalog = copy.deepcopy(items)

    def find_model(self, model_id: Any) -> dict[str, Any] | None:
        """The first model of that id."""
        with self.lock:
            return next((m for m in self._catalog if m.get("id") == model_id), None)

    # The login

    def device_flow(self, **changes: Any) -> None:
        """Set ``mode`` (pending, approve, deny, expire, disabled: what happens to new codes),
        ``approve_after`` and ``interval`` and ``expires_in`` (seconds), ``slow_down`` (the next n polls
        get it) and ``slow_down_step`` (seconds that each adds)."""
        with self.lock:
            self.device.configure(**changes)

    def approve(self) -> int:
        """The person types the code in and agrees. Returns how many logins were waiting."""
        with self.lock:
            return self.device.settle("approve")

    def deny(self) -> int:
        """The person presses Cancel. Returns how many logins were waiting."""
        with self.lock:
            return self.device.settle("deny")

    def expire_device_code(self) -> int:
        """Every waiting device code runs out now. Returns how many there were."""
        with self.lock:
            return self.device.settle("expire")

    def api_endpoint(self, base_url: str) -> str:
        """``endpoints.api`` of the exchange."""
        if self.plan_host is not None:
            return self.plan_host
        return base_url + (PLAN_PREFIX if self.plan == "business" else "")

    # Records

    def record(self, request: Request) -> Recorded:
        entry = Recorded(
            time.monotonic(),
            time.time(),
            request.method,
            request.path,
            request.headers,
            request.body,
            raw_headers=request.raw_headers,
        )
        with self.lock:
            self._requests.append(entry)
        return entry

    def refuse(self, path: str, reason: str) -> None:
        """Remember that a client did something that Copilot does not accept."""
        with self.lock:
            self.refusals.append((path, reason))

    @property
    def requests(self) -> list[Recorded]:
        """The requests since the start or the last ``clear``, oldest first."""
        with self.lock:
            return list(self._requests)

    def requests_to(self, path: str) -> list[Recorded]:
        return [r for r in self.requests if r.path == path]

    def count(self, path: str) -> int:
        return len(self.requests_to(path))

    def clear(self) -> None:
        """Forget requests and refusals."""
        with self.lock:
            self._requests.clear()
            self.refusals.clear()

    def snapshot(self) -> dict[str, Any]:
        """All of it as JSON-able data, for people and for tests in other processes."""
        with self.lock:
            return {
                "settings": {name: getattr(self, name) for name in SETTINGS},
                "catalog": copy.deepcopy(self._catalog),
                "device_codes": self.device.snapshot(),
                "access_tokens": len(self._access_tokens),
                "copilot_tokens": len(self._copilot_tokens),
                "faults": [f.snapshot() for f in self._faults],
                "refusals": list(self.refusals),
                "counts": Counter(r.path for r in self._requests),
            }

    def recorded_json(self) -> str:
        """The requests as JSON."""
        return json.dumps([asdict(r) for r in self.requests])
