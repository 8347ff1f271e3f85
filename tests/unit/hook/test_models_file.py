"""What the hook takes for a models file, and what it does with anything else; without LiteLLM."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.litellm_hot_reload import models_file as hook
from sidecar.litellm_hot_reload.managed import MANAGED_PREFIX, PROVIDER
from sidecar.models.entries import models_file_bytes
from tests.fakes.catalog import demo_catalog, model
from tests.support import files
from tests.support.entries import ID, USELESS, entries_of, entry_text

P = PROVIDER
GOOD = models_file_bytes(entries_of([model("good")]))
GOOD_ID = MANAGED_PREFIX + "good"


@pytest.fixture
def models(tmp_path: Path) -> hook.ModelsFile:
    """One that has read a good file."""
    models = hook.ModelsFile(tmp_path / "models.yaml")
    models.path.write_bytes(GOOD)
    models.refresh()
    assert set(models.wanted) == {GOOD_ID}
    return models


def put(models: hook.ModelsFile, data: bytes) -> None:
    files.put(models.path, data)
    models.refresh()


@pytest.mark.parametrize("what", USELESS)
def test_a_useless_file_leaves_what_was_known(what, models, caplog, monkeypatch):
    """It is said in one line, not once per look, and the next good file counts."""
    monkeypatch.setattr(hook.log, "propagate", True)
    with caplog.at_level(logging.INFO, logger=hook.log.name):
        put(models, USELESS[what])
        models.refresh()
    assert set(models.wanted) == {GOOD_ID}
    assert len(caplog.records) == 1 and "\n" not in caplog.messages[0]
    put(models, models_file_bytes(entries_of([model("next")])))
    assert set(models.wanted) == {MANAGED_PREFIX + "next"}


def test_what_the_sidecar_renders_is_understood_whole(models):
    """Every entry of a rich catalog arrives with the values that it was rendered with."""
    rendered = entries_of(demo_catalog())
    put(models, models_file_bytes(rendered))
    assert list(models.wanted) == [entry["model_info"]["id"] for entry in rendered]
    for entry in rendered:
        read = models.wanted[entry["model_info"]["id"]]
        assert read["litellm_params"] == entry["litellm_params"]
        assert {key: float(value) for key, value in entry["model_info"].items() if "_cost" in key} == {
            key: value for key, value in read["model_info"].items() if "_cost" in key
        }


def test_dates_become_text_and_the_last_of_two_equal_ids_counts(models):
    """Both are harmless, so neither spoils the file."""
    dated = entry_text(model_info=f"{{{ID}, deprecation_date: 2027-01-31, at: 2027-01-31 10:00:00}}")
    put(models, (dated + entry_text(model_name=P + "second").removeprefix("model_list:\n")).encode())
    assert [item["model_name"] for item in models.wanted.values()] == [P + "second"]
    put(models, dated.encode())
    info = models.wanted[MANAGED_PREFIX + "gpt-4o"]["model_info"]
    assert (info["deprecation_date"], info["at"]) == ("2027-01-31", "2027-01-31T10:00:00")


values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9) | st.integers(), inner, max_size=3),
    max_leaves=9,
)
entries = st.fixed_dictionaries(
    {},
    optional={
        "model_name": st.just("x") | values,
        "litellm_params": st.fixed_dictionaries({"model": st.just(P + "x")}, optional={"extra_headers": values})
        | values,
        "model_info": st.fixed_dictionaries({"id": st.just(GOOD_ID)}, optional={"mode": values, "max_tokens": values})
        | values,
    },
)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")))
def test_no_bytes_raise(models, data):
    """Reading never raises and never forgets."""
    put(models, data)
    assert set(models.wanted) == {GOOD_ID}


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(entries, max_size=2))
def test_no_entries_raise(models, items):
    """Entries of any shape are either of use to LiteLLM or refused."""
    put(models, yaml.safe_dump({"model_list": items}).encode())
    assert models.wanted
    for item in models.wanted.values():
        assert isinstance(item["model_name"], str)
        assert isinstance(item["model_info"].get("max_tokens"), (int, float, type(None)))
