"""The stand-in for GitHub and Copilot behaves as the real ones do, and misbehaves when told to."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from email.utils import parsedate_to_datetime

import pytest
import requests

from tests.fakes.catalog import CHAT, MESSAGES, RESPONSES, demo_catalog, model, tier, tiered
from tests.fakes.control import Control, ControlError
from tests.fakes.copilot import ACCESS_TOKEN_SENT, endpoints_of
from tests.fakes.github import GitHub
from tests.support.paths import ROOT
from tests.support.waiting import until

CLIENT_ID = "Iv1.b507a08c87ecfe98"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
EDITOR = {
    "editor-version": "vscode/1.95.0",
    "editor-plugin-version": "copilot-chat/0.26.7",
    "copilot-integration-id": "vscode-chat",
    "user-agent": "GitHubCopilotChat/0.26.7",
}
TOOL = {"name": "weather", "parameters": {"type": "object", "properties": {}, "required": ["city"]}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


@pytest.fixture
def gh():
    with GitHub(stream_gap=0) as github:
        yield github


def exchange(gh, token=None):
    token = token or gh.new_access_token()
    return requests.get(gh.url + "/copilot_internal/v2/token", headers={"Authorization": f"token {token}"}, timeout=60)


def copilot_headers(gh):
    return {**EDITOR, "Authorization": "Bearer " + exchange(gh).json()["token"]}


def account(gh, token=None):
    headers = {"Authorization": f"token {token or gh.new_access_token()}"}
    return requests.get(gh.url + "/copilot_internal/user", headers=headers, timeout=60)


def send_raw(gh, path, *headers):
    """A GET with exactly these headers, each as often as it is there."""
    connection = http.client.HTTPConnection(gh.url.removeprefix("http://"), timeout=60)
    connection.putrequest("GET", path, skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def ask(gh, path, headers=None, **body):
    return requests.post(gh.url + path, json=body, headers=headers or copilot_headers(gh), timeout=60)


def chat(gh, model="gpt-4o", headers=None, **body):
    return ask(gh, "/chat/completions", headers, model=model, messages=[{"role": "user", "content": "hi"}], **body)


def events(answer):
    lines = answer.text.splitlines()
    return [json.loads(x[6:]) for x in lines if x.startswith("data: ") and x != "data: [DONE]"]


def begin_login(gh, **more):
    fields = {"client_id": CLIENT_ID, "scope": "read:user", **more}
    headers = {"Accept": "application/json"}
    return requests.post(gh.url + "/login/device/code", json=fields, headers=headers, timeout=60).json()


def poll(gh, code):
    fields = {"client_id": CLIENT_ID, "device_code": code["device_code"], "grant_type": GRANT_TYPE}
    headers = {"Accept": "application/json"}
    return requests.post(gh.url + "/login/oauth/access_token", data=fields, headers=headers, timeout=60).json()


class TestLogin:
    def test_whole_way(self, gh):
        """A login that is approved leads to an access token, a Copilot token and the catalog."""
        gh.device_flow(interval=0)
        code = begin_login(gh)
        assert poll(gh, code)["error"] == "authorization_pending"
        gh.approve()
        token = poll(gh, code)["access_token"]
        assert token.startswith("ghu_")
        headers = {"Authorization": f"token {token}"}
        assert requests.get(gh.url + "/user", headers=headers, timeout=60).json()["login"] == "octocat"
        account = exchange(gh, token).json()
        bearer = {**EDITOR, "Authorization": f"Bearer {account['token']}"}
        catalog = requests.get(account["endpoints"]["api"] + "/models", headers=bearer, timeout=60).json()
        assert len(catalog["data"]) == len(demo_catalog())
        assert poll(gh, code)["error"] == "incorrect_device_code"

    def test_polling_too_fast(self, gh):
        """A poll ahead of the interval is told to slow down, by five seconds more."""
        assert begin_login(gh)["interval"] == 5
        gh.device_flow(interval=600)
        code = begin_login(gh)
        poll(gh, code)
        assert (answer := poll(gh, code))["error"] == "slow_down"
        assert answer["interval"] == 605

    def test_slow_down_on_demand(self, gh):
        """The next n polls are told to slow down, however slow they are."""
        gh.device_flow(interval=0, slow_down=1, slow_down_step=0)
        code = begin_login(gh)
        assert [poll(gh, code)["error"] for _ in range(2)] == ["slow_down", "authorization_pending"]

    @pytest.mark.parametrize(("settle", "error"), [("deny", "access_denied"), ("expire_device_code", "expired_token")])
    def test_refused(self, gh, settle, error):
        """A login that is denied, or left too long, ends with GitHub's name for it."""
        code = begin_login(gh)
        getattr(gh, settle)()
        assert poll(gh, code)["error"] == error

    def test_disabled(self, gh):
        """An app without a device flow is refused at once, with status 200."""
        gh.device_flow(mode="disabled")
        assert begin_login(gh)["error"] == "device_flow_disabled"

    def test_approves_by_itself(self, gh):
        """With approve_after nobody needs to be there."""
        gh.device_flow(approve_after=0)
        assert "access_token" in poll(gh, begin_login(gh))


class TestExchange:
    def test_revoked(self, gh):
        """A revoked token has bad credentials."""
        token = gh.new_access_token()
        gh.revoke(token)
        answer = exchange(gh, token)
        assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")

    def test_wrong_kind_of_token(self, gh):
        """A token of the GitHub CLI is not exchanged, but reads the catalog directly."""
        token = gh.new_access_token(kind="gho_")
        assert exchange(gh, token).status_code == 404
        headers = {**EDITOR, "Authorization": f"Bearer {token}"}
        assert requests.get(gh.url + "/models", headers=headers, timeout=60).ok

    def test_two_kinds_of_403(self, gh):
        """No Copilot and too many requests share a status and differ in the body."""
        gh.rate_limit(1, retry_after=7)
        limited = exchange(gh)
        assert limited.status_code == 403 and "rate limit" in limited.json()["message"]
        assert limited.headers["Retry-After"] == "7"
        gh.no_subscription()
        refused = exchange(gh)
        assert refused.status_code == 403
        assert set(refused.json()["error_details"]) == {"notification_id", "title", "message", "url"}
        gh.no_subscription(False)
        assert exchange(gh).ok

    def test_clock_skew(self, gh):
        """A server whose clock is ahead shows it in Date and in expires_at alike."""
        gh.clock_skew = 600
        answer = exchange(gh)
        ahead = parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()
        assert ahead == pytest.approx(600, abs=60)
        assert answer.json()["expires_at"] - time.time() == pytest.approx(2400, abs=60)

    def test_endpoints_api(self, gh):
        """The plan's host can be any text."""
        gh.plan_host = "not an address"
        assert exchange(gh).json()["endpoints"]["api"] == "not an address"


class TestAccount:
    def test_what_github_says_of_it(self, gh):
        """Login, plan, Copilot's address and quotas, to whoever holds an access token."""
        body = account(gh).json()
        assert (body["login"], body["copilot_plan"], body["chat_enabled"]) == ("octocat", "individual", True)
        assert body["endpoints"]["api"] == gh.url and "fake_individual" in body["access_type_sku"]
        quotas = body["quota_snapshots"]
        assert set(quotas) == {"chat", "completions", "premium_interactions"} and quotas["chat"]["unlimited"]
        premium = quotas["premium_interactions"]
        assert premium["remaining"] < premium["entitlement"] and 0 < premium["percent_remaining"] < 100

    def test_plans(self, gh):
        """A business plan names its own host; a free plan counts in monthly quotas."""
        gh.plan = "business"
        assert account(gh).json()["endpoints"]["api"] == exchange(gh).json()["endpoints"]["api"] != gh.url
        gh.plan = "free"
        body = account(gh).json()
        assert body["monthly_quotas"].keys() == body["limited_user_quotas"].keys() and "quota_snapshots" not in body

    def test_no_subscription(self, gh):
        """Without Copilot the answer is still there, and says so."""
        gh.no_subscription()
        body = account(gh).json()
        assert (body["chat_enabled"], body["access_type_sku"]) == (False, "no_access")

    def test_fields_can_be_replaced_and_left_out(self, gh):
        """Nothing in it can be relied on."""
        gh.user_fields = {"endpoints": None, "quota_snapshots": {"chat": {"remaining": -3}}}
        body = account(gh).json()
        assert "endpoints" not in body and body["quota_snapshots"] == {"chat": {"remaining": -3}}

    def test_refused(self, gh):
        """A token that is not valid, and too many requests."""
        assert account(gh, "ghu_nobody").status_code == 401
        gh.rate_limit(1)
        assert account(gh).status_code == 403


class TestCatalog:
    @pytest.mark.parametrize(
        ("version", "spelling"), [("2026-06-01", "cache_price"), ("2026-08-01", "cache_read_price")]
    )
    def test_price_spelling(self, gh, version, spelling):
        """The API version decides how the cache price is spelled."""
        headers = {**copilot_headers(gh), "X-GitHub-Api-Version": version}
        data = requests.get(gh.url + "/models", headers=headers, timeout=60).json()["data"]
        assert data[0]["billing"]["token_prices"]["default"][spelling] == 125

    def test_oldest_shape(self, gh):
        """Without a version there are no token prices, a warning on each model, and smaller limits."""
        data = requests.get(gh.url + "/models", headers=copilot_headers(gh), timeout=60).json()["data"]
        assert not any("token_prices" in item.get("billing", {}) for item in data)
        assert all(item["warning_messages"][-1]["code"] == "client_version_deprecated" for item in data)
        limits = next(item for item in data if item["id"] == "gpt-5.4")["capabilities"]["limits"]
        assert limits["max_context_window_tokens"] == 272_000

    def test_flicker(self, gh):
        """A model can be missing from every second answer."""
        gh.flicker = ["gpt-4o"]
        headers = copilot_headers(gh)
        answers = [requests.get(gh.url + "/models", headers=headers, timeout=60).json()["data"] for _ in range(2)]
        assert len(answers[0]) - len(answers[1]) == 1


class TestCopilotRefuses:
    def test_expired_token(self, gh):
        """An expired Copilot token gets Copilot's own words."""
        headers = copilot_headers(gh)
        gh.expire_copilot_tokens()
        answer = chat(gh, headers=headers)
        assert answer.status_code == 401
        assert answer.text.strip() == "IDE token expired: unauthorized: token expired"

    def test_token_that_is_refused_before_its_end(self, gh):
        """Those issued so far stop working at once, in Copilot's words; a new one works."""
        headers = copilot_headers(gh)
        assert gh.refuse_copilot_tokens() == 1
        answer = chat(gh, headers=headers)
        assert answer.status_code == 401
        assert answer.text.strip() == "unauthorized: unauthorized: AuthenticateToken authentication failed"
        assert chat(gh).ok and chat(gh, headers=headers).status_code == 401

    def test_every_token_is_refused_for_a_while(self, gh):
        """Trouble on GitHub's side: no token works, however new, until it is over; then each does until its end."""
        headers = copilot_headers(gh)
        gh.refuse_copilot_tokens(later_too=True)
        assert [chat(gh, headers=headers).status_code, chat(gh).status_code] == [401, 401]
        gh.accept_copilot_tokens()
        assert chat(gh).ok and chat(gh, headers=headers).ok

    @pytest.mark.parametrize("path", ["/models", "/chat/completions"])
    def test_access_token_in_place_of_a_copilot_token(self, gh, path):
        """The long-lived token has no business at Copilot's hosts, and a test can see that it was there."""
        headers = {**EDITOR, "Authorization": "Bearer " + gh.new_access_token()}
        assert requests.request("POST" if "chat" in path else "GET", gh.url + path, headers=headers, timeout=60).text
        assert gh.refusals == [(path, ACCESS_TOKEN_SENT)]

    @pytest.mark.parametrize("name", EDITOR)
    def test_missing_editor_header(self, gh, name):
        """Each of the four headers is needed."""
        answer = chat(gh, headers={**copilot_headers(gh), name: None})
        assert answer.status_code == 400
        assert "for IDE auth" in answer.text or "unknown User-Agent" in answer.text
        assert len(gh.refusals) == 1

    @pytest.mark.parametrize("name", [*EDITOR, "copilot-vision-request", "authorization"])
    def test_header_with_two_values(self, gh, name):
        """A value joined from two headers is refused, and remembered."""
        headers = {**copilot_headers(gh), "copilot-vision-request": "true"}
        value = headers.pop("Authorization") if name == "authorization" else headers[name]
        answer = chat(gh, headers={**headers, name: f"AsyncOpenAI/Python 2.54.0, {value}"})
        assert answer.status_code == 400 and f"{name} sent twice" in answer.text
        assert [path for path, _ in gh.refusals] == ["/chat/completions"]

    @pytest.mark.parametrize("path", ["/models", "/copilot_internal/v2/token"])
    def test_header_sent_twice(self, gh, path):
        """Two headers of one name are refused by GitHub and Copilot alike, whatever their spelling and value."""
        headers = {**EDITOR, "authorization": f"token {gh.new_access_token()}"}
        if path == "/models":
            headers = {name.lower(): value for name, value in copilot_headers(gh).items()}
        assert send_raw(gh, path, *headers.items())[0] == 200
        for name in (*EDITOR, "x-anything"):
            twice = [*headers.items(), (name, "one"), (name.title(), "one")]
            status, text = send_raw(gh, path, *twice)
            assert status == 400 and f"{name} sent twice" in text
        assert gh.requests[-1].raw_headers[-2:] == [("x-anything", "one"), ("X-Anything", "one")]
        assert gh.requests[-1].headers["x-anything"] == "one, one"

    def test_commas_that_belong(self, gh):
        """Lists of kinds are one value, and so is what a browser calls itself."""
        headers = {**copilot_headers(gh), "accept": "a/b, c/d", "accept-encoding": "gzip, br"}
        headers["user-agent"] = "Mozilla/5.0 (X11; Linux) Web/1 (KHTML, like Gecko)"
        assert chat(gh, headers=headers).ok and gh.refusals == []

    @pytest.mark.parametrize("model_id", ["nobody", "grok-4.6"])
    def test_unsupported_model(self, gh, model_id):
        """A model that is unknown or disabled."""
        assert chat(gh, model_id).json()["error"]["code"] == "model_not_supported"

    @pytest.mark.parametrize(
        "model_id", ["gpt-5.3-codex", "claude-fable-5", "gpt-live", "retired-preview", "text-embedding-3-small"]
    )
    def test_wrong_endpoint(self, gh, model_id):
        """A model is only served where it says, or where its type implies."""
        assert chat(gh, model_id).json()["error"]["code"] == "unsupported_api_for_model"

    def test_unknown_parameter(self, gh):
        """What is in no API reference is refused, by name."""
        answer = chat(gh, cache_models_for=3600)
        assert answer.status_code == 400 and "cache_models_for" in answer.text
        assert gh.refusals == [("/chat/completions", "Unknown parameter: 'cache_models_for'.")]

    @pytest.mark.parametrize("more", [{"stream": True}, {"tools": [TOOL]}, {"parallel_tool_calls": True}])
    def test_missing_capability(self, gh, more):
        """A model cannot do what its supports does not say."""
        assert "does not support" in chat(gh, "no-tools-chat", **more).text

    def test_picture_without_header(self, gh):
        """A picture needs the vision header."""
        turn = {"role": "user", "content": [PICTURE]}
        headers = copilot_headers(gh)
        refused = ask(gh, "/chat/completions", headers, model="gpt-4o", messages=[turn])
        assert "Copilot-Vision-Request" in refused.text
        headers["Copilot-Vision-Request"] = "true"
        assert ask(gh, "/chat/completions", headers, model="gpt-4o", messages=[turn]).ok

    def test_generic_host_of_a_business_plan(self, gh):
        """Only the plan's own endpoint serves a business plan."""
        gh.plan = "business"
        account = exchange(gh).json()
        headers = {**EDITOR, "Authorization": f"Bearer {account['token']}"}
        assert requests.get(gh.url + "/models", headers=headers, timeout=60).status_code == 403
        assert requests.get(account["endpoints"]["api"] + "/models", headers=headers, timeout=60).ok


class TestAnswers:
    def test_every_model_answers_where_it_can(self, gh):
        """Each endpoint of each usable model says hello, and nothing is refused."""
        headers = copilot_headers(gh)
        for item in gh.catalog:
            if item.get("policy", {}).get("state", "enabled") != "enabled":
                continue
            for path in set(endpoints_of(item)) - {"ws:/responses"}:
                more = {"/responses": {"input": "hi"}, "/embeddings": {"input": "hi"}}.get(path)
                more = more or {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}
                answer = ask(gh, path, headers, model=item["id"], **more)
                assert answer.ok and (path == "/embeddings" or f"hello from {item['id']}" in answer.text)
        assert gh.refusals == []

    def test_chat_stream(self, gh):
        """Pieces that make up the text, then the usage if asked for, then [DONE]."""
        gh.usage = {"cached_tokens": 3}
        answer = chat(gh, stream=True, stream_options={"include_usage": True})
        chunks = events(answer)
        assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks[:-1]) == "hello from gpt-4o"
        assert chunks[-1]["usage"]["prompt_tokens_details"]["cached_tokens"] == 3
        assert answer.text.endswith("data: [DONE]\n\n")

    def test_responses_stream(self, gh):
        """Numbered events from created to completed; the usage comes with the last."""
        gh.usage = {"reasoning_tokens": 2}
        seen = events(ask(gh, "/responses", model="gpt-5.3-codex", input="hi", stream=True))
        assert (seen[0]["type"], seen[-1]["type"]) == ("response.created", "response.completed")
        assert [e["sequence_number"] for e in seen] == list(range(len(seen)))
        assert seen[-1]["response"]["usage"]["output_tokens_details"]["reasoning_tokens"] == 2

    def test_messages_stream(self, gh):
        """Anthropic's events, with input tokens that leave out the cache."""
        gh.usage = {"prompt_tokens": 10, "cached_tokens": 6, "cache_creation_tokens": 1}
        turn = {"role": "user", "content": "hi"}
        body = {"model": "claude-fable-5", "messages": [turn], "max_tokens": 9, "stream": True}
        seen = events(ask(gh, "/v1/messages", **body))
        assert (seen[0]["type"], seen[-1]["type"]) == ("message_start", "message_stop")
        assert seen[0]["message"]["usage"]["input_tokens"] == 3
        assert "".join(e["delta"].get("text", "") for e in seen if "delta" in e) == "hello from claude-fable-5"

    def test_tool_call(self, gh):
        """A demanded tool is called with its required arguments."""
        tools = [{"type": "function", "function": TOOL}]
        choice = chat(gh, tools=tools, tool_choice="required").json()["choices"][0]
        assert choice["finish_reason"] == "tool_calls"
        assert json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"]) == {"city": "example"}

    def test_tool_call_as_the_prompt_has_it(self, gh):
        """A prompt may say which tool is called, and with what; a tool that is not there is not."""
        tools = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("first", "Read")]
        for prompt, expected in (
            ('Call the tool Read with {"path": "/Tmp"}!', ("Read", {"path": "/Tmp"})),
            ("call the tool", ("first", {})),
            ('call the tool Write with {"path": "x"}', ("first", {})),
        ):
            turns = [{"role": "user", "content": prompt}]
            answer = ask(gh, "/chat/completions", model="gpt-4o", messages=turns, tools=tools)
            said = answer.json()["choices"][0]["message"]
            function = said["tool_calls"][0]["function"]
            assert (function["name"], json.loads(function["arguments"])) == expected


PRICED = tiered(tier(200, 1000, 10, cache_write_price=250, context_max=20_000), tier(400, 1500, 20))


class TestBills:
    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(
        ("path", "ask_for", "last"),
        [
            (CHAT, {"messages": [{"role": "user", "content": "hi"}]}, -1),
            (RESPONSES, {"input": "hi"}, -1),
            (MESSAGES, {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}, -2),
        ],
    )
    def test_every_answer_says_what_it_cost(self, gh, path, ask_for, last, stream):
        """Beside the usage, and in a stream once, with the last of it: what the catalog's prices come to."""
        gh.set_catalog([model("priced", endpoints=[CHAT, RESPONSES, MESSAGES], billing=PRICED)])
        gh.usage = {"prompt_tokens": 9304, "completion_tokens": 7, "cached_tokens": 9000, "cache_creation_tokens": 300}
        answer = ask(gh, path, model="priced", stream=stream, **ask_for)
        told = events(answer)[last] if stream else answer.json()
        assert told["copilot_usage"]["total_nano_aiu"] == 172_800_000
        assert [one["cost_per_batch"] for one in told["copilot_usage"]["token_details"]] == [
            *(200_000_000_000, 10_000_000_000, 250_000_000_000, 1_000_000_000_000)
        ]
        assert answer.text.count("copilot_usage") == 1

    def test_a_long_prompt_costs_more_and_what_has_no_price_nothing(self, gh):
        """By the tier that the prompt's length is in; prices that are none are free."""
        gh.set_catalog(
            [model("priced", billing=PRICED), model("free"), model("odd", billing=tiered(tier(1, 1), None, 0))]
        )
        gh.usage = {"prompt_tokens": 20_001, "completion_tokens": 0}
        assert chat(gh, "priced").json()["copilot_usage"]["total_nano_aiu"] == 20_001 * 400_000
        for name in ("free", "odd"):
            assert chat(gh, name).json()["copilot_usage"] == {"token_details": [], "total_nano_aiu": 0}


class TestFaults:
    def test_every_second_time(self, gh):
        """A fault can hit each n-th request, and end after so many hits."""
        gh.fail("/user", status=500, every=2, times=1)
        assert [requests.get(gh.url + "/user", timeout=60).status_code for _ in range(4)] == [401, 500, 401, 401]

    def test_canned_answer(self, gh):
        """Status, headers and body are the test's to choose."""
        gh.fail("*", status=429, headers={"Retry-After": "3"}, body={"a": 1})
        answer = exchange(gh)
        assert (answer.status_code, answer.headers["Retry-After"], answer.json()) == (429, "3", {"a": 1})

    @pytest.mark.parametrize("how", ["reset", "truncate"])
    def test_broken_connection(self, gh, how):
        """A connection that ends too early is an error for the client."""
        gh.fail("/user", how=how)
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            requests.get(gh.url + "/user", timeout=60)

    def test_truncated_stream(self, gh):
        """A stream can end in the middle."""
        gh.fail("/chat/completions", how="truncate")
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            chat(gh, stream=True)

    def test_garbage(self, gh):
        """An answer that claims to be JSON need not be."""
        gh.fail("/user", how="garbage")
        with pytest.raises(ValueError):
            requests.get(gh.url + "/user", timeout=60).json()

    def test_slow(self, gh):
        """A slow answer is right, and takes its time."""
        gh.fail("/user", how="slow", delay=0.02)
        begun = time.monotonic()
        assert requests.get(gh.url + "/user", timeout=60).json()["message"] == "Bad credentials"
        assert time.monotonic() - begun > 0.1

    def test_redirect(self, gh):
        """A redirect goes where the test says."""
        gh.fail("/user", how="redirect", location="http://elsewhere.invalid/")
        answer = requests.get(gh.url + "/user", allow_redirects=False, timeout=60)
        assert (answer.status_code, answer.headers["Location"]) == (302, "http://elsewhere.invalid/")

    def test_hang_leaves_no_thread(self):
        """A request that hangs is recorded, unanswered, and let go when the stand-in stops."""
        before = set(threading.enumerate())
        with GitHub() as gh:
            gh.fail("/user", how="hang")
            with pytest.raises(requests.ReadTimeout):
                requests.get(gh.url + "/user", timeout=0.1)
            until(lambda: [r.status for r in gh.requests_to("/user")] == [None])
        assert set(threading.enumerate()) <= before

    def test_down_and_up(self, gh):
        """Down refuses connections, also kept ones; up listens on the same port."""
        with requests.Session() as session:
            session.get(gh.url + "/user", timeout=60)
            gh.down()
            with pytest.raises(requests.ConnectionError):
                session.get(gh.url + "/user", timeout=60)
            gh.up()
            assert session.get(gh.url + "/user", timeout=60).status_code == 401


class TestControl:
    def test_same_methods_over_http(self, gh):
        """What a test can do in the process it can do over HTTP."""
        control = Control(gh.url)
        control.set_catalog(items=[model("only")])
        control.set(latency=0.0)
        exchange(gh, control.new_access_token(kind="gho_"))
        assert [m["id"] for m in control.catalog] == ["only"] == [m["id"] for m in gh.catalog]
        assert control.count("/copilot_internal/v2/token") == 1
        assert control.requests[0].status == 404
        assert control.requests == gh.requests
        headers = copilot_headers(gh)
        assert control.refuse_copilot_tokens(later_too=True) == 1 and chat(gh, headers=headers).status_code == 401
        control.accept_copilot_tokens()
        assert chat(gh, "only", headers=headers).ok
        control.clear()
        assert control.requests == [] == gh.requests

    def test_down_for_a_while(self, gh):
        """Over HTTP it goes down for a number of seconds, and not for ever."""
        control = Control(gh.url)
        control.down(seconds=2)
        assert not control.healthy()
        until(control.healthy)
        with pytest.raises(ControlError, match="needs seconds"):
            control.down()

    def test_mistakes_are_reported(self, gh):
        """A misspelled setting is an error, not silence."""
        with pytest.raises(ControlError, match="latencey"):
            Control(gh.url).set(latencey=1)

    def test_program(self):
        """As a program it says when it is ready, serves, and ends cleanly on SIGTERM."""
        command = [sys.executable, "-m", "tests.fakes.github", "--port", "0", "--plan-host", "plan.example"]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as program:
            ready = program.stderr.readline()
            assert ready.startswith("ready on http://")
            control = Control(ready.split()[-1])
            assert control.state()["settings"]["plan_host"] == "http://plan.example"
            assert control.approve() == 0
            program.send_signal(signal.SIGTERM)
            assert program.wait(60) == 0
            assert program.stderr.read() == ""
