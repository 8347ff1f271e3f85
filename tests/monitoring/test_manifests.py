"""What k8s/monitoring is made of fits the pods, the rules and the docs."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.clients.clients import program
from tests.k8s.manifests import build, containers, find, objects, pod_template
from tests.monitoring.rules import MONITORING, groups
from tests.support.paths import ROOT
from tests.support.tools import tool

DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())


def test_the_cluster_has_the_same_rules() -> None:
    """The operator's object has the rules of alerts.yml, and nothing else."""
    assert yaml.safe_load((MONITORING / "prometheusrule.yaml").read_text())["spec"] == {"groups": groups()}


@pytest.mark.parametrize("variant", ["sidecar", "sidecar-plain"])
def test_the_monitor_meets_the_sidecars(variant: str) -> None:
    """Selectors and ports are those of the pods, in their namespace; the policy opens that port alone."""
    tool("kubectl", "https://kubernetes.io/docs/tasks/tools")
    pod = pod_template(find(objects(build(ROOT / "k8s" / variant)), "Deployment", "litellm"))
    items = objects(build(MONITORING))
    assert {item["kind"] for item in items} == {"ConfigMap", "NetworkPolicy", "PodMonitor", "PrometheusRule"}
    assert {item["metadata"]["namespace"] for item in items} == {"litellm"}
    monitor = find(items, "PodMonitor", "copilot-sync")["spec"]
    policy = find(items, "NetworkPolicy", "copilot-metrics")["spec"]
    assert pod is not None
    for selector in (monitor["selector"], policy["podSelector"]):
        assert selector["matchLabels"].items() <= pod["metadata"]["labels"].items()
    ports = {port["name"]: port["containerPort"] for item in containers(pod["spec"]) for port in item.get("ports", ())}
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert endpoint["path"] == "/metrics"
    assert policy["ingress"][0]["ports"] == [{"protocol": "TCP", "port": ports[endpoint["port"]]}]
    (file,) = find(items, "ConfigMap", "copilot-dashboard")["data"].values()
    assert json.loads(file) == DASHBOARD


def _problems(text: str) -> list[str]:
    """What is wrong with the operator's objects among those of ``text``, by the schemas of the operator."""
    items = [item for item in objects(text) if item["apiVersion"] == "monitoring.coreos.com/v1"]
    assert {item["kind"] for item in items} == {"PodMonitor", "PrometheusRule"}
    packages = program("npm/node_modules/@kubernetes-models").removesuffix("/@kubernetes-models")
    words = [tool("node", "Debian: apt-get install nodejs"), str(Path(__file__).with_name("operator.mjs")), packages]
    done = subprocess.run(words, input=json.dumps(items), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_operators_own_schemas() -> None:
    """The operator knows every field of its objects; one that it does not, or of another type, would be found."""
    tool("kubectl", "https://kubernetes.io/docs/tasks/tools")
    text = build(MONITORING)
    assert _problems(text) == []
    wrong = (
        text.replace("scrapeTimeout:", "scrapeTimeOut:")
        .replace("interval: 30s", "interval: 30")
        .replace("expr:", "expression:", 1)
    )
    found = _problems(wrong)
    assert "PodMonitor/spec/podMetricsEndpoints/0/scrapeTimeOut: unknown" in found
    assert "PodMonitor/spec/podMetricsEndpoints/0/interval: type" in found
    assert "PrometheusRule/spec/groups/0/rules/0: required" in found


def test_the_dashboard_runs_on_any_data_source() -> None:
    """Every query asks the chosen data source; panels have their own number and place, and say what they show."""
    variables = {item["name"]: item["type"] for item in DASHBOARD["templating"]["list"]}
    assert variables == {"datasource": "datasource", "instance": "query"}
    panels = DASHBOARD["panels"]
    source = {"type": "prometheus", "uid": "${datasource}"}
    assert all(item["datasource"] == source for panel in panels for item in (panel, *panel["targets"]))
    assert len({panel["id"] for panel in panels}) == len(panels) > 10
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells) and max(x for x, _ in cells) == 23
    assert all(panel["title"] and panel["description"].endswith(".") for panel in panels)
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD))) - {"__all"}
    assert used == set(variables)
