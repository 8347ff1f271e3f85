"""The state as JSON documents; docs/status-api.schema.json describes them. Pure over what ``Status`` holds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sidecar import __version__
from sidecar.status.sentence import sentence
from sidecar.status.state import Status


def status_document(status: Status) -> dict[str, Any]:
    """``/api/status``: what is the matter, and since when. Times are Unix seconds, None what has not been yet."""
    view = status.view()
    said = sentence(view)
    problem = view.problem
    return {
        "version": __version__,
        "now": view.now,
        "state": said.state,
        "level": said.level,
        "text": said.text,
        "cure": said.cure,
        "since": problem.since if problem else None,
        "error": problem.kind if problem else None,
        "alive": view.alive,
        "ready": view.ready,
        "target": view.target,
        "login": asdict(view.login) if view.login else None,
        "account": view.credit.login or None if view.credit else None,
        "plan": view.plan or None,
        "credit": view.credit.as_json() if view.credit else None,
        "workers": [asdict(worker) | {"in_step": worker.in_step} for worker in view.workers],
        "spend": [
            {"model": model, "source": source, "usd": usd}
            for (model, source), usd in sorted((view.spend or {}).items())
        ],
        "models": len(view.rows),
        "last_success": view.last_success or None,
        "last_change": view.last_change or None,
        "next_sync": view.next_sync or None,
    }


def models_document(status: Status) -> dict[str, Any]:
    """``/api/models``: the models as LiteLLM has them, and those that it is not given."""
    view = status.view()
    return {
        "models": list(view.rows),
        "absent": list(view.absent),
        "left_out": [{"id": item.label, "reason": item.reason} for item in view.omitted],
    }


def changes_document(status: Status) -> dict[str, Any]:
    """``/api/changes``: the latest events of the history, the newest last."""
    return {"changes": [event.as_json() for event in status.view().events]}
