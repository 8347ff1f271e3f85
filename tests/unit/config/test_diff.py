"""What a dry run shows of a config: all of the managed entries, and of the rest not one character of a value."""

from __future__ import annotations

import difflib
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.config.diff import masked, unified
from sidecar.config.edit import update_config
from sidecar.errors import SidecarError
from sidecar.litellm_hot_reload.managed import MANAGED_PREFIX
from sidecar.models.entries import models_file_bytes
from tests.support.paths import ROOT
from tests.unit.corpus.configs import CONFIGS

S, T = "hunter2Zq8xK", "wLm4pVtR7yBd"


def entry(name: str, **info: Any) -> dict[str, Any]:
    return {
        "model_name": name,
        "litellm_params": {"model": f"github_copilot/{name}"},
        "model_info": {"id": MANAGED_PREFIX + name, "mode": "chat", **info},
    }


ENTRIES = [entry("shown-model", max_tokens=4711)]
OWN = "model_list:\n- model_name: mine\n  litellm_params: {model: openai/x, KEY}\n"
# Each stands right after the list, where the changed lines are, or holds the list itself.
SHAPES = {
    "plain": f"model_list: []\npassword: {S}\n",
    "double quoted": f'model_list: []\npassword: "{S}"\n',
    "single quoted": f"model_list: []\npassword: '{S}'\n",
    "harmless key": f"model_list: []\nname: {S}\n",
    "number": "model_list: []\npin: 8264915370\n",
    "date": "model_list: []\nborn: 1987-03-21\n",
    "literal": f"model_list: []\npem: |\n  {S}\n  {T}\n",
    "literal with hints": f"model_list: []\npem: |2-\n    {S}\n  {T}",
    "literal with a comment": f"model_list: []\npem: | # {S}\n  {T}\n",
    "folded": f"model_list: []\npem: >-\n  {S}\n\n  {T}\n",
    "many lines, plain": f"model_list: []\npassword: a\n  {S}\n  {T}\n",
    "many lines, double quoted": f'model_list: []\npassword: "a\n  {S} \\\n  {T}"\n',
    "many lines, single quoted": f"model_list: []\npassword: 'a\n\n  {S}'\n",
    "value on the next line": f"model_list: []\npassword:\n  {S}\n",
    "flow mapping": f"model_list: []\ndb: {{password: {S}, other: '{T}'}}\n",
    "flow over lines": f"model_list: []\ndb: {{\n  password:\n   {S},\n  {T}: x }}\n",
    "flow list": f"model_list: []\nkeys: [{S}, '{T}']\n",
    "block list": f"model_list: []\nkeys:\n- {S}\n- - {T}\n",
    "nested": f"model_list: []\na:\n  b:\n    c: {{d: [{{e: {S}}}]}}\n",
    "as a key": f"model_list: []\nkeys:\n  {S}: user\n",
    "as a quoted key": f"model_list: []\nkeys: {{'{S}': user, \"{T}\": x}}\n",
    "as a complex key": f"model_list: []\n? [{S}, x]\n: {T}\n",
    "anchor and alias": f"model_list: []\na: &x {S}\nb: *x\n",
    "as an anchor": f"model_list: []\na: &{S} x\nb: *{S}\n",
    "merge key": f"base: &b {{password: {S}}}\nmodel_list: []\nother: {{<<: *b, x: {T}}}\n",
    "tag": f"model_list: []\na: !!str {S}\n",
    "as a tag": f"model_list: []\na: !{S} x\nb: !<tag:{T}> y\n",
    "directive": f"%TAG !e! tag:{S},2000:\n---\nmodel_list: []\n",
    "comment": f"model_list: []  # {S}\n# {T}\nx: 1  # {T}\n",
    "commented out": f"model_list: []\n#password: {S}\n",
    "environment": f"model_list: []\nenvironment_variables:\n  DB: {S}\n  export: 'A={T}'\n",
    "callback": f"model_list: []\nlitellm_settings:\n  callback_settings: {{otel: {{headers: 'authorization={S}'}}}}\n",
    "address": f"model_list: []\ndatabase_url: postgresql://user:{S}@db/litellm?sslpassword={T}\n",
    "include": f"include: [/run/{S}.yaml]\nmodel_list: []\n",
    "command": f"model_list: []\nrun: curl -H 'x-key:{S}' http://x/{T}\n",
    "base64": f"model_list: []\nx: !!binary |\n  {S}{T}=\n",
    "hand-written entry": OWN.replace("KEY", f"api_key: {S}, headers: {{x: {T}}}"),
    "entry in JSON": f'{{"model_list": [{{"model_name": "m", "litellm_params": {{"model": "x", "api_key": "{S}"}}}}]}}',
    "file in JSON": f'{{"model_list": [],\n "general_settings": {{"master_key": "{S}"}}}}',
    "windows": f"model_list: []\r\npassword: {S}\r\npem: |\r\n  {T}\r\n",
    "old mac": f"model_list: []\rpassword: {S}\rpem: |\r  {T}\r",
    "odd line breaks": f'model_list: []\npassword: "a\u2028{S}\x85{T}"\n',
    "no line break at the end": f"model_list: []\npassword: {S}",
    "tabs": f"model_list: []\npassword:\t{S}\t# {T}\n",
    "byte order mark": f"\ufeffmodel_list: []\npassword: {S}\n",
    "end of document": f"model_list: []\npassword: {S}\n...\n# {T}\n",
    "managed entry beside it": f"model_list:\n- {entry('gone')}\n- model_name: m # {T}\n  litellm_params: {{x: {S}}}\n",
    "comment in a managed entry": f"model_list:\n- model_name: g # {S}\n  model_info: {{id: {MANAGED_PREFIX}g}}\n",
    "alias in a managed entry": f"b: &b {{x: {S}}}\nmodel_list:\n- model_info: {{id: {MANAGED_PREFIX}g}}\n  x: *b\n",
    "block in a managed entry": f"model_list:\n- model_info: {{id: {MANAGED_PREFIX}g}}\n  x: |\n    {S}\n",
    "word of LiteLLM before it": f"model_list: []\nmodel: mode {S}\nid: id\n",
}  # fmt: skip


@pytest.mark.parametrize("config", SHAPES.values(), ids=SHAPES)
def test_no_secret_shows(config):
    """Whatever shape a secret has in a config, a diff that shows its line does not show it, nor a part of it."""
    before = config.encode()
    after = update_config(before, ENTRIES).text
    old, new = ([*text.decode().splitlines()] for text in (before, after))
    assert any(S in line or "8264915370" in line or "1987" in line for line in difflib.unified_diff(old, new))
    shown = unified(before, after, "old", "new")
    assert "shown-model" in shown and "4711" in shown
    for secret in (S, T, "8264915370", "1987-03-21"):
        for part in (secret[:5], secret[-5:], secret[3:8]):
            assert part not in shown, shown
    assert unified(after, before, "new", "old").count(S[:5]) == 0


def test_there_are_as_many_shapes_as_were_tried():
    """The review that found this tried thirty-three shapes."""
    assert len(SHAPES) >= 33


def test_what_is_shown():
    """Managed entries, LiteLLM's own words and the structure are shown; an empty diff is empty."""
    before = update_config(f"# {T}\nmodel_list: []\ngeneral_settings:\n  master_key: {S}\n".encode(), []).text
    after = update_config(before, ENTRIES).text
    shown = unified(before, after, "old", "new")
    assert shown.startswith("--- old\n+++ new\n@@ -1,4 +1,5 @@\n")
    assert " # …\n" in shown and " general_settings:\n   master_key: …\n" in shown
    added = "".join(line[1:] for line in shown.splitlines(keepends=True) if line.startswith("+"))
    assert '"model_info": {"id": "github_copilot/managed/shown-model", "mode": "chat", "max_tokens": 4711}' in added
    assert unified(before, before, "old", "new") == ""


def test_diff_of_a_damaged_models_file():
    """Of a file that cannot be parsed nothing is shown; of the new one everything."""
    before, after = f"model_list: [\n{S}\n".encode(), models_file_bytes(ENTRIES)
    shown = unified(before, after, "old", "new")
    assert S not in shown and "-…" in shown
    assert "".join("+" + line for line in after.decode().splitlines(keepends=True)) in shown


@pytest.mark.parametrize("config", [pytest.param(text, id=name) for name, text in CONFIGS])
def test_every_line_stays_a_line(config):
    """Masking keeps each line of any config where it is, so that the numbers in the diff are those of the file."""
    text = config.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    assert masked(config).replace("\r\n", "\n").replace("\r", "\n").count("\n") == text.count("\n")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from([text for _, text in CONFIGS if len(text) < 5000]), st.data())
def test_no_word_of_any_config_shows(config, data):
    """A word put anywhere into any config of the corpus, by which most become invalid, does not show."""
    at = data.draw(st.integers(0, len(config)))
    changed = config[:at] + S.encode() + config[at:]
    try:
        spans = update_config(changed, [])
    except SidecarError:
        assert S not in masked(changed)
        return
    if MANAGED_PREFIX.encode() not in changed:
        assert spans.text == changed
        assert S not in masked(changed) and S not in unified(b"", changed, "old", "new")


@pytest.mark.parametrize(
    "shape",
    [
        "x: {}", "x: '{}'", 'x: "{}"', "x: |\n  {}", "# {}", "{}: 1", "x: [{}]", "x: &{} 1", "x: !{} 1", "- {}",
        "x: [", "\x01{}", "x: {} {}", "x:\n- - - {}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("piece", ["aGVsbG8xkeyZ", "aGVsbG8/+ab=", "# -:,[]{}'\"&"])
def test_long_words_take_no_longer_a_character(shape, piece):
    """A word of 200,000 characters takes as much time a character as many of 2,000."""

    def took(length, times):
        text = f"model_list: []\n{shape.replace('{}', piece * (length // 12))}\n".encode()
        began = time.process_time()
        for _ in range(times):
            unified(text, text + b"# x\n", "old", "new")
        return time.process_time() - began

    took(2000, 3)
    assert took(200_000, 1) < 5 * took(2000, 100) + 0.05


def test_many_lines_take_no_longer_a_line():
    """A config of many equal lines, and of many changed ones, is compared in time linear in their number."""

    def took(count):
        text = ("model_list: []\n" + "x: [\n" + "  1,\n" * count + "]\n").encode()
        after = update_config(text, ENTRIES).text
        began = time.process_time()
        unified(text, after, "old", "new")
        return time.process_time() - began

    took(100)
    assert took(20_000) < 3 * 10 * took(2000) + 0.05


SLOW = """
import sys
from sidecar import cli
from sidecar.config import diff
print("ready", flush=True)
word = "A" * 200_000
text = ("model_list: []\\nkey: " + word + "\\n").encode()
while True:
    diff.unified(text, text + b"# x\\n", "old", "new")
"""


def test_a_signal_is_heard_meanwhile():
    """SIGTERM while long words are being masked ends the process at once."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW], stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == -signal.SIGTERM
    process.stdout.close()
