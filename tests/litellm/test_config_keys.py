"""The keys by which a config is told from what only looks like one are those that LiteLLM reads at its top."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.config.recognize import KNOWN_KEYS

from .results import litellm_python

WHERE = "import importlib.util; print(importlib.util.find_spec('litellm').submodule_search_locations[0])"
OF_RELOADS = {"force_reload", "interval_hours"}
"""Of another ``config``, that of a periodic task."""


def keys_read(source: str) -> Iterator[str]:
    """What a class ``ProxyConfig`` takes from a ``config``."""
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    for node in ast.walk(next(item for item in classes if item.name == "ProxyConfig")):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="config"), attr="get"), args=[ast.Constant(value=str(key)), *_]
            ):
                yield key
            case ast.Subscript(value=ast.Name(id="config"), slice=ast.Constant(value=str(key))):
                yield key


@pytest.mark.core
def test_every_key_that_litellm_reads_is_known() -> None:
    """A config with any one of LiteLLM's keys is not taken for a stranger's file."""
    done = subprocess.run([litellm_python(), "-c", WHERE], capture_output=True, text=True, check=True)
    found = set(keys_read(Path(done.stdout.strip(), "proxy/proxy_server.py").read_text("utf-8"))) - OF_RELOADS
    assert {"model_list", "general_settings", "litellm_settings", "router_settings"} <= found <= KNOWN_KEYS
