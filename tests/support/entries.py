"""Entries and models files as tests need them: right ones, and useless ones of every kind."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from sidecar.litellm_hot_reload.managed import MANAGED_PREFIX, PROVIDER
from sidecar.models.entries import models_file_bytes
from sidecar.service.sync import entries_for
from sidecar.settings import Settings
from tests.fakes.catalog import model


def entries_of(items: Iterable[dict[str, Any]], **environ: str) -> list[dict[str, Any]]:
    """What the sidecar makes of catalog items; ``environ`` are its settings."""
    return entries_for(list(items), Settings.load(environ))[1]


def managed_entry(name: str, **info: Any) -> dict[str, Any]:
    """The least that an entry of ours has; ``info`` goes into its model_info."""
    return {
        "model_name": PROVIDER + name,
        "litellm_params": {"model": PROVIDER + name},
        "model_info": {"id": MANAGED_PREFIX + name, **info},
    }


def entry_text(name: str = "gpt-4o", **changes: Any) -> str:
    """A models file of one managed entry; ``changes`` replace parts of it, as YAML."""
    parts = {
        "model_name": PROVIDER + name,
        "litellm_params": f"{{model: {PROVIDER}{name}}}",
        "model_info": f"{{id: {MANAGED_PREFIX}{name}, mode: chat}}",
        **changes,
    }
    return "model_list:\n- " + "\n  ".join(f"{key}: {value}" for key, value in parts.items()) + "\n"


ID = f"id: {MANAGED_PREFIX}gpt-4o"
USELESS = {
    "garbage": b"\x00\xff{]: not yaml",
    "half": models_file_bytes(entries_of([model("gpt-4o")]))[:700],
    "binary": random.Random(0).randbytes(2000),
    "nothing": b"",
    "a list": b"[1, 2]",
    "no model_list": b"models: []\n",
    "null": b"model_list: null\n",
    "number": b"model_list: 17\n",
    "text entries": b"model_list: [gpt-4o]\n",
    "no params": entry_text(litellm_params="null").encode(),
    "params a list": entry_text(litellm_params="[1]").encode(),
    "no id": entry_text(model_info="{mode: chat}").encode(),
    "someone else's id": entry_text(model_info="{id: mine}").encode(),
    "another provider": entry_text(litellm_params="{model: openai/gpt-4o}").encode(),
    "model a number": entry_text(litellm_params="{model: 5}").encode(),
    "name a number": entry_text(model_name="5").encode(),
    "python object": entry_text(model_info=f"{{{ID}, x: !!python/object/apply:os.system [exit]}}").encode(),
    "not a number": entry_text(model_info=f"{{{ID}, input_cost_per_token: .nan}}").encode(),
    "infinite": entry_text(model_info=f"{{{ID}, max_tokens: 1.0e+400}}").encode(),
    "huge": entry_text(model_info=f"{{{ID}, max_tokens: {'9' * 5000}}}").encode(),
    "price a text": entry_text(model_info=f"{{{ID}, input_cost_per_token: cheap}}").encode(),
    "limit a text": entry_text(model_info=f"{{{ID}, max_input_tokens: many}}").encode(),
    "limit a list": entry_text(model_info=f"{{{ID}, max_input_tokens: [1]}}").encode(),
    "mode a list": entry_text(model_info=f"{{{ID}, mode: [chat]}}").encode(),
    "headers a number": entry_text(litellm_params=f"{{model: {PROVIDER}gpt-4o, extra_headers: 5}}").encode(),
    "no such truth": entry_text(model_info=f"{{{ID}, preview: !!bool maybe}}").encode(),
    "no such time": entry_text(model_info=f"{{{ID}, at: !!timestamp never}}").encode(),
    "no such day": entry_text(model_info=f"{{{ID}, at: 2027-02-31}}").encode(),
    "bytes": entry_text(model_info=f"{{{ID}, at: !!binary aGVsbG8=}}").encode(),
    "wildcard": entry_text(name="*").encode(),
    "deep": b"model_list: " + b"[" * 5000,
    "bomb": b"a: &a [x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % (n + 1, n + 1, *[n] * 8) for n in range(97, 108))
    + entry_text(model_info=f"{{{ID}, x: *l}}").encode(),
}
