"""What a change of 40 and of 300 models costs the clients of LiteLLM: eight ask it without a pause, half of them on
connections that they keep, in the same run first while nothing changes. Of 40 models the ten changes of
`tests/litellm/reload_cost.py`, of 300 the four that concern all of them. Compared with what else makes LiteLLM take
a new list up, on a stock LiteLLM without the hook, with one worker and 40 models, under the same clients: `litellm
--reload` (for development, as LiteLLM says), and an end and a start anew. Whoever is not answered asks again a fifth
of a second later. Whether a change is there is asked of one model at a time, in both phases: all of 300 at once
would be load of their own.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import requests
import yaml

from scripts.litellm_versions import of_role
from sidecar.files import replace_file
from sidecar.models.entries import models_file_bytes
from tests.fakes.control import Control
from tests.litellm import reload_cost
from tests.litellm.proxy import Proxy
from tests.litellm.reload_cost import OF_ALL, PREFIX, STAYING, Change, Clients, background, changes, info, under_load
from tests.litellm.results import litellm_version
from tests.support.entries import entries_of
from tests.support.paths import ROOT
from tests.support.waiting import until

from .figures import Figure

NEWEST, DEFAULT = of_role("newest"), of_role("default")
VENVS = Path(os.environ.get("COPILOT_BENCH_VENVS") or ROOT)
"""Where the environments of the LiteLLM versions are, `.venv-litellm-VERSION`."""
FEW, MANY = 40, 300
BASELINE, LONGEST, SETTLING = 6.0, 180.0, 2.0
PATIENT = ["--timeout_worker_healthcheck", "60"]
"""On a busy machine LiteLLM's parent process gives each worker up before it has started."""
UNCHANGED, RESTART, RELOAD = "unchanged", "restart", "`--reload`"


def measure(left_out: list[str]) -> list[Figure]:
    figures = []
    for version in (NEWEST, DEFAULT):
        command = _command(version)
        if command is None:
            left_out.append(f"LiteLLM {version}: there is no {VENVS.name}/.venv-litellm-{version}")
            continue
        with _environment("COPILOT_TEST_LITELLM", str(command)):
            try:
                stock = _stock()
            except AssertionError as error:
                left_out.append(f"LiteLLM {version} without the hook: {str(error).splitlines()[0]}")
                stock = {}
            for workers in (1, 2):
                where = f"{workers} worker{'s'[: workers - 1]}, {version}"
                try:
                    figures += _ours(where, workers, stock)
                except AssertionError as error:
                    left_out.append(f"{where}: {str(error).splitlines()[0]}")
    return figures


def _command(version: str) -> Path | None:
    beside = Path(sys.executable).with_name("litellm")
    found = (
        beside if beside.exists() and litellm_version() == version else VENVS / f".venv-litellm-{version}/bin/litellm"
    )
    return found if found.exists() else None


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _models(count: int) -> int:
    return count - len(STAYING)


def _ours(where: str, workers: int, stock: Mapping[str, Mapping[str, float]]) -> list[Figure]:
    few, many = _models(FEW), _models(MANY)
    figures = []
    with under_load(workers, background(few), arguments=PATIENT) as (proxy, load, watchers):
        for size, steps in ((FEW, list(changes(few))), (MANY, [one for one in changes(many) if one[0] in OF_ALL])):
            Control(proxy.env["GITHUB_COPILOT_API_BASE"]).set_catalog(items=background(_models(size)))
            proxy.publish(background(_models(size)))
            for worker in watchers:
                until(lambda worker=worker, size=size: len(info(worker)) == size, LONGEST, "the catalog")
            time.sleep(SETTLING)
            found = reload_cost.measure(proxy, load, watchers, steps, BASELINE, LONGEST)
            figures += _figures(f"{size} models, {where}", found.baseline, found.changing, stock)
    return figures


def _figures(
    where: str, usual: Mapping[str, float], changing: Mapping[str, float], stock: Mapping[str, Mapping[str, float]]
) -> list[Figure]:
    def against(what: str, factor: float = 1) -> dict[str, tuple[float, ...]]:
        return {name: (factor * seen[what],) for name, seen in {**stock, UNCHANGED: usual}.items()}

    return [
        Figure(
            f"longest silence, {where}",
            "ms",
            (1000 * changing["longest_gap"],),
            against("longest_gap", 1000),
            ratios={RELOAD: 0.01},
        ),
        Figure(f"failed requests, {where}", "", (changing["failed"],), against("failed"), most=0),
        Figure(
            f"p99, {where}",
            "ms",
            (1000 * changing["p99"],),
            {UNCHANGED: (1000 * usual["p99"],)},
            ratios={UNCHANGED: 1.5},
        ),
    ]


def _stock() -> dict[str, dict[str, float]]:
    """What the same changes cost without the hook."""
    models = background(_models(FEW))
    steps: dict[str, Change] = {step[0]: step for step in changes(_models(FEW))}
    config = yaml.safe_load(_config(models))
    with under_load(1, models, hook=False, config=config, arguments=["--reload"]) as (proxy, load, _):
        found = {RELOAD: _change(proxy, load, steps["prices of all"])}
        proxy.arguments = ()
        found[RESTART] = _change(proxy, load, steps["limits of all"], restart=True)
    return found


def _config(catalog: list[dict[str, Any]]) -> bytes:
    """The models of a catalog as a person writes them: the provider is none, so that GitHub has no part in it."""
    return models_file_bytes(
        [
            {
                "model_name": PREFIX + item["id"],
                "litellm_params": {"model": "openai/x", "api_key": "x", "mock_response": f"hello from {item['id']}"},
                "model_info": {key: value for key, value in entry["model_info"].items() if key != "id"},
            }
            for item, entry in zip(catalog, entries_of(catalog), strict=True)
        ]
    )


def _change(proxy: Proxy, load: Clients, step: Change, *, restart: bool = False) -> dict[str, float]:
    _, catalog, shown = step
    began = time.monotonic()
    replace_file(proxy.config, _config(catalog), mode=0o644)
    if restart:
        proxy.stop()
        proxy.start(wait=False)

    def served() -> bool:
        with contextlib.suppress(requests.RequestException, KeyError, ValueError):
            return shown({name: item["model_info"] for name, item in proxy.info().items()})
        return False

    until(served, LONGEST, "the change", every=0.2)
    time.sleep(SETTLING)
    return load.phase(began, time.monotonic()).numbers()
