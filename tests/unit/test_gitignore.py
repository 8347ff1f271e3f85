"""What holds a secret or a state is named in docs/files.md, and git leaves it alone."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from sidecar.cli import main
from tests.fakes.catalog import model
from tests.support.files import files_under
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "files.md").read_text("utf-8")


def named() -> list[str]:
    """The files in the first column of the page's tables, without the directory; examples instead of what they show."""
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    return [
        name
        for row in rows
        for name in (
            found.rpartition("/" if not found.endswith("/") else "//")[2] for found in re.findall(r"`(.+?)`", row)
        )
        if "NAME" not in name
    ]


def ignored(repository: Path, names: list[str]) -> set[str]:
    done = subprocess.run(["git", "check-ignore", *names], cwd=repository, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return set(done.stdout.splitlines())


def repository(tmp_path: Path) -> Path:
    """A repository with this project's .gitignore."""
    path = tmp_path / "clone"
    path.mkdir()
    subprocess.run(["git", "init", "-q", str(path)], check=True)
    (path / ".gitignore").write_bytes((ROOT / ".gitignore").read_bytes())
    return path


def test_what_the_page_names(tmp_path):
    """Each file of the page, made in a clone, is none that git would take."""
    clone, names = repository(tmp_path), [name.removeprefix("MODELS/") for name in named()]
    assert len(names) >= 17 and {"access-token", ".env", "logs/", "litellm_hot_reload/"} <= {*names}
    for name in names:
        path = clone / name
        (path / "x").parent.mkdir(exist_ok=True) if name.endswith("/") else path.touch()
    assert ignored(clone, names) == {*names}


def test_what_is_really_written(bench, tmp_path):
    """Every file that logins, syncs and backups write in a clone is one that the page names, and git does not take."""
    clone = repository(tmp_path)
    config = clone / "config.yaml"
    config.write_text("model_list: []\n")
    bench.gh.device_flow(mode="approve", interval=1)
    environ = {
        **bench.environ,
        "GITHUB_COPILOT_TOKEN_DIR": str(clone),
        "COPILOT_MODELS_FILE": str(clone / "copilot_models.yaml"),
        "COPILOT_LOG_FILE": str(clone / "logs" / "sync.log"),
    }
    assert main(["login", "--json"], environ) == 0
    for _ in range(2):
        assert main(["prepare"], environ) == main(["sync"], environ) == 0
        assert main(["sync", "--config", str(config)], environ) == 0
        bench.gh.set_catalog([*bench.gh.catalog, model("new")])
    written = {name for name in files_under(clone) if not name.startswith(".git")} - {"config.yaml"}
    assert len(written) > 20 and ignored(clone, sorted(written)) == written
    for name in sorted(written):
        top = re.sub(r"\d{8}T\d{6}Z(-\d+)?", "20260101T000000Z", name.partition("/")[0])
        pattern = re.sub(r"^\.(copilot_models|config)\.yaml\.", ".NAME.", top)
        assert any(text in PAGE for text in (f"`{top}", f"/{top}", f"`{pattern}")), name


def test_nothing_of_this_repository_is_ignored():
    """No file that git has is one that .gitignore names."""
    done = subprocess.run(
        ["git", "ls-files", "-ci", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == ""
