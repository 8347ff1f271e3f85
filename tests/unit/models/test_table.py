"""The `models` command's table and JSON."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence

import pytest

from sidecar.models.catalog import Model, Omitted, parse_models
from sidecar.models.customize import Alias, Custom, Override
from sidecar.models.entries import build_entries
from sidecar.models.table import models_document, models_table
from sidecar.settings import Settings
from tests.fakes.catalog import model, tier, tiered
from tests.fakes.github import GitHub
from tests.support.paths import ROOT

MODELS, _ = parse_models(
    [
        model(
            "gpt-5", vision=True, reasoning=["low"], context=1_050_000, output=128_000, billing=tiered(tier(125, 1000))
        ),
        model(
            "tiny",
            vendor="Wéird\x1b[31m",
            endpoints=["/responses"],
            context=900,
            output=100,
            billing=tiered(tier(0.5, 0)),
        ),
    ]
)
OMITTED = [Omitted("old", "disabled by policy")]


def table(models: Sequence[Model], omitted: Iterable[Omitted], width: int | None, **changes: str) -> str:
    """The table of these models under the settings."""
    settings = Settings.load(changes)
    aliases = Custom((Alias("fast", models[-1].id, False),)) if "COPILOT_ALIASES_FILE" in changes else Custom()
    return models_table(models, build_entries(models, settings, aliases)[0], omitted, width)


def test_client_names_and_aliases() -> None:
    """A model is called what a client has to send; further names and aliases have a column of their own."""
    assert table(MODELS, [], None).splitlines()[1].split()[0] == "github_copilot/gpt-5"
    lines = table(MODELS, [], None, COPILOT_MODEL_NAMES="both", COPILOT_ALIASES_FILE="x").splitlines()
    assert lines[0].split()[:2] == ["MODEL", "ALSO"]
    assert lines[1].split()[:2] == ["github_copilot/gpt-5", "gpt-5"]
    assert lines[2].split()[:3] == ["github_copilot/tiny", "fast,", "tiny"] or "fast" in lines[2]


@pytest.mark.parametrize(("prices", "shown"), [("live", "1.25"), ("zero", "0.00"), ("litellm", "litellm")])
def test_prices_in_force(prices: str, shown: str) -> None:
    """The price is the one that LiteLLM reckons with: the catalog's, none, or LiteLLM's own."""
    assert table(MODELS, [], None, COPILOT_PRICES=prices).splitlines()[1].split()[-2] == shown


def test_an_override_s_price_is_in_force() -> None:
    """A price of the user's own is shown instead of the catalog's."""
    own = Custom(overrides=(Override("tiny", {"litellm_params": {"input_cost_per_token": 2e-06}}),))
    entries, _ = build_entries(MODELS, Settings(), own)
    assert models_table(MODELS, entries, [], None).splitlines()[2].split()[-2] == "2.00"


def test_a_line_a_model() -> None:
    """Numbers are short, prices per million, and what the catalog says is printable."""
    lines = table(MODELS, OMITTED, None, COPILOT_MODEL_NAMES="bare").splitlines()
    assert lines[0].split() == ["MODEL", "VENDOR", "ENDPOINTS", "CONTEXT", "OUTPUT", "CAN", "$/M", "IN", "$/M", "OUT"]
    assert lines[1].split() == [
        "gpt-5",
        "Azure",
        "OpenAI",
        "chat",
        "1050k",
        "128k",
        "vision,tools,json,reasoning",
        "1.25",
        "10.00",
    ]
    assert lines[2].split()[:1] + lines[2].split()[-2:] == ["tiny", "0.005", "0.00"]
    assert lines[-1] == "  old  disabled by policy"
    assert all(line.isprintable() for line in lines)


def test_a_promotion_has_a_column_of_its_own() -> None:
    """A running promotion is shown beside the prices, and the column is there only when one runs."""
    promo = {"discount_percent": 12.5, "ends_at": "2026-12-31T23:59:59Z"}
    found, _ = parse_models([model("a", billing={**tiered(tier(100, 200)), "promo": promo}), model("b")])
    lines = table(found, [], None).splitlines()
    assert lines[0].endswith("PROMO")
    assert lines[1].endswith("1.00     2.00  -12.5% to 2026-12-31")
    assert lines[2].endswith("-")
    assert table(found, [], 40).splitlines()[0].endswith("$/M OUT")
    assert "PROMO" not in table(MODELS, [], None)


@pytest.mark.parametrize("width", [200, 100, 80, 60, 40, 30])
def test_narrow_terminals(width: int) -> None:
    """What does not fit is left away column by column; the model and its prices stay to the end."""
    lines = table(MODELS, [], width, COPILOT_MODEL_NAMES="both").splitlines()
    assert all(len(line) <= width for line in lines)
    assert lines[1].startswith("github_copilot/gpt-5 " if width >= 40 else "gpt-5 ")
    assert lines[0].startswith("MODEL")
    assert lines[0].endswith("$/M OUT")


def test_many_names_of_one_model() -> None:
    """In a terminal the first and how many more, so that the other columns stay; a pipe gets all."""
    own = Custom(aliases=tuple(Alias(f"an-alias-of-it-{number}", "gpt-5", False) for number in range(5)))
    entries, _ = build_entries(MODELS, Settings(), own)
    assert " an-alias-of-it-0 +4 " in models_table(MODELS, entries, [], 140).splitlines()[1]
    assert ", an-alias-of-it-4 " in models_table(MODELS, entries, [], None).splitlines()[1]


def test_json_for_programs() -> None:
    """Every model with its names and model_info; left-out models only when asked for."""
    found, _ = build_entries(MODELS, Settings(names="both"))
    shown = json.loads(json.dumps(models_document(MODELS, found, None)))
    assert [item["id"] for item in shown["models"]] == ["gpt-5", "tiny"]
    assert shown["models"][0]["model_names"] == ["github_copilot/gpt-5", "gpt-5"]
    assert shown["models"][0]["model_info"]["input_cost_per_token"] == 1.25e-06
    assert "id" not in shown["models"][0]["model_info"]
    assert models_document(MODELS, found, OMITTED)["left_out"] == [{"id": "old", "reason": "disabled by policy"}]


@pytest.fixture(scope="module")
def environ() -> Iterator[dict[str, str]]:
    with GitHub() as gh:
        token = gh.new_access_token()
        yield {**os.environ, **gh.env(), "GITHUB_TOKEN": token, "GITHUB_COPILOT_TOKEN_DIR": "/nonexistent"}


def test_the_command_in_a_pipe_that_closes(environ: dict[str, str]) -> None:
    """`models --all --json | head -1` ends quietly."""
    command = f"{sys.executable} -m sidecar models --all --json | head -c 1"
    done = subprocess.run(command, shell=True, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("{", "")


def test_the_command_on_a_terminal(environ: dict[str, str]) -> None:
    """On a narrow terminal the table is cut to its width."""
    main, terminal = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-m", "sidecar", "models"],
            cwd=ROOT,
            env={**environ, "COLUMNS": "50", "NO_COLOR": "1"},
            stdout=terminal,
            timeout=60,
            check=True,
        )
        lines = os.read(main, 65536).decode().splitlines()
    finally:
        os.close(main)
        os.close(terminal)
    assert len(lines) > 10
    assert all(len(line) <= 50 for line in lines)
