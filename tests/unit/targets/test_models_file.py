"""The models file: checked before it is published, and not touched when nothing changed."""

from __future__ import annotations

import os
import stat
import time

import pytest
import yaml

from sidecar.errors import SidecarError, StorageError
from sidecar.litellm_hot_reload.allowed import MAX_ENTRIES
from sidecar.litellm_hot_reload.managed import MANAGED_PREFIX
from sidecar.litellm_hot_reload.models_file import entries_in as hook_reads
from sidecar.service.sync import entries_for
from sidecar.settings import Settings
from sidecar.targets import models_file
from sidecar.targets.base import Built
from sidecar.targets.models_file import (
    Change,
    ModelsFileTarget,
    models_file_bytes,
    publish_models,
    verify_models_file,
)
from tests.fakes.catalog import model
from tests.support.entries import managed_entry
from tests.support.files import PLACES, files_under, unprivileged

SETTINGS = Settings()
A, B = model("a"), model("b")


def entries(*items):
    return entries_for(list(items), SETTINGS)[1]


def identity(path):
    about = path.stat()
    return about.st_ino, about.st_mtime_ns, about.st_ctime_ns


@pytest.fixture
def path(tmp_path):
    return tmp_path / "copilot_models.yaml"


def test_first_publication(path):
    """The first publication makes the file and names every model as added."""
    change = publish_models(path, entries(A, B))
    assert change == Change(added=("github_copilot/a", "github_copilot/b")) and change
    assert [item["model_name"] for item in yaml.safe_load(path.read_bytes())["model_list"]] == list(change.added)


def test_unchanged_file_is_not_touched(path):
    """Equal models leave the file as it is: same inode, same times."""
    publish_models(path, entries(A, B))
    before = identity(path)
    assert publish_models(path, entries(B, A)) is None
    assert identity(path) == before


def test_change(path):
    """What was added, removed and changed is named."""
    publish_models(path, entries(A, B))
    change = publish_models(path, entries(model("b", output=1), model("c")))
    assert change.added == ("github_copilot/c",) and change.removed == ("github_copilot/a",)
    assert change.changed == ("github_copilot/b",)
    assert {item.model_name for item in change.fields} == {"github_copilot/b"}
    assert ("model_info.max_output_tokens", 16000, 1) in {(item.path, item.old, item.new) for item in change.fields}


def test_empty_list(path):
    """An empty list is a valid models file."""
    assert publish_models(path, []) == Change()
    assert yaml.safe_load(path.read_bytes()) == {"model_list": []}


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_everybody_may_read_it(path, umask):
    """The models file is 0644 whatever the umask: LiteLLM may be another user."""
    before = os.umask(umask)
    try:
        publish_models(path, entries(A))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


GARBAGE = [
    b"", b"\x00\xff\xfe", b"{", b"]", b"[]", b"5", b"null", b"model_list:", b"model_list: 5",
    b"model_list: [5, x, null]",
    b"model_list: [{}]", b"model_list: [{model_info: {id: {a: 1}}}]", b"model_list: [{model_info: {id: [1]}}]",
    b"x: 2001-99-99", b"x: !!int a", b"x: !!timestamp a", b"x: !!python/object/apply:os.getcwd []", b"a: &a [*a]",
    b"*x",
    b"[" * 1000, b"model_list: [{model_name: 5, model_info: {id: 7}}]", b"? {a: 1}\n: b", b"\tx", b"<<: 5",
    b"- !!binary \xc3",
    b"model_list: [{model_info: {id: x}, model_name: {a: 1}}]", b"x: !!float a", b"x: !!bool a",
    b"x: 1:99999999999999999e999",
    b"model_list: " + b"[" * 200_000, b"model_list: " + b"{a: " * 5000,
]  # fmt: skip


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda data: repr(data[:50]))
def test_garbage_is_replaced(path, garbage):
    """Whatever a damaged models file holds, the next publication heals it."""
    path.write_bytes(garbage)
    assert "github_copilot/a" in publish_models(path, entries(A)).added
    assert path.read_bytes() == models_file_bytes(entries(A))


def read(reader, data):
    """What a reader of entries finds, types and all, and whether it came to the end."""
    found = []
    try:
        found.extend(reader(data))
    except Exception as error:
        return found, type(error)
    return repr(found), None


ODD = [
    "&a {x: 1}", "[&a 1, *a]", "{<<: {a: 1}, b: 2}", "{'<<': {a: 1}}", "<<", "=", "!x y", "!!str 5", "!!int '5'", "! 5",
    "!!map {}", "!x {a: 1}", "{!x a: 1, !x a: 2}", "{a: 1, a: 2}", "{? [1] : 2}", "{? {a: 1} : 2}", "{[]: {}, 1: a}",
    "{1: a, true: b, 1.0: c}", "2001-01-01", "2001-99-99", "!!binary aGk=", "!!set {a}", "0o7", "010", "1:30", ".nan",
    "~", "''", '"\\u00e9"', "1e3", "[1, 1.0, true, '1']", "*nowhere",
]  # fmt: skip


@pytest.mark.parametrize("value", ODD)
def test_a_plain_file_is_read_as_any_other(value):
    """The quick way finds what the other one does, or says that it cannot."""
    for text in (
        f"model_list: [{value}, {{x: {value}}}]",
        f"{value}: 5\nmodel_list:\n- {value}\n",
        f"x: {value}\nmodel_list: [a]\ny: [{value}]",
        f"model_list: {value}",
        f"!x model_list: [{value}]\nmodel_list: [2]",
        f"model_list: [1]\n---\n{value}",
    ):
        quick, anyway = read(models_file._plain, text.encode()), read(models_file._listed, text.encode())
        assert quick == anyway or quick[1] is not None


def test_what_is_written_here_is_plain(path):
    """What a sync writes is read the quick way."""
    data = models_file_bytes(entries(A, B))
    assert (
        read(models_file._plain, data) == read(models_file._listed, data) and len(list(models_file._plain(data))) == 2
    )


def bomb(join):
    """A managed entry that some hundred lines of aliases expand to more than any memory holds."""
    lines = ["x0: &x0 {a: 1, b: 2}", *(f"x{n}: &x{n} {join(n - 1)}" for n in range(1, 100))]
    entry = f"model_list: [{{model_name: github_copilot/a, model_info: {{id: {MANAGED_PREFIX}a, x: *x99}}}}]"
    return "\n".join([*lines, entry]).encode()


@pytest.mark.parametrize(
    "join",
    [lambda n: f"[*x{n}, *x{n}]", lambda n: f"{{a: *x{n}, b: *x{n}}}", lambda n: f"{{<<: [*x{n}, *x{n}]}}"],
    ids=["lists", "mappings", "merge keys"],
)
def test_a_file_that_would_expand_is_replaced(path, join):
    """Aliases in a models file are not ours, and are not expanded: the next publication heals the file."""
    path.write_bytes(bomb(join))
    assert "github_copilot/a" in publish_models(path, entries(A)).added
    assert path.read_bytes() == models_file_bytes(entries(A))


@pytest.mark.parametrize("name", ["copilot_models.yaml", ".copilot_models.yaml.memory.json"])
@pytest.mark.parametrize("kind", ["a pipe", "a device without an end", "400 MB"])
def test_what_is_no_file_of_ours_is_replaced(path, stop, name, kind):
    """A pipe in the place of a file is not waited for, an endless or huge file is not read; both heal."""
    wrong = path.with_name(name)
    PLACES[kind](wrong)
    stored = []

    def make(record):
        stored.append(record)
        return Built(entries(A), b"record")

    ModelsFileTarget(path).update(make, stop)
    assert path.read_bytes() == models_file_bytes(entries(A))
    assert path.with_name(".copilot_models.yaml.memory.json").read_bytes() == b"record" and stored in ([None], [b""])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda items: [*items, items[0]],
        lambda items: [{**items[0], "model_info": {"id": "somebody/else"}}],
    ],
)
def test_wrong_entries_are_not_published(path, spoil):
    """Entries with repeated or foreign ids are a defect, which the file never sees."""
    publish_models(path, entries(A))
    before = identity(path)
    with pytest.raises(SidecarError):
        publish_models(path, spoil(entries(A, B)))
    assert identity(path) == before


@pytest.mark.parametrize("data", [b"model_list: []\n", b"[]", b"", b"model_list: [{model_info: {id: x}}]\n"])
def test_check(data):
    """What does not parse to what was meant is refused."""
    with pytest.raises(SidecarError):
        verify_models_file(data, entries(A))


@pytest.mark.parametrize(
    "items",
    [
        [managed_entry(f"m-{number}") for number in range(MAX_ENTRIES + 1)],
        [managed_entry(f"m-{number}", texts=["x" * 900] * 100) for number in range(25)],
    ],
    ids=["entries", "bytes"],
)
def test_more_than_the_hook_reads_is_not_published(path, items):
    """What LiteLLM's hook would refuse as too large never replaces the last good file; the cure is named."""
    publish_models(path, entries(A))
    before = identity(path)
    with pytest.raises(StorageError, match=str(MAX_ENTRIES)) as caught:
        publish_models(path, items)
    assert "COPILOT_MODELS_INCLUDE" in caught.value.hint and identity(path) == before
    assert publish_models(path, items[:20]) is not None and len(hook_reads(path.read_bytes())) == 20


def test_what_the_hook_would_refuse_is_not_published(path):
    """An entry that LiteLLM's hook would refuse, and the whole file with it, is a defect that the file never sees."""
    for wrong in (managed_entry("a", note="os.environ/X"), managed_entry("a") | {"x": 1}):
        with pytest.raises(SidecarError, match="hook would refuse"):
            publish_models(path, [wrong])
    assert not path.exists()


def test_text_that_grows_by_its_escapes(path):
    """Text of characters that are shown as long escapes stays within what the hook takes."""
    publish_models(path, entries(model("m", name="\U000e0001" * 500, vendor="\u202e" * 500)))
    assert hook_reads(path.read_bytes())


def test_missing_directory(tmp_path):
    """Without the directory the message names the file and the cure, and nothing is made."""
    path = tmp_path / "missing" / "copilot_models.yaml"
    with pytest.raises(StorageError, match=str(path)) as caught:
        publish_models(path, entries(A))
    assert str(path.parent) in caught.value.hint and not path.parent.exists()


def test_read_only_directory(outside):
    """On a read-only volume the old file stays, with nothing beside it; unchanged models are no failure."""
    path = outside / "copilot_models.yaml"
    publish_models(path, entries(A))
    before = files_under(outside)
    outside.chmod(0o555)
    with unprivileged():
        with pytest.raises(StorageError, match="Permission denied") as caught:
            publish_models(path, entries(B))
        assert publish_models(path, entries(A)) is None
    assert str(path) in str(caught.value) and "uid" in caught.value.hint and files_under(outside) == before


def test_stale_temporaries_go_with_the_next_change(path):
    """What a crash left behind is gone after the next publication that writes."""
    left = path.with_name(f".{path.name}.0123456789ab.tmp")
    left.write_bytes(b"part")
    os.utime(left, (time.time() - 400,) * 2)
    publish_models(path, entries(A))
    assert files_under(path.parent).keys() == {path.name}
