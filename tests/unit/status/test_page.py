"""The status page and the JSON beside it: complete without a script, loading nothing, believing nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from http import HTTPStatus

import jsonschema
import pytest

from sidecar.errors import BadAnswer, LoginNeeded
from sidecar.github.login_code import LoginCode
from sidecar.models.catalog import Omitted
from sidecar.models.credit import Credit, Quota
from sidecar.models.history import Event
from sidecar.models.view import rows
from sidecar.service.sync import entries_for
from sidecar.settings import Settings
from sidecar.status.markup import usd
from sidecar.status.routes import ROUTES, Request, respond
from sidecar.status.state import Status
from tests.fakes.catalog import model, tier, tiered
from tests.support.paths import ROOT

from .test_workers import NEW, OLD, report

SCHEMA = json.loads((ROOT / "docs" / "status-api.schema.json").read_text())
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\u202e\x1b[31m"
VOID = {"meta", "input", "img", "link", "br", "hr"}
PRICES = tiered(tier(300, 1500, 30, max_prompt_tokens=200_000), tier(600, 2250, 60, max_prompt_tokens=936_000))


class Document(HTMLParser):
    """The elements of a page, each with its attributes and the text directly in it; fails where tags do not match."""

    def __init__(self, text):
        super().__init__()
        self.elements, self._open = [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        element = [tag, dict(attrs), ""]
        assert len(attrs) == len(element[1])
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.elements.append([tag, dict(attrs), ""])

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        for element in self._open:
            element[2] += data

    def all(self, tag):
        return [(attrs, text) for name, attrs, text in self.elements if name == tag]


def built(*items):
    selection, entries = entries_for(list(items), Settings())
    return {"rows": rows(entries), "omitted": selection.omitted}


@pytest.fixture
def status():
    status = Status()
    status.beat(600)
    return status


def get(status, path="/", **headers):
    return respond(Request("GET", path, headers), status)


def page(status):
    answer = get(status)
    assert answer.status == HTTPStatus.OK
    return Document(answer.body.decode()), answer.headers


def test_it_loads_and_runs_nothing_else(status):
    """The policy allows the one style and the one script in it, and nothing in it needs more."""
    status.succeeded(1, changed=True, **built(model("gpt-4o", billing=PRICES, vision=True)))
    document, headers = page(status)
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    for tag in ("script", "style"):
        ((_, text),) = document.all(tag)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert policy[f"{tag}-src"] == f"'sha256-{digest}'"
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'" and policy["connect-src"] == "'self'"
    assert policy["img-src"] == "data:"
    for tag, attrs, _ in document.elements:
        assert tag != "link" or (attrs["rel"] == "icon" and attrs["href"].startswith("data:image/svg+xml,"))
        assert tag not in {"img", "iframe", "object", "base", "form"}
        assert not [name for name in attrs if name.startswith("on") or name in {"style", "src"}]
        assert tag == "link" or attrs.get("href", "/").startswith(("/", "#"))


def test_a_model_in_words(status):
    """Names, vendor, endpoints, limits, abilities, prices a million, the dearer tier, preview and retirement."""
    items = [
        model("gpt-4o", name="GPT-4o", vendor="OpenAI", billing=PRICES, vision=True, preview=True),
        model("text-embedding-3-small", type="embeddings", picker=False),
    ]
    status.succeeded(1, changed=True, **built(*items))
    document, _ = page(status)
    (row,) = [text for attrs, text in document.all("tr") if attrs["role"] == "row" and "github_copilot/gpt-4o" in text]
    for expected in ("GPT-4o", "preview", "OpenAI", "chat", "vision", "tools", "$3.00", "$15.00", "$0.30"):
        assert expected in row, expected
    assert "above 200,000: in $6.00, out $22.50, cached $0.60" in row
    ((_, omitted),) = document.all("details")
    assert "text-embedding-3-small" in omitted and "COPILOT_EMBEDDINGS" in omitted
    names = [item["model_name"] for item in entries_for(items, Settings())[1]]
    assert [name for row in json.loads(get(status, "/api/models").body)["models"] for name in row["names"]] == names


def test_workers_spend_and_history(status):
    """What the workers report, how soon a change was served, what was billed, and what changed, in words and plots."""
    status.succeeded(1, changed=True, **built(model("gpt-4o")))
    assert "workers" not in page(status)[0].all("section")[3][1]
    status.workers.published(OLD, 1e9, ["gpt-4o"])
    assert status.receive(report(digest=OLD)) == ""
    status.workers.published(NEW, status.view().now - 0.5, ["gpt-4o"])
    spend = {"gpt-4o": [2.0, 3.0], "unheard-of": [1.0, 1.0]}
    refused = [["bad", "it has no provider"]]
    assert status.receive(report(spend=spend, refused=refused, refusals=3, problem="no room")) == ""
    time = "2026-11-26T03:17:22Z"
    price = "model_info.input_cost_per_token"
    status.changed(
        [
            Event(time, "added", "gpt-4o", names=("github_copilot/gpt-4o",)),
            Event("2026-11-26T04:17:22Z", "price", "gpt-4o", price, 3e-06, 2.5e-06),
        ]
    )
    status.note(credit=Credit("octocat", "pro", quotas=(Quota("chat", 0.25, 300, 75),), resets_at="2026-12-01"))
    document, _ = page(status)
    text = document.all("main")[0][1]
    for expected in (
        "1.110.2", "in step", "registry() and apply()", "refuses bad: it has no provider", "and 2 more", "no room",
        "served by every worker 0.5 s after", "$2.00", "$3.00", "+50.0%", "other", "octocat", "chat 75 of 300 left",
        "2026-12-01", "added as github_copilot/gpt-4o", "input price: $3.00 per million tokens → $2.50",
        "input: $2.50 per million now", "Number of models: 1 now",
    ):  # fmt: skip
        assert expected in text, expected
    assert [attrs["value"] for attrs, _ in document.all("meter")] == ["0.2500"]
    drawn = [attrs["d"] for attrs, _ in document.all("path") if attrs["d"].startswith("M6.0 ")]
    assert drawn[0].count("V") == 1 and drawn[1].count("V") == 2, "the number of models, and one price that fell"
    answer = json.loads(get(status, "/api/status").body)
    assert answer["workers"][0]["in_step"] is True and answer["account"] == "octocat"
    assert {(item["model"], item["source"]): item["usd"] for item in answer["spend"]}["gpt-4o", "billed"] == 2.0
    assert [item["kind"] for item in json.loads(get(status, "/api/changes").body)["changes"]] == ["added", "price"]
    status.note(login=LoginCode("ABCD-1234", "https://github.com/login/device", 1e11))
    for kind in ("status", "models", "changes"):
        content = json.loads(get(status, f"/api/{kind}").body)
        jsonschema.validate(content, {"$ref": f"#/$defs/{kind}", "$defs": SCHEMA["$defs"]})


def test_a_sync_that_is_asked_for():
    """Only where it is allowed, only with the header that no foreign page can send, and once a minute."""
    pulls = iter([True, False])
    for allowed in (False, True):
        status = Status(Settings(status_trigger=allowed), lambda: next(pulls))
        status.beat(600)
        assert ("Sync now" in get(status).body.decode()) is allowed

        def post(status=status, **headers):
            return respond(Request("POST", "/sync", headers), status).status

        expected = [202, 429] if allowed else [403, 403]
        assert post() == 403 and [post(**{"copilot-sync": "1"}) for _ in range(2)] == expected
        assert post(**{"copilot-sync": "1", "host": "evil.example"}) == 421
        assert get(status, "/sync").status == 405


def test_a_report_is_taken_or_refused(status):
    """By POST alone, as JSON alone, which no foreign page may send, and with the reason."""
    kind = {"content-type": "application/json"}
    assert respond(Request("POST", "/report", kind, report()), status).status == 200
    for other in ({}, {"content-type": "text/plain"}, {"content-type": "application/x-www-form-urlencoded"}):
        assert respond(Request("POST", "/report", other, report()), status).status == 415
    refused = respond(Request("POST", "/report", kind, b"{}"), status)
    assert refused.status == 400 and b"missing or invalid" in refused.body
    assert get(status, "/report").status == 405


@pytest.mark.parametrize("place", ["name", "vendor", "omitted", "error", "hint", "code", "address", "target", "plan"])
def test_hostile_text_stays_text(status, place):
    """Wherever it comes from: the page has the elements that it has without it, and no control character."""

    def fill(text):
        status = Status(Settings(models_file=text if place == "target" else "x"))
        status.beat(600)
        item = model("m", **({place: text} if place in {"name", "vendor"} else {}))
        found = built(item)
        if place == "omitted":
            found["omitted"] = [Omitted(text, text)]
        status.succeeded(1, changed=True, plan=text if place == "plan" else "", **found)
        if place in {"error", "hint"}:
            status.failed(BadAnswer(text if place == "error" else "x", hint=text if place == "hint" else "x"))
        if place in {"code", "address"}:
            code = LoginCode(text if place == "code" else "A", text if place == "address" else "x", 1e11)
            status.note(login=code)
        document = page(status)[0]
        return document, [(tag, sorted(attrs)) for tag, attrs, _ in document.elements]

    document, elements = fill(HOSTILE)
    assert elements == fill("A")[1]
    shown = re.sub(r"[\n]", "", document.all("body")[0][1])
    assert "alert(1)" in shown


def test_links_lead_to_github_only_by_https(status):
    """An address that is not https is shown, and cannot be followed."""
    status.note(login=LoginCode("ABCD-1234", "javascript:alert(1)", 1e11))
    document, _ = page(status)
    assert [text for attrs, text in document.all("a") if "alert" in attrs["href"]] == []
    status.note(login=LoginCode("ABCD-1234", "https://github.com/login/device", 1e11))
    document, _ = page(status)
    (link,) = [attrs for attrs, text in document.all("a") if text == "Open GitHub"]
    assert link["href"] == "https://github.com/login/device" and link["rel"] == "noreferrer"
    assert [text for attrs, text in document.all("span") if attrs.get("id") == "code"] == ["ABCD-1234"]


def test_the_title_says_how_it_is(status):
    """So that a tab in the background shows it."""
    status.failed(LoginNeeded("none"))
    assert page(status)[0].all("title")[0][1].startswith("Waiting")
    status.succeeded(1, changed=True)
    assert page(status)[0].all("title")[0][1].startswith("Fine")


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("localhost:8080", 200), ("127.0.0.1:8080", 200), ("[::1]:8080", 200), ("[fe80::1]", 200), ("", 200),
        ("copilot-sync:8080", 200), ("10.0.0.7", 200),
        ("evil.example", 421), ("evil.example:8080", 421), ("127.0.0.1.evil.example", 421), ("1.2.3", 421),
    ],
)  # fmt: skip
def test_a_strangers_name_for_this_machine_shows_nothing(status, host, code):
    """A page that has its own name lead here must not read this one; health and metrics are for machines."""
    for path in ("/", "/api/status", "/api/models", "/api/changes"):
        assert get(status, path, host=host).status == code
    assert get(status, "/livez", host=host).status == get(status, "/metrics", host=host).status == 200


def test_switched_off():
    """With COPILOT_STATUS_PORT=0 there is no page; health and metrics stay."""
    status = Status(Settings(status_port=0))
    status.beat(600)
    for route in ROUTES:
        answer = respond(Request(route.methods[0], route.path), status)
        assert (answer.status == HTTPStatus.NOT_FOUND and b"COPILOT_STATUS_PORT" in answer.body) == route.shown


def test_the_state_as_json(status):
    """The same sentence, the same cure, and the times; what is not known is null."""
    answer = json.loads(get(status, "/api/status?x=1").body)
    assert answer["state"] == "starting" and answer["last_success"] is None and answer["login"] is None
    status.failed(LoginNeeded("no access token"))
    status.note(login=LoginCode("ABCD-1234", "https://github.com/login/device", 1e11))
    answer = json.loads(get(status, "/api/status").body)
    assert answer["state"] == "login_waiting" and answer["login"]["code"] == "ABCD-1234"
    assert answer["error"] == "LoginNeeded" and answer["since"] <= answer["now"]


@pytest.mark.parametrize(
    ("price", "text"),
    [(None, ""), (0.0, "$0.00"), (3.0, "$3.00"), (0.075, "$0.075"), (12.5, "$12.50"), (1e-7, "$0.00")],
)
def test_usd(price, text):
    """Two decimals at least, and more where they are needed."""
    assert usd(price) == text


def test_an_edited_config_shows_what_it_can():
    """Entries of any shape make rows, or none; a Decimal that YAML read as a float is the same price."""
    good = {"model_name": "n", "litellm_params": {"model": "github_copilot/m"}, "model_info": {}}
    bad = [{}, {"model_name": "x"}, {**good, "model_info": None}, {**good, "litellm_params": []}]
    assert rows([*bad, good]) == [
        {"id": "m", "names": ["n"], "display_name": "", "vendor": "", "mode": "", "endpoints": [], "context": None,
         "output": None, "abilities": [], "prices": {}, "long_context": None, "preview": False, "retires": None}
    ]  # fmt: skip
    priced = {**good, "model_info": {"input_cost_per_token": 3e-06, "output_cost_per_token": True, "vendor": 5}}
    assert rows([priced])[0]["prices"] == {"input": 3.0}
