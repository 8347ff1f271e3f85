"""Messages for Slack and Discord: readable, within their limits, and nothing in them pings anybody or is a link."""

from __future__ import annotations

import json
import random

import pytest

from sidecar.litellm_proxy.chat import DISCORD_LIMIT, SLACK_LIMIT, message
from sidecar.models.history import Event

NOW = "2026-11-26T03:17:22Z"
EVENTS = [
    Event(NOW, "added", "a", names=("github_copilot/a", "fast")),
    Event(NOW, "price", "b", "model_info.input_cost_per_token", 1e-06, 2e-06),
    Event(NOW, "other", "b", "model_info.display_name", "A & B", "C"),
    Event(NOW, "retirement", "c", "notice.7", None, "2026-12-01"),
]


def change(*events, **more):
    return {
        "event": "models_changed",
        "file": "/shared/m.yaml",
        "models": 42,
        "added": [],
        "removed": [],
        "changed": [],
        "events": [event.as_json() for event in events],
        "events_omitted": 0,
        **more,
    }


def test_slack():
    """Slack gets a text with a line for each event, notices first."""
    assert message("slack", change(*EVENTS)) == {
        "text": "Copilot's models have changed, 42 are in `/shared/m.yaml`:\n"
        "• `c` retires in 5 days, on `2026-12-01`\n"
        "• `a` added as `github_copilot/a`, `fast`\n"
        "• `b` input price: $1.00 per million tokens → $2.00 per million tokens\n"
        "• `b` display name: `A &amp; B` → `C`".replace("display name", "`display name`")
    }


def test_discord():
    """Discord gets a content with the same lines, and is told to notify nobody."""
    body = message("discord", change(*EVENTS))
    assert body["allowed_mentions"] == {"parse": []} and body.keys() == {"content", "allowed_mentions"}
    assert body["content"].endswith("• `b` `display name`: `A & B` → `C`")


def test_json():
    """Without a form it is the change as it is."""
    assert message("json", change(*EVENTS)) == change(*EVENTS)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"event": "retirement_near"}, "A model in `/shared/m.yaml` retires soon:"),
        ({"event": "config_restored", "backup": "/b"}, "`/shared/m.yaml` was restored from `/b`."),
        ({"added": ["x"], "removed": ["y"]}, "…:\n• `x` added\n• `y` removed"),  # as an older version has left it
        ({"events_omitted": 7}, "…:\n… and 7 more"),
        ({"models": -5, "file": None, "events": None, "events_omitted": "x"}, "…, 0 are in `None`:"),
        ({"models": 10**400, "events": [5, {"time": "x"}]}, "…, 999,999 are in `/shared/m.yaml`:"),
    ],
)
def test_other_notifications(more, text):
    """Each kind of notification has its headline; what is not of its type is left out."""
    found = message("discord", {**change(), **more})["content"]
    assert found.endswith(text.removeprefix("…"))


HOSTILE = [
    "@everyone", "@here", "<!channel>", "<!here|x>", "<@U12345>", "<@&123>", "<#C1|x>", "<https://evil.example|click>",
    "https://evil.example/", "[click](https://evil.example)", "`@everyone`", "``@everyone", "\\`@everyone", "a`",
    "&lt;!channel&gt;", "&#64;everyone", "||x||", "*b* _i_ ~s~", "a\n@everyone", "a\r\n> @here", "\u202e@everyone",
    "`\u200b`@everyone", "", " ", "`", "\ud800", "x" * 5000, "`" * 5000, "&" * 5000, "\U0001f600" * 5000,
    "<@everyone>", "<t:0>", "</x:1>", "<a:b:1>", "mailto:a@evil.example", "slack://x", "http://evil.example`http://b",
]  # fmt: skip


def outside_of_spans(text):
    """What a service would read as more than plain text: all that is not between two backticks of a line."""
    parts = [line.split("`") for line in text.split("\n")]
    assert all(len(part) % 2 == 1 for part in parts), "a span is open at the end of a line"
    return "".join(piece for part in parts for piece in part[::2]), "".join(p for part in parts for p in part[1::2])


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda text: ascii(text[:20]))
@pytest.mark.parametrize("form", ["slack", "discord"])
def test_nothing_hostile_means_anything(form, hostile):
    """A name of any kind, wherever it stands, stays within its code span: no mention, no link, no emphasis."""
    events = [
        Event(NOW, "other", "m", f"model_info.{hostile}", hostile, [hostile]),
        Event(NOW, "added", "m", names=(hostile,)),
        Event(NOW, "policy", "m", "policy", hostile, hostile),
        Event(NOW, "retirement", "m", "notice.7", None, hostile),
    ]
    for found in (change(*events, file=hostile), change(added=[hostile], events=[]), {"backup": hostile, "file": ""}):
        body = json.loads(json.dumps(message(form, {"event": "config_restored", **found})))
        text = body["text" if form == "slack" else "content"]
        plain, quoted = outside_of_spans(text)
        assert not set(plain) & set("@<>&[]()*_~|`\\") and "//" not in plain and "evil" not in plain
        assert "://" not in text and "@e" not in text and "@h" not in text
        assert all(char.isprintable() or char == "\u200b" for char in quoted)
        if form == "slack":
            rest = quoted.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")
            assert not set(rest) & set("<>&"), "Slack reads its own escapes within a span"


@pytest.mark.parametrize(
    ("form", "key", "limit"), [("slack", "text", SLACK_LIMIT), ("discord", "content", DISCORD_LIMIT)]
)
def test_lengths(form, key, limit):
    """However much has changed, a message is within the service's limit, of whole lines, and says what is left out."""
    chance = random.Random(1)
    for _ in range(10):
        texts = ["".join(chance.choices("a&<`\U0001f600é", k=chance.randrange(300))) for _ in range(100)]
        events = [
            Event(NOW, "other", f"m{number}", f"model_info.{text}", text, text) for number, text in enumerate(texts)
        ]
        text = message(form, change(*events, events_omitted=900))[key]
        assert len(text.encode("utf-16-le")) // 2 <= limit and len(text) > limit / 3
        outside_of_spans(text)
        shown = text.count("\n• ")
        assert shown >= 1 and text.endswith(f"\n… and {1000 - shown:,} more")


def test_credit():
    """A notice about the credit is what it says, and nothing in it is more than text."""
    notice = {"event": "credit_used", "quota": "chat", "text": "80 % is used: <!here> @everyone https://example.com"}
    shown = "80 % is used: {}!here{} @\u200beveryone https:\u200b//example.com"
    assert message("slack", notice) == {"text": f"`{shown.format('&lt;', '&gt;')}`"}
    assert message("discord", notice)["content"] == f"`{shown.format('<', '>')}`"
    assert message("json", notice) == notice
