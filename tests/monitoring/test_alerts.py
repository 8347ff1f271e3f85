"""The alert rules: each fires when it should, not before, not for something else, and ends."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.monitoring import stories
from tests.monitoring.rules import ALERTS, CURE, MONITORING, rules
from tests.monitoring.stories import LEFT, SERVED, Samples, Story
from tests.support.tools import tool

GONE, LOGIN, FAILING, STALE = "CopilotSidecarGone", "CopilotLoginNeeded", "CopilotSyncFailing", "CopilotModelListStale"
STEP, LITELLM = "CopilotWorkerOutOfStep", "CopilotLiteLLMGone"
LOW, USED_UP, DRIFT, OFTEN = "CopilotCreditLow", "CopilotCreditGone", "CopilotSpendDrift", "CopilotAsksTooOften"

Expected = Mapping[int, set[str]]
"""What fires at a minute: an alert's name, and that of its sidecar, if it has one."""


def quiet(last: int) -> Expected:
    return {minute: set() for minute in range(0, last, 7)}


def login(result: str) -> tuple[dict[str, Story], Expected]:
    """The second sync, and all after it, are refused, which shows 75 minutes after the one that succeeded."""
    story = stories.failing(result, 61, 210, 15)
    firing = {minute: {f"{LOGIN} a"} for minute in range(84, 160, 4)}
    return {"a": story}, {75: set(), 81: set(), **firing, 200: {f"{LOGIN} a", f"{STALE} a"}, 212: set()}


def outage(result: str, every: int) -> tuple[dict[str, Story], Expected]:
    """The second sync, and all after it, fail; ``every`` so many minutes it is tried."""
    story = stories.failing(result, 61, 230, every)
    firing = {minute: {f"{FAILING} a"} for minute in range(89, 160, 4)}
    return {"a": story}, {75: set(), 86: set(), **firing, 200: {f"{FAILING} a", f"{STALE} a"}, 232: set()}


STORIES: dict[str, tuple[dict[str, Story], Expected]] = {
    "all is well": ({"a": stories.fine, "b": stories.fine}, quiet(150)),
    "an interval of six hours": ({"a": lambda m, now: stories.fine(m, now, interval=360)}, quiet(400)),
    "no interval": ({"a": stories.only_at_start}, quiet(100)),
    "one of two waits to lead": ({"a": stories.fine, "b": stories.standby}, quiet(150)),
    "not logged in": (
        {"a": stories.nobody_logged_in},
        {3: set(), **{m: {f"{LOGIN} a", f"{STALE} a"} for m in range(12, 120, 5)}},
    ),
    **{f"syncs fail by {result}": login(result) for result in stories.LOGIN},
    "GitHub is down": outage("NoConnection", 15),
    "rate limited for an hour each time": outage("RateLimited", 66),
    "the disk is full": outage("StorageError", 1),
    "a defect": outage("defect", 15),
    "one sync fails": ({"a": stories.failing("NoConnection", 61, 70, 4)}, quiet(120)),
    "the sidecar does not answer": (
        {"a": stories.gone(100, 140, target=False), "b": stories.fine},
        {104: set(), 107: {f"{GONE} a"}, 139: {f"{GONE} a"}, 142: set()},
    ),
    "the only sidecar does not answer": (
        {"a": stories.gone(100, 140, target=False)},
        {104: set(), 107: {f"{GONE} a"}, 139: {f"{GONE} a"}, 142: set()},
    ),
    "there is no sidecar": (
        {"a": stories.gone(100, 140, target=True)},
        {104: set(), 107: {GONE}, 139: {GONE}, 142: set()},
    ),
    "a worker is out of step": (
        {"a": stories.changed((100, {SERVED[2]: 0}), (120, {SERVED[2]: 1}))},
        {104: set(), 106: {f"{STEP} a"}, 119: {f"{STEP} a"}, 121: set()},
    ),
    "a worker is behind for minutes, often": ({"a": stories.flapping}, quiet(60)),
    "LiteLLM is gone": (
        {"a": stories.changed((100, tuple(SERVED.values())), (200, {SERVED[1]: 1}))},
        {104: set(), **{minute: {f"{LITELLM} a"} for minute in range(107, 200, 9)}, 201: set()},
    ),
    "LiteLLM is restarted": (
        {"a": stories.changed((100, tuple(SERVED.values())), (103, {SERVED[1]: 1, SERVED[2]: 1}))},
        quiet(130),
    ),
    "credit": (
        {"a": stories.changed((100, {LEFT: 0.15}), (200, {LEFT: 0}), (250, {LEFT: -0.3}), (300, {LEFT: 1}))},
        {114: set(), 116: {LOW}, 199: {LOW}, 204: set(), 206: {USED_UP}, 260: {USED_UP}, 301: set()},
    ),
    "billed otherwise than computed": ({"a": stories.drifting}, {59: set(), 100: {DRIFT}}),
    "GitHub is asked every minute": ({"a": stories.hasty}, {60: set(), 90: set(), 130: {f"{OFTEN} a"}, 240: set()}),
}


def columns(sidecars: Mapping[str, Story], minutes: int) -> list[dict[str, str]]:
    """The samples of each minute, as promtool takes them."""
    found = []
    for sidecar, story in sidecars.items():
        now: Samples = {}
        seen: dict[str, list[str]] = {}
        for minute in range(minutes):
            story(minute, now)
            for name in {*seen, *now}:
                column = seen.setdefault(name, ["_"] * minute)
                missing = "_" if column[-1:] in ([], ["_"], ["stale"]) else "stale"
                column.append(repr(now[name]) if name in now else missing)
        for name, column in sorted(seen.items()):
            metric, _, labels = name.rstrip("}").partition("{")
            labels = ",".join(filter(None, (f'job="copilot-sync",instance="{sidecar}"', labels)))
            found.append({"series": f"{metric}{{{labels}}}", "values": " ".join(column)})
    return found


def promtool_test(sidecars: Mapping[str, Story], expected: Expected) -> dict[str, object]:
    def sample(alert: str) -> dict[str, object]:
        name, _, sidecar = alert.partition(" ")
        instance = f', instance="{sidecar}"' if sidecar else ""
        return {"labels": f'{{alertname="{name}"{instance}}}', "value": 1}

    firing = 'group by (alertname, instance) (ALERTS{alertstate="firing"})'
    checks = [
        {"expr": firing, "eval_time": f"{minute}m", "exp_samples": [sample(alert) for alert in sorted(alerts)]}
        for minute, alerts in expected.items()
    ]
    series = columns(sidecars, max(expected) + 1)
    return {"interval": "1m", "input_series": series, "promql_expr_test": checks}


@pytest.fixture
def promtool() -> str:
    return tool("promtool", CURE)


def test_each_rule_is_quiet_then_fires_then_ends() -> None:
    """The stories below show, of each rule, a minute at which it fires after one at which nothing does."""
    for name in {rule["alert"] for rule in rules()}:
        shown = [
            expected
            for _, expected in STORIES.values()
            if any(name in {alert.partition(" ")[0] for alert in alerts} for alerts in expected.values())
        ]
        assert shown and any(set() in expected.values() for expected in shown), name


def test_rules_through_every_story(promtool: str, tmp_path: Path) -> None:
    """What fires, minute by minute, by Prometheus' own test of rules."""
    file = tmp_path / "stories.yml"
    tests = [promtool_test(*story) for story in STORIES.values()]
    file.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]


def test_the_stories_find_a_rule_that_fires_too_early(promtool: str, tmp_path: Path) -> None:
    """Without its `for:` a rule does not pass."""
    early = tmp_path / "early.yml"
    early.write_text(ALERTS.read_text().replace("for: 5m", "for: 0m"))
    test = promtool_test(*STORIES["a worker is out of step"])
    file = tmp_path / "stories.yml"
    file.write_text(json.dumps({"rule_files": [str(early)], "evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and f'alertname="{STEP}"' in done.stdout + done.stderr


def test_rules_and_configuration_are_valid(promtool: str) -> None:
    """Prometheus takes the rules, and the configuration that names them."""
    done = subprocess.run(
        [promtool, "check", "config", str(MONITORING / "prometheus.yml")], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules())} rules found" in done.stdout


def test_each_rule_names_its_promise_and_the_cure() -> None:
    """Every alert waits before it fires, has a severity, and says what is wrong, what it guards and what to do."""
    for rule in rules():
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "promise", "cure"}
        assert all(text.endswith(".") or "https://" in text for text in rule["annotations"].values())
        assert int(rule["for"][:-1]) >= 1
