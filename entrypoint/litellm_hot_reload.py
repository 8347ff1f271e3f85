"""The hook: makes every worker of a stock LiteLLM follow the models file and keeps its Copilot token fresh.

    LITELLM_WORKER_STARTUP_HOOKS=litellm_hot_reload:start   (with this file's directory on PYTHONPATH)

LiteLLM awaits ``start`` in each worker before it loads its configuration. Three parts:

``Keeper``    a thread that exchanges the access token for the Copilot token ahead of its end and keeps
              it in LiteLLM's own api-key.json. LiteLLM would do the exchange on its event loop, where
              all traffic of the worker waits for it; here it never gets to.
``Follower``  a task that compares what the models file wants with what the router has, every second,
              and applies the difference model by model.
``start``     puts the two together.

Needs the standard library and what LiteLLM ships. It must never harm LiteLLM: whatever the file holds
and whatever fails, the proxy serves what it served before.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import datetime
import fcntl
import gc
import hashlib
import json
import logging
import os
import random
import re
import secrets
import stat
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

log = logging.getLogger("copilot_hook")

PROVIDER = "github_copilot/"
MANAGED_PREFIX = "github_copilot/managed/"
EXCHANGE_URL = "https://api.github.com/copilot_internal/v2/token"
TRUSTED_SUFFIXES = (".githubcopilot.com", ".ghe.com")
POLL = 1.0
FIRST_TOKEN_WAIT = 5.0
PLACEHOLDER = "no-copilot-token-yet"
FETCHING = "the Copilot token is being fetched; try again in a moment"
EXCHANGE_LIMIT = 30.0
LARGEST_ANSWER = 2**20
RETRY_REFUSED = 60.0
LARGEST_FILE = 32 * 2**20


class Keeper:
    """Keeps a valid Copilot token in LiteLLM's api-key.json, once for all workers of the machine.

    The file's ``expires_at`` is written by this machine's clock, whatever GitHub's clock says, because
    LiteLLM compares it with this one. ``renew_at`` is ours; LiteLLM ignores it.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        directory = environ.get("GITHUB_COPILOT_TOKEN_DIR") or "~/.config/litellm/github_copilot"
        self.directory = Path(directory).expanduser()
        self.token_files = (
            self.directory / (environ.get("GITHUB_COPILOT_ACCESS_TOKEN_FILE") or "access-token"),
            self.directory / "github_token.json",
        )
        self.file = self.directory / (environ.get("GITHUB_COPILOT_API_KEY_FILE") or "api-key.json")
        self.lock = self.file.with_name(f".{self.file.name}.lock")
        self.url = environ.get("GITHUB_COPILOT_API_KEY_URL") or EXCHANGE_URL
        self.own_base = environ.get("GITHUB_COPILOT_API_BASE") or ""
        self.plain_http = (environ.get("COPILOT_INSECURE_HTTP") or "").lower() in {"true", "1", "yes", "on"}
        self.headers = {
            "accept": "application/json",
            "editor-version": environ.get("COPILOT_EDITOR_VERSION") or "vscode/1.104.1",
            "editor-plugin-version": environ.get("COPILOT_EDITOR_PLUGIN_VERSION") or "copilot-chat/0.31.1",
            "user-agent": environ.get("COPILOT_USER_AGENT") or "GitHubCopilotChat/0.31.1",
        }
        self.problem = FETCHING
        self.first_turn_done = threading.Event()
        self._failures = 0
        self._not_before = 0.0
        self._failed_token = ""
        self._said = ""

    def current(self) -> str | None:
        """The Copilot token, None when there is no valid one."""
        record = self._record()
        return record["token"] if record and record["expires_at"] > time.time() else None

    def run(self) -> None:
        """The thread: look once a second whether the token is due, for ever."""
        while True:
            try:
                self.turn()
            except Exception:
                log.exception("renewing the Copilot token failed in a way that it should not; going on")
            self.first_turn_done.set()
            time.sleep(POLL)

    def turn(self) -> None:
        """Renew the token if it is due and nothing speaks against trying now."""
        token = self._access_token()
        if token is None:
            return
        if not self._due(token):
            self._failures, self._failed_token, self.problem = 0, "", FETCHING
            return
        if token != self._failed_token:
            self._failures, self.problem = 0, FETCHING
        elif time.monotonic() < self._not_before:
            return
        if self._others_failed(token):
            return
        try:
            with self._alone() as alone:
                if alone and self._due(token):
                    self._exchange(token)
        except OSError as error:
            where = f"{self.file} cannot be written ({error.strerror})"
            self._failed(token, f"{where}: let GITHUB_COPILOT_API_KEY_FILE name a place for it", 60)
        except Exception as error:
            self._failed(token, f"the exchange fails in a way that it should not ({type(error).__name__})", 60)

    def _due(self, token: str) -> bool:
        """Whether the Copilot token is missing, near its end, or another login's."""
        record = self._record()
        return record is None or time.time() >= record["renew_at"] or record["login"] != _fingerprint(token)

    def _exchange(self, token: str) -> None:
        if not self.url.startswith("https://") and not self.plain_http:
            self._failed(token, "GITHUB_COPILOT_API_KEY_URL is not https and COPILOT_INSECURE_HTTP is not true", 60)
            return
        content, deadline = b"", time.monotonic() + EXCHANGE_LIMIT
        try:
            with (
                httpx.Client(timeout=httpx.Timeout(10, connect=5), follow_redirects=False) as client,
                client.stream("GET", self.url, headers={**self.headers, "authorization": f"token {token}"}) as answer,
            ):
                for chunk in answer.iter_bytes():
                    content += chunk
                    if len(content) > LARGEST_ANSWER or time.monotonic() > deadline:
                        raise httpx.ReadTimeout("an answer without an end")
        except httpx.HTTPError as error:
            # Where nothing listens, nobody is bothered by another look.
            self._failed(
                token,
                f"GitHub does not answer ({type(error).__name__})",
                1 if isinstance(error, httpx.ConnectError) else 2,
            )
            return
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            body = None
        body = body if isinstance(body, dict) else {}
        if answer.status_code == 200 and isinstance(body.get("token"), str) and body["token"]:
            self._write(body, answer.headers.get("date", ""), token)
            self._say("the Copilot token is fresh")
            return
        self._failed(token, *self._meaning(answer, body))

    def _meaning(self, answer: httpx.Response, body: Mapping[str, Any]) -> tuple[str, float]:
        """What an answer without a token means, and the seconds until the next try."""
        status = answer.status_code
        asked = answer.headers.get("retry-after", "")
        wait = float(asked) if asked.isdigit() and len(asked) < 6 else None
        limited = "rate limit" in str(body.get("message", "")).lower()
        if status == 429 or (status == 403 and (limited or wait is not None)):
            return f"GitHub limits the rate of requests (HTTP {status})", 60.0 if wait is None else wait
        if status == 401:
            return "GitHub refused the access token (401): log in again, `docker compose run --rm login`", 900.0
        if status == 403:
            return "GitHub refuses Copilot to this account (403): see https://github.com/settings/copilot", 900.0
        if status == 404:
            return "the access token is no Copilot login (404): log in with `docker compose run --rm login`", 900.0
        growing = min(5.0 * 2 ** min(self._failures, 5), 60.0)
        return f"GitHub failed (HTTP {status})", growing if wait is None else max(wait, growing)

    def _failed(self, token: str, problem: str, wait: float) -> None:
        self._failures += 1
        self._failed_token, self._not_before = token, time.monotonic() + wait
        self.problem = problem
        self._say(f"no new Copilot token: {problem}")
        with contextlib.suppress(OSError):
            self.lock.write_text(json.dumps([_fingerprint(token), time.time() + wait, self._failures, problem]))

    def _others_failed(self, token: str) -> bool:
        """Whether another worker knows that this is not the time to try; then its reason is ours."""
        try:
            login, until, failures, problem = json.loads(self.lock.read_bytes())
            wait, failures = float(until) - time.time(), int(failures)
        except (OSError, ValueError, TypeError, RecursionError):
            return False
        if login != _fingerprint(token):
            return False
        self._failures, self.problem = failures, str(problem)
        if not 0 < wait <= 100_000:
            return False
        self._failed_token, self._not_before = token, time.monotonic() + wait
        return True

    def forget_failures(self) -> None:
        """A restart is a reason to try again."""
        with contextlib.suppress(OSError):
            self.lock.write_bytes(b"")

    def _say(self, text: str) -> None:
        """Log a state once, not at every try."""
        if text != self._said:
            self._said = text
            log.info("%s", text)

    def _access_token(self) -> str | None:
        for path in self.token_files:
            try:
                text = path.read_text("utf-8", "replace")
            except FileNotFoundError:
                continue
            except OSError as error:
                self.problem = f"the access token file {path} cannot be read: {error.strerror}"
                self._say(self.problem)
                return None
            if path.suffix == ".json":
                with contextlib.suppress(ValueError, RecursionError, AttributeError):
                    text = str(json.loads(text).get("access_token") or "")
            token = text.strip()
            if token and token.isascii() and token.isprintable() and " " not in token:
                return token
        self.problem = "nobody has logged in to GitHub yet: `docker compose run --rm login`"
        self._say(f"waiting for a login: no access token in {self.directory}")
        return None

    def _record(self) -> dict[str, Any] | None:
        try:
            record = json.loads(self.file.read_bytes())
            token, expires_at = record["token"], float(record["expires_at"])
            if not isinstance(token, str) or not token:
                return None
            renew_at = float(record.get("renew_at", expires_at - 300))
            return {"token": token, "expires_at": expires_at, "renew_at": renew_at, "login": record.get("login")}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def _write(self, body: dict[str, Any], date: str, token: str) -> None:
        now = time.time()
        try:
            theirs = parsedate_to_datetime(date).timestamp()
        except (TypeError, ValueError):
            theirs = now
        expires_at, refresh_in, endpoints = body.get("expires_at"), body.get("refresh_in"), body.get("endpoints")
        lifetime = expires_at - theirs if isinstance(expires_at, (int, float)) else 0
        if not 0 < lifetime <= 86_400:  # also when it is no number at all
            lifetime = 1500.0
        latest = max(lifetime - 300, lifetime / 2)
        renew_in = refresh_in if isinstance(refresh_in, (int, float)) and refresh_in > 0 else latest
        record: dict[str, Any] = {
            "token": body["token"],
            "expires_at": int(now + lifetime),
            "renew_at": now + min(max(renew_in, 30.0), latest) * random.uniform(0.9, 1.0),
            "login": _fingerprint(token),
        }
        named = endpoints.get("api") if isinstance(endpoints, dict) else None
        if named is not None and not self._trusted(named):
            log.warning("GitHub names %.100r as Copilot's address, no known Copilot host; it is not used", named)
            named = None
        if named or self.own_base:
            record["endpoints"] = {"api": named or self.own_base}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.file.with_name(f".{self.file.name}.{secrets.token_hex(6)}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                json.dump(record, file)
            os.replace(temporary, self.file)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise

    def _trusted(self, address: object) -> bool:
        try:
            parts, own = urlsplit(str(address)), urlsplit(self.own_base)
            host, place, own_place = parts.hostname or "", (parts.hostname, parts.port), (own.hostname, own.port)
        except ValueError:
            return False
        # Only what every parser takes for the same host: some end it at a backslash, urlsplit does not.
        if not re.fullmatch(r"[a-z0-9.-]+", host) or "@" in parts.netloc:
            return False
        known = place == own_place or f".{host}".endswith(TRUSTED_SUFFIXES)
        return known and (parts.scheme == "https" or (parts.scheme == "http" and self.plain_http))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether this worker is the one that renews now; the lock ends with the process that held it."""
        self.lock.parent.mkdir(parents=True, exist_ok=True)
        with self.lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True


def _fingerprint(token: str) -> str:
    """Tells one login from another without holding the token."""
    return hashlib.sha256(token.encode()).hexdigest()[:16]


class Follower:
    """Keeps a router in step with the models file."""

    def __init__(self, path: Path, keeper: Keeper) -> None:
        self.path = path
        self.keeper = keeper
        self.wanted: dict[str, dict[str, Any]] | None = None
        self._signature: object = None
        self._applied: dict[str, dict[str, Any]] = {}
        self._conflicts: frozenset[str] = frozenset()
        self._refused: dict[str, tuple[dict[str, Any], float]] = {}

    async def run(self, proxy: Any) -> None:
        """Follow for ever. ``proxy`` is LiteLLM's ``proxy_server`` module."""
        while True:
            try:
                await self.turn(proxy)
            except Exception:
                log.exception("following the models file failed in a way that it should not; going on")
            await asyncio.sleep(POLL)

    async def turn(self, proxy: Any) -> None:
        """Read the file if it changed, then bring the router in step with it."""
        await asyncio.to_thread(self.read)
        router = getattr(proxy, "llm_router", None)
        if router is not None and self.wanted is not None:
            await self.reconcile(proxy, router, self.wanted)

    def read(self) -> None:
        """Take over the file's entries if it changed and is a models file; else keep the last good ones."""
        signature: object = None
        try:
            status = self.path.stat()
            signature = (status.st_ino, status.st_mtime_ns, status.st_size)
            if signature == self._signature:
                return
            if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_FILE:
                raise ValueError("it is no file, or too large")
            entries = _entries(self.path.read_bytes())
        except Exception as error:  # PyYAML raises more than it says
            reason = f"{type(error).__name__}: {error}".split("\n", 1)[0]
            if self._signature != (signature or reason):
                log.warning("the models file %s is of no use (%s); what it held before stays", self.path, reason)
            self._signature = signature or reason
            return
        self._signature = signature
        if entries or self.wanted is None:
            self.wanted = entries
        elif self.wanted:
            # The sidecar writes an empty list only before its first sync: on a fresh volume, say.
            log.warning("the models file is empty; the %d models it held before stay", len(self.wanted))

    async def reconcile(self, proxy: Any, router: Any, wanted: Mapping[str, dict[str, Any]]) -> None:
        """Apply the difference between ``wanted`` and the router, giving way to requests after each model."""
        own_names = {item.get("model_name") for item in router.model_list if not _is_managed(_id_of(item))}
        conflicts = frozenset(key for key, entry in wanted.items() if entry["model_name"] in own_names)
        for key in conflicts - self._conflicts:
            log.info("%s stays as config.yaml has it; the catalog's entry gives way", wanted[key]["model_name"])
        self._conflicts = conflicts
        touched = False
        present = {_id_of(item): item for item in router.model_list if _is_managed(_id_of(item))}
        for key in [key for key in present if key not in wanted or key in conflicts]:
            router.delete_deployment(id=key)
            self._applied.pop(key, None)
            name = present[key].get("model_name")
            if not router.get_model_list(model_name=name):
                router.model_names.discard(name)
            log.info("removed %s", name)
            touched = True
            await asyncio.sleep(0)
        for key, entry in wanted.items():
            if key in conflicts or (key in present and self._applied.get(key) == entry):
                continue
            refused, again = self._refused.get(key, (None, 0.0))
            if refused == entry and time.monotonic() < again:
                continue
            if not GUARD.installed and self.keeper.current() is None:
                continue
            try:
                changed = _upsert(router, entry)
            except Exception as error:
                if refused != entry:
                    log.warning("LiteLLM refuses %s: %.300s", entry["model_name"], " ".join(str(error).split()))
                self._refused[key] = (entry, time.monotonic() + RETRY_REFUSED)
            else:
                self._applied[key] = entry
                self._refused.pop(key, None)
                if changed:
                    log.info("%s %s", "updated" if key in present else "added", entry["model_name"])
                    touched = True
            await asyncio.sleep(0)
        if touched:
            # LiteLLM lets requests through to whatever stands here, and only ever adds to it.
            router.deployment_names[:] = [_backend_of(item) for item in router.model_list]
            proxy.llm_model_list = router.get_model_list()


def _upsert(router: Any, entry: dict[str, Any]) -> bool:
    """Put one entry into the router, in one go for all other requests; whether anything changed.

    Raises whatever LiteLLM has against the entry; then the router is as it was.
    """
    import litellm
    from litellm.types.router import Deployment

    deployment = Deployment(**copy.deepcopy(entry))
    key, backend, mode = entry["model_info"]["id"], entry["litellm_params"]["model"], entry["model_info"].get("mode")
    # LiteLLM keeps `responses` for a model that it once knew as such, and would go on sending chat requests there.
    if mode and (litellm.model_cost.get(backend) or {}).get("mode", mode) != mode:
        litellm.register_model({backend: {"mode": mode}})
    if _same(router.get_deployment(model_id=key), deployment):
        return False
    # It only ever adds to this: the price of a tier that is gone would live on.
    known, taken = litellm.model_cost.pop(key, None), False
    try:
        with GUARD.registering():
            taken = router.upsert_deployment(deployment) is not None
    finally:
        if not taken and known is not None:
            litellm.model_cost[key] = known
    if not taken:
        raise ValueError("see LiteLLM's own message above")
    return True


def _same(present: Any, deployment: Any) -> bool:
    """Whether the router has this deployment already, as LiteLLM itself compares them."""
    return present is not None and all(
        getattr(present, part) == getattr(deployment, part) for part in ("model_name", "litellm_params", "model_info")
    )


try:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]

    class _Base(Composer, CParser, SafeConstructor, Resolver):
        """PyYAML's fast parser below its composer in Python: the one in C holds the interpreter for the
        whole file, and deep nesting ends the process.
        """

        def __init__(self, stream: bytes) -> None:
            CParser.__init__(self, stream)
            for part in (Composer, SafeConstructor, Resolver):
                part.__init__(self)

except ImportError:
    _Base = yaml.SafeLoader  # type: ignore[assignment, misc]


class _Loader(_Base):
    """Without aliases: a few lines of them can stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("it has YAML aliases")
        return super().compose_node(parent, index)


def _entries(data: bytes) -> dict[str, dict[str, Any]]:
    """The managed entries of a models file by id, in its order. Raises all kinds of exceptions."""
    content = yaml.load(data, Loader=_Loader)  # type: ignore[arg-type]  # noqa: S506
    listed = content.get("model_list") if isinstance(content, dict) else None
    if not isinstance(listed, list):
        raise ValueError("it has no model_list")
    entries = {}
    for item in listed:
        if not _is_entry(item):
            raise ValueError(f"an item of its model_list is no managed entry: {item!r:.100}")
        entries[item["model_info"]["id"]] = json.loads(json.dumps(item, allow_nan=False, default=_plain))
    return entries


def _plain(value: Any) -> str:
    if isinstance(value, datetime.date):
        return value.isoformat()
    raise TypeError(f"it holds a {type(value).__name__}")


def _is_entry(item: Any) -> bool:
    """Whether this is a managed entry, its values of the types that LiteLLM relies on without checking."""
    if not isinstance(item, dict):
        return False
    params, info, name = item.get("litellm_params"), item.get("model_info"), item.get("model_name")
    if not isinstance(params, dict) or not isinstance(info, dict) or not isinstance(name, str):
        return False
    headers = params.get("extra_headers") or {}
    amounts = [value for key, value in info.items() if "_cost" in str(key) or str(key).endswith("_tokens")]
    return (
        name != ""
        and "*" not in name
        and _is_managed(info.get("id"))
        and str(params.get("model", "")).startswith(PROVIDER)
        and isinstance(headers, dict)
        and all(isinstance(text, str) for pair in headers.items() for text in pair)
        and isinstance(info.get("mode") or "", str)
        and all(isinstance(amount, (int, float)) and 0 <= amount < 1e15 for amount in amounts if amount is not None)
    )


def _is_managed(key: Any) -> bool:
    return isinstance(key, str) and key.startswith(MANAGED_PREFIX)


def _id_of(item: Mapping[str, Any]) -> Any:
    info = item.get("model_info") or {}
    return info.get("id") if isinstance(info, dict) else getattr(info, "id", None)


def _backend_of(item: Mapping[str, Any]) -> Any:
    params = item.get("litellm_params") or {}
    return params.get("model") if isinstance(params, dict) else getattr(params, "model", None)


class Guard:
    """Keeps LiteLLM's own code from ever exchanging the token on the event loop.

    With a valid token in the file LiteLLM behaves as it is. Without one, a request fails at once and
    says why, and a registration goes through: LiteLLM only wants to see that there is a token, and would
    otherwise drop the model for good.
    """

    def __init__(self) -> None:
        self.installed = False
        self._registering = threading.local()  # LiteLLM runs parts of requests in other threads

    @contextlib.contextmanager
    def registering(self) -> Iterator[None]:
        """While this is open, this thread registers models, and runs no request."""
        outer = getattr(self._registering, "now", False)
        self._registering.now = True
        try:
            yield
        finally:
            self._registering.now = outer

    def install(self, keeper: Keeper) -> None:
        """Replace ``Authenticator.get_api_key``. Raises ImportError or AttributeError if LiteLLM has changed.

        The error is a BadRequestError because that is what comes out of LiteLLM wherever in a request it
        is raised, and because it puts no model into cooldown, whose own error would hide the reason.
        """
        import litellm
        from litellm.llms.github_copilot.authenticator import Authenticator

        if not callable(Authenticator.get_api_key):
            raise AttributeError("Authenticator.get_api_key")

        def get_api_key(_authenticator: Any) -> str:
            token = keeper.current()
            if token is not None:
                return token
            if getattr(self._registering, "now", False):
                return PLACEHOLDER
            raise litellm.BadRequestError(f"GitHub Copilot is not available: {keeper.problem}", "", "github_copilot")

        Authenticator.get_api_key = get_api_key
        self.installed = True


GUARD = Guard()
_TASKS: set[asyncio.Task[None]] = set()


async def start() -> None:
    """Start following in this worker. Never raises: LiteLLM would not start."""
    _configure_log()
    try:
        await _start(os.environ)
    except Exception:
        log.exception("the hook could not start; LiteLLM serves what its configuration holds")


async def _start(environ: Mapping[str, str]) -> None:
    keeper = Keeper(environ)
    path = Path(environ.get("COPILOT_MODELS_FILE") or "/shared/copilot_models.yaml")
    try:
        GUARD.install(keeper)
    except (ImportError, AttributeError):
        log.exception("this LiteLLM is not the one that the hook knows; it exchanges tokens by itself")
    keeper.forget_failures()
    threading.Thread(target=keeper.run, name="copilot-token", daemon=True).start()
    await asyncio.to_thread(keeper.first_turn_done.wait, FIRST_TOKEN_WAIT)
    loading = contextlib.ExitStack()
    loading.enter_context(GUARD.registering())
    _TASKS.add(asyncio.get_running_loop().create_task(_follow(Follower(path, keeper), loading)))
    if _mounted_alone(path):
        log.warning("%s is mounted as a single file and can never change here: mount its directory, no subPath", path)
    log.info("following %s", path)


def _mounted_alone(path: Path) -> bool:
    """Whether the file itself is a mount point: a rename beside it, or a ConfigMap's swap, would go unseen."""
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return False
    points = (re.sub(r"\\([0-7]{3})", lambda escape: chr(int(escape[1], 8)), line.split()[4]) for line in lines)
    return os.path.abspath(path) in points


async def _follow(follower: Follower, loading: contextlib.ExitStack) -> None:
    """Let LiteLLM load its configuration, registering whatever it holds, then follow."""
    from litellm.proxy import proxy_server

    with loading:
        while proxy_server.llm_router is None:
            await asyncio.sleep(0.05)
    # What LiteLLM has loaded stays: going through all of it, as a full collection does, takes half a second.
    gc.freeze()
    await follower.run(proxy_server)


def _configure_log() -> None:
    if not log.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s copilot-hook[%(process)d] %(levelname)s %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False
