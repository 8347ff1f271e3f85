"""The doors through which bytes of somebody else's come in, each as a function that says what must hold for any.

Used by atheris (``run.py``, by ``scripts/fuzz.sh``), by hypothesis and by the corpus that is kept (``test_doors.py``).
"""

from __future__ import annotations

import json
from typing import Any

from sidecar.config.diff import masked
from sidecar.config.edit import update_config
from sidecar.errors import UsageError
from sidecar.litellm_hot_reload.allowed import entry_problem
from sidecar.litellm_hot_reload.managed import MANAGED_PREFIX, PROVIDER
from sidecar.litellm_hot_reload.models_file import entries_in


def managed_entry(name: str, **info: Any) -> dict[str, Any]:
    """As in ``tests.support.entries``, which needs more packages than the fuzzers' environment has."""
    return {
        "model_name": PROVIDER + name,
        "litellm_params": {"model": PROVIDER + name},
        "model_info": {"id": MANAGED_PREFIX + name, **info},
    }


FIRST = [managed_entry("first", mode="chat"), managed_entry("both", max_tokens=1)]
SECOND = [managed_entry("both", max_tokens=2), managed_entry("second")]


def edit(config: bytes) -> bool:
    """The in-place edit: a clear refusal, or all that is not ours keeps its bytes and its place.

    Whether it was taken.
    """
    try:
        without = update_config(config, []).text
        one = update_config(config, FIRST).text
        two = update_config(one, SECOND).text
    except UsageError as error:
        assert error.hint  # noqa: PT017
        return False
    finally:
        masked(config)
    assert update_config(one, FIRST).text == one, "a second sync changes something"
    three = update_config(two, FIRST).text  # not always `one`, in which equal entries stay as somebody else wrote them
    assert update_config(three, SECOND).text == two, "the place of the entries is not kept"
    for text in (one, two, three):
        assert update_config(text, []).text == without, "a byte that is not ours is lost"
    assert b"github_copilot/managed/" in config or without == config, "a config without entries of ours is changed"
    return True


def reader(models_file: bytes) -> bool:
    """The hook's reader: a refusal, or plain entries of ours with nothing in them that steers LiteLLM."""
    try:
        entries = {key: entry.unpacked() for key, entry in entries_in(models_file).items()}
    except Exception as error:  # the hook logs it and keeps what it had
        assert not isinstance(error, MemoryError)  # noqa: PT017
        return False
    for key, entry in entries.items():
        assert entry_problem(entry) is None and entry["model_info"]["id"] == key
        assert entry["litellm_params"]["model"].startswith("github_copilot/")
        assert not entry["litellm_params"].keys() & {"api_base", "base_url", "api_key", "custom_llm_provider"}
    text = json.dumps(entries, allow_nan=False)
    assert json.loads(text) == entries and "os.environ/" not in text.lower()
    return True


DOORS = {"edit": edit, "reader": reader}
