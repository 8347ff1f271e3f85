"""The state in one sentence, with the cure. Pure.

What keeps people from their models comes first: the login, then the workers, then whatever will be a trouble later.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from sidecar.errors import LoginNeeded
from sidecar.status.state import View

LEVELS = ("good", "waiting", "warning", "bad")


class Sentence(NamedTuple):
    """``state`` is a stable name; ``level`` one of LEVELS; ``cure`` is empty where there is nothing to do."""

    state: str
    level: str
    text: str
    cure: str = ""


def sentence(view: View) -> Sentence:
    """What is most worth knowing at this moment."""
    for rule in _RULES:
        if (found := rule(view)) is not None:
            return found
    return _fine(view)


def moment(time: float) -> str:
    """A Unix time as people write it, in UTC."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M} UTC"


def counted(view: View) -> str:
    """How many models there are, in words."""
    return f"{len(view.rows)} model{'s' * (len(view.rows) != 1)}"


def _stuck(view: View) -> Sentence | None:
    if view.alive:
        return None
    return Sentence("stuck", "bad", "The service is stuck.", "It ends itself within five minutes, to be started again.")


def _standby(view: View) -> Sentence | None:
    if view.leads:
        return None
    return Sentence("standby", "waiting", "Another service leads here; this one waits.", "Stop one of the two.")


def _login(view: View) -> Sentence | None:
    code, problem = view.login, view.problem
    if code is not None and code.until > view.now:
        return Sentence("login_waiting", "waiting", f"To log in, enter {code.code} at {code.address}.")
    if problem is None:
        return None
    if code is not None and problem.kind in {"LoginNeeded", "LoginRefused"}:
        text = f"The login code ran out at {moment(code.until)}; nobody is logged in."
        return Sentence("login_code_expired", "bad", text, LoginNeeded.default_hint)
    return None


_KINDS = {
    "LoginNeeded": ("login_needed", "waiting", "Nobody is logged in to GitHub yet"),
    "LoginRefused": ("login_refused", "bad", "GitHub refuses the login"),
    "AccessRefused": ("no_subscription", "bad", "The account has no access to Copilot"),
    "RateLimited": ("rate_limited", "warning", "GitHub limits the rate of requests"),
    "StorageError": ("storage", "bad", "A file cannot be read or written"),
    "UsageError": ("settings", "bad", "A setting or a file of yours is invalid"),
    "LiteLLMError": ("litellm", "warning", "LiteLLM was not notified"),
    "defect": ("defect", "bad", "A sync failed by a bug in this program"),
}
"""What a failed sync means, by the error's class; every other one is GitHub's."""


def _unable(view: View) -> Sentence | None:
    """The failures without whose cure there are no models at all."""
    known = view.problem is not None and view.problem.kind in {"LoginNeeded", "LoginRefused", "AccessRefused"}
    return _failing(view) if known else None


def _gone(view: View) -> Sentence | None:
    if view.workers or not view.last_heard:
        return None
    text = f"LiteLLM is gone: no worker has reported since {moment(view.last_heard)}."
    return Sentence("litellm_gone", "bad", text, "See LiteLLM's log: `docker compose logs litellm`.")


def _out_of_step(view: View) -> Sentence | None:
    behind = [worker for worker in view.workers if worker.out_of_step_since is not None]
    if not behind:
        return None
    first = min(behind, key=lambda worker: worker.out_of_step_since or 0.0)
    who = f"{len(behind)} of {len(view.workers)} LiteLLM worker{'s' * (len(view.workers) != 1)}"
    why = f": {first.problem}" if first.problem else f": it refuses {first.refused[0][0]}" if first.refused else ""
    text = f"{who} out of step since {moment(first.out_of_step_since or 0.0)}{why}."
    return Sentence(
        "worker_out_of_step", "bad", text, "See LiteLLM's log for `copilot-hook`; `doctor` checks each hop."
    )


def _credit(view: View) -> Sentence | None:
    for quota in view.credit.quotas if view.credit else ():
        if quota.used is not None and quota.used >= 100 and not quota.overage_permitted:
            until = f" until {view.credit.resets_at}" if view.credit and view.credit.resets_at else ""
            text = f"The credit is used up: Copilot refuses what counts towards {quota.name}{until}."
            cure = "Allow more at https://github.com/settings/copilot, or wait."
            return Sentence("credit_gone", "warning", text, cure)
    return None


def _failing(view: View) -> Sentence | None:
    problem = view.problem
    if problem is None:
        return None
    state, level, text = _KINDS.get(problem.kind, ("github_down", "warning", "GitHub cannot be read"))
    kept = f" LiteLLM keeps its {counted(view)}." if view.rows else ""
    return Sentence(state, level, f"{text} since {moment(problem.since)}: {problem.text}.{kept}", problem.hint)


def _starting(view: View) -> Sentence | None:
    if view.last_success:
        return None
    return Sentence("starting", "waiting", "The first sync has not finished yet.")


def _loss(view: View) -> Sentence | None:
    if not view.loss:
        return None
    cure = "If it is meant, `sync --accept-loss` removes them at once."
    return Sentence("implausible_loss", "warning", f"{view.loss[:1].upper()}{view.loss[1:]}.", cure)


def _fine(view: View) -> Sentence:
    serves = "LiteLLM serves" if view.workers else "LiteLLM is given"
    return Sentence("fine", "good", f"{serves} the {counted(view)} that GitHub lists for this account.")


_RULES: tuple[Callable[[View], Sentence | None], ...] = (
    *(_stuck, _standby, _login, _unable, _gone, _out_of_step, _failing, _starting, _credit, _loss),
)
