"""The metrics, in the Prometheus text format. No label takes more values than stands in its help."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sidecar import __version__, errors
from sidecar.http_client import sent
from sidecar.models.history import KINDS
from sidecar.status.figures import family, sample
from sidecar.status.state import Status, View

_ERRORS = {
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.SidecarError)
}
RESULTS = ("success", "defect", *sorted(_ERRORS - {"SidecarError", "Stopped"}))
"""Each is there from the start: Prometheus sees no increase in a count that begins with 1."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics(status: Status) -> str:
    """The page that Prometheus reads."""
    view = status.view()
    return "".join(family(name, kind, help, lines(name, status, view)) for name, (kind, help, lines) in METRICS.items())


def _syncs(name: str, _: Status, view: View) -> Iterable[str]:
    counts = {**dict.fromkeys(RESULTS, 0), **(view.syncs or {})}
    return [sample(name, count, {"result": result}) for result, count in counts.items()]


def _models(name: str, _: Status, view: View) -> Iterable[str]:
    states = {"served": len(view.rows), "absent": len(view.absent), "omitted": len(view.omitted)}
    return [sample(name, count, {"state": state}) for state, count in states.items()]


def _changes(name: str, _: Status, view: View) -> Iterable[str]:
    counts = {**dict.fromkeys(KINDS, 0), **(view.changes or {})}
    return [sample(name, count, {"kind": kind}) for kind, count in counts.items()]


def _requests(name: str, _: Status, view: View) -> Iterable[str]:
    return [sample(name, count, {"host": host, "code": code}) for (host, code), count in sorted(sent().items())]


def _in_step(name: str, _: Status, view: View) -> Iterable[str]:
    return [sample(name, one.in_step, {"worker": str(one.worker)}) for one in view.workers]


def _remaining(name: str, _: Status, view: View) -> Iterable[str]:
    quotas = view.credit.quotas if view.credit else ()
    return [sample(name, one.remaining, {"quota": one.name}) for one in quotas if one.remaining is not None]


def _spend(name: str, _: Status, view: View) -> Iterable[str]:
    spend = sorted((view.spend or {}).items())
    return [sample(name, usd, {"model": model, "source": source}) for (model, source), usd in spend]


METRICS: dict[str, tuple[str, str, Callable[[str, Status, View], Iterable[str]]]] = {
    "copilot_sync_build_info": (
        "gauge",
        "Always 1; the label `version` is that of the sidecar.",
        lambda name, status, view: [sample(name, 1, {"version": __version__})],
    ),
    "copilot_sync_interval_seconds": (
        "gauge",
        "COPILOT_MODEL_SYNC_INTERVAL: the seconds between two syncs, 0 for none after the first.",
        lambda name, status, view: [sample(name, status.settings.interval)],
    ),
    "copilot_sync_total": (
        "counter",
        "Syncs by `result`: `success`, or the error's class (docs/monitoring.md).",
        _syncs,
    ),
    "copilot_sync_duration_seconds": (
        "histogram",
        "How long a sync took, whatever its result.",
        lambda name, status, view: status.durations.samples(name),
    ),
    "copilot_sync_last_success_timestamp_seconds": (
        "gauge",
        "When a sync last succeeded; 0 if none has.",
        lambda name, status, view: [sample(name, view.last_success)],
    ),
    "copilot_sync_last_change_timestamp_seconds": (
        "gauge",
        "When a sync last changed the models; 0 if none has.",
        lambda name, status, view: [sample(name, view.last_change)],
    ),
    "copilot_sync_models": (
        "gauge",
        "Models by `state`: `served`, of these `absent` from the catalog and kept for now, and `omitted`.",
        _models,
    ),
    "copilot_sync_changes_total": (
        "counter",
        "Changes of models by `kind` (docs/changes.md).",
        _changes,
    ),
    "copilot_sync_http_requests_total": (
        "counter",
        "Requests that were sent, by `host` (at most 20) and `code`: the status, or `none` without an answer.",
        _requests,
    ),
    "copilot_sync_token_expiry_timestamp_seconds": (
        "gauge",
        "When the Copilot token ends that the last sync got from GitHub; 0 if it got none.",
        lambda name, status, view: [sample(name, view.token_end)],
    ),
    "copilot_sync_worker_in_step": (
        "gauge",
        "Whether each LiteLLM `worker` (1 to 64, as they report) serves what is published.",
        _in_step,
    ),
    "copilot_sync_publish_to_serve_seconds": (
        "histogram",
        "From a change being published to every LiteLLM worker having said that it serves it.",
        lambda name, status, view: status.workers.served.samples(name),
    ),
    "copilot_sync_quota_remaining_ratio": (
        "gauge",
        "What is left of each `quota` (at most 8) of the account, from 0 to 1; none that is unlimited or unknown.",
        _remaining,
    ),
    "copilot_sync_spend_usd_total": (
        "counter",
        "USD by `model` (those published, and `other`) and `source`: `billed` by Copilot, `computed` by LiteLLM.",
        _spend,
    ),
}
"""Each metric's type, help and samples."""
