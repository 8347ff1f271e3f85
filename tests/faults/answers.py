"""Faults in well-formed answers: statuses, redirects, the content of the exchange and of the catalog."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any

from tests.fakes.catalog import model
from tests.support.github_paths import EXCHANGE, MODELS

from .stage import Fault, Stage
from .wire import HOPS, JSON, Mend, answering, both_hops

LIMITED = {"message": "API rate limit exceeded for user ID 1."}
REFUSED = 300.0
"""Seconds after which a refusal that lasted a moment is looked at again, at the latest."""

# Statuses


def statuses() -> Iterator[Fault]:
    plain = (204, 206, 304, 400, 402, 405, 408, 410, 425, 451, 500, 502, 503, 504, 599, 999)
    for status in plain:
        yield from both_hops("status", str(status), once=status not in (204, 500, 503), status=status)
    for status in (401, 403, 404):
        for hop, path, side in HOPS:
            code = 4 if (status, path) == (401, MODELS) or (status, path) == (404, MODELS) else 3
            on = answering(path, status=status)
            yield Fault("status", f"{status}, {hop}", on, exit=code, side=side, waits=REFUSED)
    yield Fault("status", "403 without a subscription", no_subscription, exit=3, waits=REFUSED)
    yield Fault("status", "401 of a revoked token", revoked, exit=3, waits=REFUSED)


def no_subscription(stage: Stage) -> Mend:
    stage.gh.no_subscription()
    return lambda: stage.gh.no_subscription(False)


def revoked(stage: Stage) -> Mend:
    stage.gh.revoke(stage.token)
    return lambda: stage.gh.new_access_token(token=stage.token) and None


def rate_limits() -> Iterator[Fault]:
    def each(
        name: str, status: int, waits: float, body: Any = None, *, odd: bool = False, **headers: str
    ) -> Iterator[Fault]:
        fields = {key.replace("_", "-"): value for key, value in headers.items()}
        for hop, path, side in HOPS[: 1 if odd else 2]:
            on = answering(path, status=status, headers=fields, body=body)
            yield Fault("rate limit", f"{name}, {hop}", on, side=side, waits=waits)

    yield from each("429", 429, 60)
    yield from each("429, Retry-After: 20", 429, 20, retry_after="20")
    yield from each("429, Retry-After: 1800", 429, 1800, retry_after="1800")
    yield from each("429, Retry-After: 0", 429, 60, odd=True, retry_after="0")
    yield from each("429, Retry-After: -5", 429, 60, odd=True, retry_after="-5")
    yield from each("429, Retry-After: soon", 429, 60, odd=True, retry_after="soon")
    yield from each("429, Retry-After: ²", 429, 60, odd=True, retry_after="²")
    yield from each("429, Retry-After: 1e9", 429, 60, odd=True, retry_after="1e9")
    yield from each("429, Retry-After: 999999999", 429, 3600, odd=True, retry_after="999999999")
    yield from each("429, Retry-After in the past", 429, 60, odd=True, retry_after=formatdate(1e9, usegmt=True))
    yield from each("403, rate limit in the text", 403, 60, LIMITED)
    yield from each("403, Retry-After: 20", 403, 20, LIMITED, retry_after="20")
    for name, reset, waits in (
        ("²", "²", 60),
        ("in the past", "1000", 60),
        ("huge", "9" * 12, 3600),
        ("NaN", "NaN", 60),
    ):
        yield from each(
            f"403, x-ratelimit-reset: {name}",
            403,
            waits,
            LIMITED,
            odd=True,
            x_ratelimit_remaining="0",
            x_ratelimit_reset=reset,
        )
    for hop, path, side in HOPS:
        yield Fault("rate limit", f"403, x-ratelimit-reset in 40 s, {hop}", reset_in(path, 40), side=side, waits=40)
        yield Fault("rate limit", f"503, Retry-After: a date in 40 s, {hop}", date_in(path, 40), side=side, waits=40)


def reset_in(path: str, seconds: float) -> Callable[[Stage], Mend]:
    def on(stage: Stage) -> Mend:
        reset = str(int(stage.clock.time() + seconds))
        headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}
        return answering(path, status=403, body=LIMITED, headers=headers)(stage)

    return on


def date_in(path: str, seconds: float) -> Callable[[Stage], Mend]:
    def on(stage: Stage) -> Mend:
        date = formatdate(stage.clock.time() + seconds, usegmt=True)
        return answering(path, status=503, headers={"Retry-After": date})(stage)

    return on


def redirects() -> Iterator[Fault]:
    yield from both_hops("redirect", "to a foreign host", how="redirect", location="https://copilot.invalid/")
    yield from both_hops("redirect", "to the same host", how="redirect", location="/user", once=True)
    yield from both_hops("redirect", "307 to itself", how="redirect", status=307, location="", once=True)
    yield from both_hops(
        "redirect", "308 to a file", how="redirect", status=308, location="file:///etc/passwd", once=True
    )
    yield from both_hops("redirect", "302 without an address", status=302, once=True)
    yield from both_hops("redirect", "300", status=300, once=True)


# The exchange


def exchange(name: str, **fields: Any) -> Fault:
    """The right answer with other fields; those that are ... are left out."""
    exit_code = fields.pop("exit", 4)
    headers = fields.pop("headers", {})

    def on(stage: Stage) -> Mend:
        usual = stage.gh.token_lifetime
        stage.gh.set(token_lifetime=10**6)  # the same answer is right for an hour
        token, _ = stage.gh.new_copilot_token()
        stage.gh.set(token_lifetime=usual)
        expires_at = int(stage.clock.time()) + usual
        body = {"token": token, "expires_at": expires_at, "refresh_in": 1500, "endpoints": {"api": stage.gh.url}}
        body = {key: value for key, value in {**body, **fields}.items() if value is not ...}
        return answering(EXCHANGE, status=200, body=json.dumps(body), headers=headers)(stage)

    return Fault("exchange", name, on, exit=exit_code, path=EXCHANGE)


def said(name: str, body: str | bytes) -> Fault:
    return Fault("exchange", name, answering(EXCHANGE, status=200, body=body), path=EXCHANGE)


def echo(name: str, make: Callable[[str], dict[str, Any]], code: int = 4) -> Fault:
    """An answer that repeats the access token."""

    def on(stage: Stage) -> Mend:
        return answering(EXCHANGE, **make(stage.token))(stage)

    waits = REFUSED if code == 3 else 0.0
    return Fault("exchange", f"echo of the token in {name}", on, exit=code, path=EXCHANGE, waits=waits)


def exchanges() -> Iterator[Fault]:
    yield said("empty body", b"")
    yield said("not JSON", b"<html>hello</html>")
    yield said("null", "null")
    yield said("a list", "[]")
    yield said("a text", '"token"')
    yield said("nested 100,000 times", "[" * 100_000)
    yield said("1 MB of spaces", b" " * (2**20 + 1))
    yield exchange("no token", token=...)
    yield exchange("token empty", token="")
    yield exchange("token is a number", token=17)
    yield exchange("token with a line break", token="tid=1\r\nx: y")
    yield exchange("token with a control character", token="tid=1\x1b[2J")
    yield exchange("token not ASCII", token="tid=é")
    yield exchange("token of 10,000 letters", token="a" * 10_000)
    yield exchange("expires_at missing", expires_at=..., exit=0)
    yield exchange("expires_at in the past", expires_at=1000, exit=0)
    yield exchange("expires_at in 10 years", expires_at=int(time.time()) + 315_360_000, exit=0)
    yield exchange("expires_at NaN", expires_at=float("nan"), exit=0)
    yield exchange("expires_at Infinity", expires_at=float("inf"), exit=0)
    yield exchange("expires_at a text", expires_at="tomorrow", exit=0)
    yield exchange("refresh_in 0", refresh_in=0, exit=0)
    yield exchange("refresh_in negative", refresh_in=-1, exit=0)
    yield exchange("refresh_in huge", refresh_in=10**30, exit=0)
    yield exchange("Date of 1970", headers={"Date": formatdate(0, usegmt=True)}, exit=0)
    yield exchange("Date of 2099", headers={"Date": formatdate(4_070_908_800, usegmt=True)}, exit=0)
    yield exchange("Date that is none", headers={"Date": "²"}, exit=0)
    yield exchange("endpoints missing", endpoints=..., exit=0)
    yield exchange("endpoints a list", endpoints=[], exit=0)
    yield exchange("endpoints.api foreign", endpoints={"api": "https://copilot.invalid"})
    yield exchange(
        "endpoints.api with a foreign user part", endpoints={"api": "https://api.githubcopilot.com@evil.invalid"}
    )
    yield exchange("endpoints.api a file", endpoints={"api": "file:///etc/passwd"})
    yield exchange("endpoints.api with a backslash", endpoints={"api": "https://evil.invalid\\.githubcopilot.com"})
    yield exchange("endpoints.api broken", endpoints={"api": "https://[::1"})
    yield echo("error_details", lambda t: {"status": 403, "body": {"error_details": {"title": t, "message": t}}}, 3)
    yield echo("the message", lambda t: {"status": 403, "body": {"message": f"{t} is not good"}}, 3)
    yield echo(
        "endpoints.api", lambda t: {"status": 200, "body": {"token": "x" * 9, "endpoints": {"api": f"https://{t}"}}}
    )
    yield echo(
        "a malformed header", lambda t: {"raw": JSON + f"no header {t}\r\nContent-Length: 2\r\n\r\n{{}}".encode()}
    )
    yield echo("a status line", lambda t: {"raw": f"HTTP/1.1 {t}\r\n\r\n".encode()})
    yield echo("a redirect", lambda t: {"how": "redirect", "location": f"https://copilot.invalid/{t}"})
    yield echo("Retry-After", lambda t: {"status": 503, "headers": {"Retry-After": t}})


# The catalog


def catalog(name: str, body: str | bytes | Callable[[], str | bytes], *, code: int = 4, changes: bool = False) -> Fault:
    def on(stage: Stage) -> Mend:
        return answering(MODELS, status=200, body=body() if callable(body) else body)(stage)

    return Fault("catalog", name, on, exit=code, side="sidecar", changes=changes)


def listing(*items: Any, **more: Any) -> str:
    return json.dumps({"object": "list", "data": list(items), **more})


def models(
    name: str, change: Callable[[list[dict[str, Any]]], list[Any]], code: int = 0, *, changes: bool = False
) -> Fault:
    """The right catalog, but for what ``change`` makes of its items."""

    def on(stage: Stage) -> Mend:
        return answering(MODELS, status=200, body=listing(*change(stage.gh.catalog)))(stage)

    return Fault("catalog", name, on, exit=code, side="sidecar", changes=changes)


@functools.cache
def dense() -> bytes:
    return b'{"data":[' + b",".join([b'{"a":0}'] * (15 * 2**20 // 8)) + b"]}"


def catalogs() -> Iterator[Fault]:
    yield catalog("empty body", b"")
    yield catalog("not JSON", b"<html>hello</html>")
    yield catalog("cut in the middle", listing(model("gpt-4o"))[:-20])
    yield catalog("null", "null")
    yield catalog("a number", "1e9999999999999999999")
    yield catalog("an object without a list", '{"error": "sorry"}')
    yield catalog("data null", '{"data": null}')
    yield catalog("data an object", '{"data": {"gpt-4o": {}}}')
    yield catalog("a bare list", json.dumps([model("gpt-4o")]))
    yield catalog("no models", listing())
    yield catalog("numbers for models", listing(1, 2, 3))
    yield catalog("models without ids", listing({}, {}, {}))
    yield catalog("ids that are no text", listing({"id": 1}, {"id": None}, {"id": ["x"]}))
    yield catalog("nested 100,000 times", "[" * 100_000)
    yield catalog(
        "nested 100,000 times in a model", '{"data": [{"id": "a", "x": ' + "[" * 100_000 + "]" * 100_000 + "}]}"
    )
    yield catalog("digits without an end", '{"data": [{"id": "a", "n": ' + "9" * 100_000 + "}]}")
    yield catalog("15 MB of dense JSON", dense)
    yield catalog("100,000 tiny items", lambda: listing(*({"id": f"m{n}"} for n in range(100_000))))
    yield models("all of another kind", lambda items: [{**i, "capabilities": {"type": "teleport"}} for i in items])
    yield models("all without an endpoint", lambda items: [{**i, "supported_endpoints": []} for i in items])
    yield models("all disabled by policy", lambda items: [{**i, "policy": {"state": "disabled"}} for i in items])
    yield models("every model twice", lambda items: [*items, *items])
    yield models("odd ids besides", lambda items: [*items, *map(model, ODD)])
    yield models("numbers besides", lambda items: [*items, 1, None, "x", []])
    yield models("half of the models lost", lambda items: items[: len(items) // 2])
    yield models("all models but one lost", lambda items: items[:1])
    yield models(
        "prices that are none", lambda items: [{**i, "billing": {"token_prices": "²"}} for i in items], changes=True
    )
    yield models("capabilities that are none", lambda items: [{**i, "capabilities": 5} for i in items], changes=True)


ODD = (
    "a\nb",
    "\x1b[31mred",
    "os.environ/HOME",
    "../../etc/passwd",
    "x" * 5000,
    "é",
    "",
    " ",
    "a{{b}}",
    "<b>",
    "\u202egnp",
)


def faults() -> list[Fault]:
    return [*statuses(), *rate_limits(), *redirects(), *exchanges(), *catalogs()]
