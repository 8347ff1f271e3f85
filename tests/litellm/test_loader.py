"""Whatever a catalog says, LiteLLM's own loader takes the models file as it stands: no secret comes into it."""

from __future__ import annotations

import asyncio
import os
import warnings
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import SidecarError
from sidecar.litellm_hot_reload.managed import PROVIDER, is_managed
from sidecar.litellm_hot_reload.models_file import entries_in
from sidecar.models.absences import dump_absences, load_absences, merge_absences
from sidecar.models.catalog import catalog_items
from sidecar.models.entries import models_file_bytes
from sidecar.service.sync import entries_for
from sidecar.settings import Settings
from tests.fakes.catalog import demo_catalog, model, warning
from tests.support.examples import examples

KEY = "sk-canary-7Q2nV9xWb4"
ENVIRON = {
    "COPILOT_PICKER_ONLY": "false",
    "COPILOT_EMBEDDINGS": "true",
    "COPILOT_SLASHED_IDS": "true",
}
NAMES = ["LITELLM_MASTER_KEY", "oidc/env/LITELLM_MASTER_KEY", "oidc/file/etc/passwd", "PATH", "MISSING", ""]
HOSTILE = [
    *(before + "os.environ/" + name for name in NAMES for before in ("", " ", "\n", "\u00a0", "a/", "x ", "\ufeff")),
    *("oidc/env/LITELLM_MASTER_KEY", "Os.Environ/LITELLM_MASTER_KEY", "os.environ\\/X", "os.\nenviron/X"),
    *("hashicorp_vault/x", "aws_secret_manager/x", "google_secret_manager/x", "{{ os.environ }}", "${PATH}", "%(x)s"),
    *("*", "openai/*", "openai/x", "all-proxy-models", "all-team-models", "no-default-models", "responses/x"),
    *("!!python/object/apply:os.getcwd []", "&a [*a]", "<<", "!include x", "include", "- x", "a: b", "# x", "\x1b[2J"),
    "x" * 100_000,
]  # fmt: skip
TEXTS = st.sampled_from(HOSTILE) | st.text(st.characters(categories=None), max_size=20)
NUMBERS = (
    st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.sampled_from([Decimal("1e999999"), 10**300])
)
SCALARS = TEXTS | st.none() | st.booleans() | NUMBERS
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
FIELDS = [
    *("id", "name", "vendor", "version", "model_picker_category", "policy", "supported_endpoints", "billing"),
    *("capabilities", "warning_messages", "preview", "object", "model_picker_enabled", "litellm_params", "model_info"),
]
INNER = ["type", "family", "limits", "supports", "reasoning_effort", "max_output_tokens", "token_prices", "promo"]
PARTS = st.dictionaries(st.sampled_from(INNER), ANYTHING | st.lists(TEXTS, max_size=20), max_size=4)
ITEMS = st.builds(
    lambda base, changes, parts, key: {
        **base,
        **changes,
        "capabilities": {**base["capabilities"], **parts},
        "id": key,
    },
    st.sampled_from(demo_catalog()),
    st.dictionaries(st.sampled_from(FIELDS), ANYTHING | PARTS, max_size=4),
    PARTS,
    TEXTS | st.sampled_from(["gpt-4o", "m", "openai/gpt-4o", "github_copilot/gpt-4o"]),
)
CATALOGS = st.lists(ITEMS | ANYTHING, max_size=6)


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """LiteLLM's own reading of a config that includes a models file, with a master key in the environment."""
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setenv("LITELLM_MASTER_KEY", KEY)
        from litellm.proxy.proxy_server import ProxyConfig

        directory = tmp_path_factory.mktemp("loader")
        models = directory / "models.yaml"
        config = directory / "config.yaml"
        config.write_text(f"include: [{models}]\ngeneral_settings: {{master_key: os.environ/LITELLM_MASTER_KEY}}\n")

        def load(data: bytes) -> dict[str, Any]:
            models.write_bytes(data)
            return asyncio.run(ProxyConfig().get_config(config_file_path=str(config)))

        yield load


def published(items: Any, names: str) -> bytes | None:
    """What a sync would publish for a catalog, and again one after a restart; None where it reports an error."""
    try:
        found = catalog_items({"data": items})
        settings = Settings.load({**ENVIRON, "COPILOT_MODEL_NAMES": names})
        merged = merge_absences({}, found, settings)
        again = merge_absences(load_absences(dump_absences(merged.record)) or {}, found, settings)
        data = models_file_bytes(entries_for(merged.items, settings)[1])
        assert models_file_bytes(entries_for(again.items, settings)[1]) == data
    except SidecarError:
        return None
    return data


def assert_taken_literally(load, data: bytes) -> list[dict[str, Any]]:
    """LiteLLM has exactly what the file says, all of it managed, and so has the hook."""
    config = load(data)
    assert config["general_settings"]["master_key"] == KEY, "the control: LiteLLM does resolve what is a reference"
    listed: list[dict[str, Any]] = config["model_list"]
    assert listed == yaml.safe_load(data)["model_list"]
    assert KEY not in repr(listed) and os.environ["PATH"] not in repr(listed)
    assert config.keys() == {"general_settings", "model_list", "include"} - ({"include"} - config.keys())
    for item in listed:
        assert item.keys() == {"model_name", "litellm_params", "model_info"} and is_managed(item)
        assert item["litellm_params"].keys() == {"model", "extra_headers"}
        assert item["litellm_params"]["model"].startswith(PROVIDER)
        assert "/" not in item["model_name"].removeprefix(PROVIDER) or item["model_name"].startswith(PROVIDER)
    assert [*entries_in(data).values()] == listed
    return listed


def test_the_control(load):
    """What this is about: LiteLLM puts the master key wherever a reference to it stands in a models file."""
    data = models_file_bytes(entries_for([model("m")], Settings())[1])
    spoilt = data.replace(b"display_name: M", b"display_name: os.environ/LITELLM_MASTER_KEY")
    assert spoilt != data and KEY in repr(load(spoilt)["model_list"])


@examples(150)
@given(items=CATALOGS, names=st.sampled_from(["prefixed", "bare", "both"]))
def test_any_catalog(load, items, names):
    """Any catalog gives a file that LiteLLM and the hook take literally, or an error of ours."""
    data = published(items, names)
    if data is not None:
        assert_taken_literally(load, data)


@pytest.mark.parametrize("names", ["prefixed", "bare", "both"])
def test_hostile_texts_in_every_field(load, names):
    """Each hostile text in each field: nothing is resolved."""
    items = [model("good")]
    for number, text in enumerate(HOSTILE):
        item = model(
            f"m-{number}", name=text, vendor=text, version=text, category=text, reasoning=[text, "low"],
            policy="enabled", warnings=[warning("model_deprecated", text)],
        )  # fmt: skip
        item["capabilities"] |= {"family": text, "tokenizer": text}
        items += [item, model(text), model("a/" + text)]
    data = published(items, names)
    assert data is not None
    listed = assert_taken_literally(load, data)
    assert len(listed) >= len(HOSTILE)
