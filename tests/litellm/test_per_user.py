"""Each user's own seat: LiteLLM's per-user Copilot login with the models that the sidecar writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.fakes.catalog import model, tier, tiered
from tests.fakes.github import GitHub
from tests.support import canary
from tests.support.waiting import until

from . import database
from .names import RealNames
from .proxy import Proxy
from .results import litellm_version

pytestmark = pytest.mark.long

CREDENTIAL = "team"
PRICED = tiered(tier(300, 1500, 30, cache_write_price=375))
CATALOG = [
    model("gpt-4o", endpoints=["/chat/completions"], billing=PRICED),
    model("gpt-5.4", endpoints=["/responses"], billing=PRICED),
    model("claude-sonnet-4.6", endpoints=["/chat/completions", "/v1/messages"], vendor="Anthropic", billing=PRICED),
    model("embed", type="embeddings", picker=False),
]
MESSAGES = [{"role": "user", "content": "hello"}]
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"model": "github_copilot/gpt-4o", "messages": MESSAGES}),
    ("/v1/chat/completions", {"model": "github_copilot/gpt-4o", "messages": MESSAGES, "stream": True}),
    ("/v1/chat/completions", {"model": "github_copilot/gpt-5.4", "messages": MESSAGES}),
    ("/v1/responses", {"model": "github_copilot/gpt-5.4", "input": "hello"}),
    ("/v1/messages", {"model": "github_copilot/claude-sonnet-4.6", "messages": MESSAGES, "max_tokens": 9}),
    ("/v1/messages", {"model": "github_copilot/gpt-5.4", "messages": MESSAGES, "max_tokens": 9}),
    ("/v1/responses", {"model": "github_copilot/gpt-4o", "input": "hello"}),
    ("/v1/embeddings", {"model": "github_copilot/embed", "input": "hello"}),
]
BRIDGED = [("/v1/chat/completions", "gpt-5.4"), ("/v1/messages", "gpt-5.4")]
"""What LiteLLM (1.108 to 1.110) loses the credential's name of on the way: it bridges these to Copilot's /responses."""
PER_USER = {"github_copilot_auth_type": "per_user_oauth"}
CREDENTIAL_ITEM = {
    "credential_name": CREDENTIAL,
    "credential_info": {"custom_llm_provider": "github_copilot"},
    "credential_values": PER_USER,
}


def supported() -> bool:
    return tuple(map(int, litellm_version().split(".")[:2])) >= (1, 108)


needs_per_user_login = pytest.mark.skipif(
    not supported(), reason=f"LiteLLM has per-user Copilot login since 1.108; this is {litellm_version()}"
)


def publish(proxy: Proxy, items: list[dict[str, Any]], credential: str = CREDENTIAL) -> None:
    proxy.publish(items, COPILOT_CREDENTIAL_NAME=credential, COPILOT_EMBEDDINGS="true")


@needs_per_user_login
@pytest.mark.core
@pytest.mark.feature("per-user")
def test_the_shared_login_is_never_used(fresh_gh: GitHub, start: Callable[..., Proxy]) -> None:
    """Without a seat of his own a caller gets a 401 that says what to do, on every endpoint, and Copilot no request."""
    # That also holds for a credential that LiteLLM does not have, and the list of models follows as ever.
    proxy = start(fresh_gh, config={"credential_list": [CREDENTIAL_ITEM]})
    proxy.login(fresh_gh.new_access_token())
    publish(proxy, CATALOG)
    proxy.start()
    names = {"github_copilot/" + item["id"] for item in CATALOG}
    until(lambda: proxy.models() == names, 30, "all models served")
    fresh_gh.clear()

    def refused(credential: str) -> None:
        for path, body in REQUESTS:
            answer = proxy.request("POST", path, json=body)
            assert answer.status_code == 401, (path, body, answer.text)
            assert f"Connect GitHub Copilot for credential '{credential}'" in answer.text

    refused(CREDENTIAL)
    publish(proxy, CATALOG, "no-such-team")
    until(lambda: "no-such-team" in proxy.chat("github_copilot/gpt-4o").text, 30, "another credential")
    refused("no-such-team")
    publish(proxy, [*CATALOG[1:], model("gpt-6", endpoints=["/chat/completions"])])
    until(lambda: proxy.models() == names - {"github_copilot/gpt-4o"} | {"github_copilot/gpt-6"}, 30, "it follows")
    assert proxy.chat("github_copilot/gpt-6").status_code == 401
    assert [seen.path for seen in fresh_gh.requests if "copilot_internal" not in seen.path] == []


@pytest.mark.skipif(supported(), reason="this LiteLLM has per-user Copilot login")
def test_a_litellm_without_per_user_login(fresh_gh: GitHub, start: Callable[..., Proxy]) -> None:
    """Before 1.108 the setting is a mistake: chat fails with the parameter's name, the rest uses the shared login."""
    proxy = start(fresh_gh)
    proxy.login(fresh_gh.new_access_token())
    publish(proxy, CATALOG)
    proxy.start()
    chat = proxy.chat("github_copilot/gpt-4o")
    assert chat.status_code == 400 and "Unknown parameter: 'github_copilot_auth_type'" in chat.text
    body = {"model": "github_copilot/gpt-5.4", "input": "hello"}
    assert proxy.request("POST", "/v1/responses", json=body).status_code == 200


@dataclass
class Member:
    """A user of the team's LiteLLM, with a key and a GitHub account of his own."""

    team: Team
    name: str
    key: str

    @property
    def login(self) -> str:
        return f"{self.name}-at-github"

    def ask(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        return self.team.proxy.request(method, path, headers={"Authorization": f"Bearer {self.key}"}, **kwargs)

    def chat(self, name: str = "github_copilot/gpt-4o") -> requests.Response:
        return self.ask("POST", "/v1/chat/completions", json={"model": name, "messages": MESSAGES})

    def connect(self) -> dict[str, Any]:
        """Log in to GitHub as a person does in LiteLLM's UI; the last answer."""
        path = f"/credentials/{CREDENTIAL}/user_connection"
        begun = self.ask("POST", f"{path}/start")
        assert begun.status_code == 200, begun.text
        handle = {"flow_handle": begun.json()["flow_handle"]}
        waiting = self.ask("POST", f"{path}/poll", json=handle).json()
        assert waiting["status"] == "pending", waiting
        self.team.gh.login = self.login
        assert self.team.gh.approve() == 1
        answer: dict[str, Any] = self.ask("POST", f"{path}/poll", json=handle).json()
        return answer


@dataclass
class Team:
    """LiteLLM with a database and a shared login, and GitHub's real names answered by the stand-in."""

    gh: GitHub
    names: RealNames
    proxy: Proxy
    data: database.Database

    def member(self, name: str) -> Member:
        made = self.proxy.request("POST", "/user/new", json={"user_id": name, "auto_create_key": True})
        assert made.status_code == 200, made.text
        return Member(self, name, made.json()["key"])


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    database.require()
    client = database.client(tmp_path_factory.mktemp("client"))
    home = tmp_path_factory.mktemp("team")
    with GitHub() as gh, database.Database() as data, RealNames(home, gh) as names:
        gh.set_catalog(CATALOG)
        gh.device_flow(interval=0)
        gh.plan_host = "https://api.business.githubcopilot.com"
        found = client.pop("PYTHONPATH")
        # Every exchange goes to GitHub's real name, so that it is known whose each Copilot token is.
        github = {name: value for name, value in gh.env().items() if name != "GITHUB_COPILOT_API_KEY_URL"}
        proxy = Proxy(
            home, {**github, **names.env, **client, "DATABASE_URL": data.url, "LITELLM_SALT_KEY": canary.new("k")}
        )
        proxy.env["PYTHONPATH"] += f":{found}"
        proxy.login(gh.new_access_token("shared"))
        publish(proxy, CATALOG)
        with proxy:
            made = proxy.request("POST", "/credentials", json=CREDENTIAL_ITEM)
            assert made.status_code == 200, made.text
            yield Team(gh, names, proxy, data)


@needs_per_user_login
@pytest.mark.core
@pytest.mark.feature("per-user")
def test_each_member_spends_his_own_seat(team: Team) -> None:
    """Two members log in with GitHub, and each request goes to Copilot with the caller's token, at the plan's host."""
    anna, bert = team.member("anna"), team.member("bert")
    assert (anna.chat().status_code, bert.chat().status_code) == (401, 401)
    assert anna.connect() == {"status": "connected", "github_login": "anna-at-github", "interval": None}
    team.names.calls.clear()
    for path, body in REQUESTS:
        answer = anna.ask("POST", path, json=body)
        if (path, body["model"].split("/")[1]) in BRIDGED:
            assert "requires litellm_credential_name" in answer.text, (path, body, answer.text)
        else:
            assert answer.status_code == 200, (path, body, answer.text)
    assert len(team.names.calls) == len(REQUESTS) - len(BRIDGED)
    assert {(call.login, call.host) for call in team.names.calls} == {
        (anna.login, "api.business.githubcopilot.com"),
    }
    assert bert.chat().status_code == 401
    assert bert.connect()["status"] == "connected"
    assert (bert.chat().status_code, anna.chat().status_code) == (200, 200)
    assert [call.login for call in team.names.calls[-2:]] == [bert.login, anna.login]
    cost = float(anna.chat().headers["x-litellm-response-cost"])
    assert cost == pytest.approx((12 * 3 + 5 * 15) / 1e6, abs=1e-12)


@needs_per_user_login
@pytest.mark.feature("per-user")
def test_the_list_follows_for_who_is_logged_in(team: Team) -> None:
    """A model that Copilot adds serves whoever has logged in, without another login or a restart."""
    member = team.member("carl")
    assert member.connect()["github_login"] == "carl-at-github"
    grown = [*CATALOG, model("gpt-6", endpoints=["/chat/completions"])]
    team.gh.set_catalog(grown)
    publish(team.proxy, grown)
    until(lambda: member.chat("github_copilot/gpt-6").status_code == 200, 30, "the new model serves")
    assert team.names.calls[-1].login == member.login


@needs_per_user_login
@pytest.mark.feature("per-user")
def test_who_has_no_seat_is_told(team: Team) -> None:
    """A GitHub account without Copilot cannot be connected, and the administrator's own key uses nobody's seat."""
    member = team.member("dora")
    team.gh.no_subscription()
    try:
        assert member.connect()["status"] == "no_copilot_seat"
    finally:
        team.gh.no_subscription(False)
    before = len(team.names.calls)
    assert member.chat().status_code == 401
    assert team.proxy.chat("github_copilot/gpt-4o").status_code == 401
    assert len(team.names.calls) == before


@needs_per_user_login
@pytest.mark.feature("per-user")
def test_no_token_in_the_clear(team: Team) -> None:
    """The members' tokens are encrypted in the database."""
    member = team.member("emil")
    assert member.connect()["status"] == "connected"
    stored = team.data.rows('select credential_b64 from "LiteLLM_UserProviderCredentials"')
    assert stored
    canary.search("the database", "".join(stored))


@needs_per_user_login
@pytest.mark.feature("per-user")
def test_who_leaves_is_cut_off(team: Team) -> None:
    """Disconnected, and with the credential deleted, a member gets a 401, and never the shared login."""
    member, other = team.member("fred"), team.member("gina")
    for each in (member, other):
        assert each.connect()["status"] == "connected"
        assert each.chat().status_code == 200
    assert member.ask("DELETE", f"/credentials/{CREDENTIAL}/user_connection").status_code == 200
    assert (member.chat().status_code, other.chat().status_code) == (401, 200)
    deleted = team.proxy.request("DELETE", f"/credentials/{CREDENTIAL}")
    assert deleted.status_code == 200, deleted.text
    before = len(team.names.calls)
    for path, body in REQUESTS:
        assert other.ask("POST", path, json=body).status_code == 401
    assert len(team.names.calls) == before
    assert "shared-login" not in {call.login for call in team.names.calls}
    assert [
        seen.path for seen in team.gh.requests if "authorization" not in seen.headers and "copilot" in seen.path
    ] == []
