"""What a sidecar's metrics do, minute by minute, when something happens: the input of the rules' own tests.

A story changes the samples of its sidecar at each minute; a sample that is missing has gone.
"""

from __future__ import annotations

from collections.abc import Callable

Samples = dict[str, float]
Story = Callable[[int, Samples], None]

NEVER = -1e9
"""When a sync succeeded that never did: in these tests time begins at 0, in the metrics 0 is long ago."""
UP, INFO, INTERVAL = "up", 'copilot_sync_build_info{version="1.2.3"}', "copilot_sync_interval_seconds"
LAST = "copilot_sync_last_success_timestamp_seconds"
FAILURES = ("LoginNeeded", "LoginRefused", "AccessRefused", "NoConnection", "RateLimited", "StorageError", "defect")
LOGIN = FAILURES[:3]
SERVED = {worker: f'copilot_sync_worker_in_step{{worker="{worker}"}}' for worker in (1, 2)}
LEFT = 'copilot_sync_quota_remaining_ratio{quota="premium_interactions"}'


def syncs(result: str) -> str:
    return f'copilot_sync_total{{result="{result}"}}'


def spend(source: str) -> str:
    return f'copilot_sync_spend_usd_total{{model="gpt-5",source="{source}"}}'


def requests(host: str) -> str:
    return f'copilot_sync_http_requests_total{{host="{host}",code="200"}}'


def succeed(minute: int, now: Samples) -> None:
    """A sync."""
    now[syncs("success")] += 1
    now[LAST] = 60.0 * minute
    now[requests("api.github.com")] += 2


def start(now: Samples, interval: float = 3600) -> None:
    """A sidecar that has not done anything yet."""
    now.update({UP: 1, INFO: 1, INTERVAL: interval, LAST: NEVER})
    now.update(dict.fromkeys(map(syncs, ("success", *FAILURES)), 0.0))
    now.update({requests("api.github.com"): 0, requests("10.96.0.1"): 0})


def fine(minute: int, now: Samples, *, interval: int = 60) -> None:
    """A sync in the first minute, and one every ``interval`` minutes; two workers, credit, spend as it is billed."""
    if minute == 0:
        start(now, 60.0 * interval)
        now.update({SERVED[1]: 1, SERVED[2]: 1, LEFT: 0.9, spend("billed"): 0, spend("computed"): 0})
    if minute % interval == 1:
        succeed(minute, now)
    now[requests("10.96.0.1")] += 2
    now[spend("billed")] += 0.1
    now[spend("computed")] += 0.0999


def failing(result: str, since: int, until: int, every: int) -> Story:
    """From one minute to another syncs fail, every so many minutes; then one succeeds."""

    def story(minute: int, now: Samples) -> None:
        if since <= minute < until:
            now[syncs(result)] += (minute - since) % every == 0
        elif minute == until:
            succeed(minute, now)
        else:
            fine(minute, now)

    return story


def nobody_logged_in(minute: int, now: Samples) -> None:
    """From the start on, and for good; tried again ever more seldom."""
    if minute == 0:
        start(now)
    now[syncs("LoginNeeded")] += minute in {0, 1, 2, 4} or minute % 15 == 0


def standby(minute: int, now: Samples) -> None:
    """It waits for another one to end."""
    if minute == 0:
        start(now)


def only_at_start(minute: int, now: Samples) -> None:
    """COPILOT_MODEL_SYNC_INTERVAL is 0."""
    if minute == 0:
        start(now, 0)
    if minute == 1:
        succeed(minute, now)


def gone(since: int, until: int, *, target: bool) -> Story:
    """The sidecar does not answer for a while; with ``target`` Prometheus does not even know of it."""
    kept: Samples = {}

    def story(minute: int, now: Samples) -> None:
        if minute == since:
            kept.update(now)
        if since <= minute < until:
            now.clear()
            now.update({} if target else {UP: 0})
            return
        if minute == until:
            now.update(kept)
        fine(minute, now)

    return story


def changed(*when: tuple[int, Samples | tuple[str, ...]]) -> Story:
    """All is fine, but for samples that change, or vanish, at some minute."""

    def story(minute: int, now: Samples) -> None:
        fine(minute, now)
        for at, what in when:
            if minute == at and isinstance(what, dict):
                now.update(what)
            elif minute == at:
                for name in what:
                    del now[name]

    return story


def flapping(minute: int, now: Samples) -> None:
    """A worker is behind for some minutes, again and again, as with a change every few minutes."""
    fine(minute, now)
    now[SERVED[1]] = float(minute % 5 == 0)


def drifting(minute: int, now: Samples) -> None:
    """LiteLLM computes a tenth less than is billed."""
    fine(minute, now)
    now[spend("computed")] -= 0.01


def hasty(minute: int, now: Samples) -> None:
    """GitHub is asked every minute for two hours."""
    fine(minute, now)
    now[requests("api.github.com")] += 60 <= minute < 180
