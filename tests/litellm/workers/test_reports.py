"""Each worker tells the sidecar what it serves, and what Copilot billed for it."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from scripts.litellm_versions import versions
from sidecar.models.entries import PROVIDER, models_file_bytes
from tests.fakes.catalog import CHAT, MESSAGES, RESPONSES, model, tier, tiered
from tests.fakes.github import GitHub
from tests.support.entries import entries_of, managed_entry
from tests.support.paths import ROOT
from tests.support.receiver import Receiver
from tests.support.waiting import until

from ..proxy import Both, Worker
from ..results import litellm_version
from .picky import REFUSED

P = PROVIDER
PRICES = tiered(tier(250, 1000, 25))
FIRST = [model("gpt-4o", billing=PRICES)]
ENDPOINTS = {"chat": [CHAT], "responses": [RESPONSES], "messages": [MESSAGES]}
SAY = {"messages": [{"role": "user", "content": "hello"}]}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": SAY,
    "/v1/responses": {"input": "hello"},
    "/v1/messages": {**SAY, "max_tokens": 50},
}
PAGE = (ROOT / "docs" / "billing.md").read_text("utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|")]


def publish(gh: GitHub, proxy: Both, receiver: Receiver, items: list[dict[str, Any]]) -> None:
    """Publish, and wait until every worker has said that it serves just that."""
    gh.set_catalog(items)
    proxy.publish(items)
    receiver.published(proxy.models_file, [item["id"] for item in items])
    until(lambda: receiver.in_step() == proxy.workers, 60, "every worker in step")


@pytest.mark.core
@pytest.mark.feature("follows")
def test_every_worker_reports_a_change_and_gets_in_step(
    gh: GitHub, proxy: Both, receiver: Receiver, record_figure
) -> None:
    """At once and not with the next beat: what it is, what it guards, and how long all of them took."""
    publish(gh, proxy, receiver, FIRST)
    before = len(receiver.workers.latest)
    publish(gh, proxy, receiver, [*FIRST, model("o3")])
    assert len(receiver.workers.latest) == before + 1
    record_figure("published to served, as reported by 3 workers, s", round(receiver.workers.latest[-1][1], 2))
    views = receiver.workers.snapshot(time.monotonic())
    assert [view.worker for view in views] == [1, 2, 3] and receiver.refused == []
    for view in views:
        assert (view.version, view.entries, view.refused, view.problem) == (litellm_version(), 2, (), "")
        assert view.follows and {"get_api_key", "get_api_base"} <= set(view.guarded) and view.unguarded == ()
        assert view.token_end is not None and view.token_end > time.time()
    for worker in proxy.clients:
        assert worker.chat(P + "o3").status == 200
    told = b"".join(request.body for request in receiver.requests)
    secrets = [proxy.token_file()["token"], (proxy.token_dir / "access-token").read_text()]
    assert [secret[:8] for secret in secrets if secret.encode() in told] == []
    assert len([line for line in proxy.hook_log() if "reporting to the sidecar" in line]) == proxy.workers


def test_an_entry_that_litellm_refuses_is_named(gh: GitHub, proxy: Both, receiver: Receiver) -> None:
    """With the reason; meanwhile no worker says that it serves this file, and the rest of it is served."""
    publish(gh, proxy, receiver, FIRST)
    proxy.write(models_file_bytes([*entries_of(FIRST), managed_entry("odd", mode="chat", category=REFUSED)]))
    receiver.published(proxy.models_file, ["gpt-4o", "odd"])

    def named() -> bool:
        views = receiver.workers.snapshot(time.monotonic())
        return all(view.digest == "" and [name for name, _ in view.refused] == ["github_copilot/odd"] for view in views)

    until(named, 60, "the refusal")
    assert all(view.entries == 1 and view.refused[0][1] for view in receiver.workers.snapshot(time.monotonic()))
    publish(gh, proxy, receiver, FIRST)


def name_of(request: str, kind: str) -> str:
    """A model for each row, so that one report tells them apart; only "claude" goes to Copilot's /v1/messages."""
    words = re.sub("[^a-z]+", "-", request.removeprefix("`/v1/"))
    return f"{'claude' if kind == 'messages' else 'gpt'}-{kind}-{words.strip('-')}"


def ask(worker: Worker, request: str, kind: str) -> None:
    path = request.split("`")[1]
    more = {"stream": True} if "streamed" in request else {}
    answer = worker.request("POST", path, {"model": P + name_of(request, kind), **BODIES[path], **more})
    assert answer.status == 200, answer.text


@pytest.mark.core
def test_bills_are_seen_where_the_page_says_so(gh: GitHub, proxy: Both, receiver: Receiver) -> None:
    """Each kind of request once: what is billed is in the report of the worker that served it, or it is not."""
    head, rows = ROWS[0], ROWS[2:]
    assert {item.number for item in versions() if item.role in ("default", "newest")} <= set(head)
    if litellm_version() not in head:
        pytest.skip("docs/billing.md says nothing of this version")
    items = [model(name_of(*row[:2]), endpoints=ENDPOINTS[row[1]], billing=PRICES) for row in rows] + FIRST
    gh.set(stream_gap=0)
    publish(gh, proxy, receiver, items)
    worker = proxy.one.clients[0]
    for request, kind, *_ in rows:
        ask(worker, request, kind)
    assert worker.chat(P + "gpt-4o").status == 200
    count = len(receiver.reports())
    for number in range(20):  # a report is made at once where something has changed
        publish(gh, proxy, receiver, [*items, model(f"change-{number}")] if number % 2 == 0 else items)
        spend = {name: sums for report in receiver.reports()[count:] for name, sums in report["spend"].items()}
        if number > 1 and "gpt-4o" in spend:
            break
    seen = {(request, kind): spend.get(name_of(request, kind)) for request, kind, *_ in rows}
    table = {key: "no" if sums is None else "yes" for key, sums in seen.items()}
    print(f"\n{litellm_version()}:", *(f"{answer:4}{' '.join(key)}" for key, answer in table.items()), sep="\n")
    for request, sums in seen.items():
        assert sums is None or sums == pytest.approx([8e-5, 8e-5], rel=1e-12), request
    column = head.index(litellm_version())
    assert {(row[0], row[1]): row[column] for row in rows} == table
