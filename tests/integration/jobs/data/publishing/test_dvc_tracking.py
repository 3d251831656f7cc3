"""Dataset versions in a real DVC repository with a local remote."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tidemill_jobs.context import JobContext
from tidemill_jobs.data.build import run
from tidemill_jobs.data.publishing.dvc_tracking import track

ENVIRONMENT = {
    **os.environ,
    "DVC_NO_ANALYTICS": "true",
    "GIT_CONFIG_GLOBAL": os.devnull,
    **{f"GIT_{who}_{what}": "t@t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def dvc(folder: Path, *arguments: str) -> None:
    """Run DVC."""
    command = [sys.executable, "-m", "dvc", *arguments, "--quiet"]
    subprocess.run(command, cwd=folder, env=ENVIRONMENT, check=True)


def git(folder: Path, *arguments: str) -> None:
    """Run Git."""
    subprocess.run(["git", *arguments], cwd=folder, env=ENVIRONMENT, check=True)


@pytest.fixture
def repository(
    context: JobContext, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Return the workspace, a Git and DVC repository that ignores the state directory."""
    assert context.settings.state_dir == tmp_path / "var"
    monkeypatch.chdir(tmp_path)
    source.write_text("text,label\nx,a\ny,b\n", encoding="utf-8")
    git(tmp_path, "init", "--quiet")
    (tmp_path / ".gitignore").write_text("/var/\n/remote/\n/clone/\n")
    dvc(tmp_path, "init")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    """Return the contents of a folder's files."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_another_clone_pulls_the_same_bytes(context: JobContext, repository: Path) -> None:
    """A version is pushed to the default remote; another clone can pull it."""
    dvc(repository, "remote", "add", "--default", "store", str(repository / "remote"))
    result = run(context)
    assert result["warnings"] == []
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "a dataset")
    git(repository, "clone", "--quiet", str(repository), "clone")
    dvc(repository / "clone", "pull")
    place = Path("var", "datasets", "support", result["dataset_version"])
    pulled = contents(repository / "clone" / place)
    assert pulled == contents(repository / place)
    assert "examples.parquet" in pulled


def test_a_state_directory_may_have_any_name(context: JobContext, repository: Path) -> None:
    """The file for DVC names the folder in YAML, which reads other escapes than JSON."""
    state_dir = repository / "état \U0001f600 #'[x]"
    settings = context.settings.model_copy(update={"state_dir": state_dir})
    assert run(replace(context, settings=settings))["warnings"] == []


def test_what_dvc_cannot_do_is_a_warning(context: JobContext, repository: Path) -> None:
    """A version is built and recorded even if DVC fails."""
    (repository / "taken").touch()
    dvc(repository, "remote", "add", "--default", "store", str(repository / "taken" / "remote"))
    result: Any = run(context)
    (warning,) = result["warnings"]
    assert re.search(r"Not a directory.*run `dvc push", warning)
    version = context.storage.datasets.get(result["dataset_version"])
    assert "must lie in the repository" in track(replace(version, uri="/elsewhere"), repository)
    (repository / ".dvc" / "config").write_text("[nonsense")
    (warning,) = run(context)["warnings"]
    assert "run `dvc commit" in warning


def test_without_a_repository_nothing_is_written(
    context: JobContext, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A workspace without a DVC repository is not changed."""
    monkeypatch.chdir(tmp_path)
    source.write_text("text,label\nx,a\ny,b\n", encoding="utf-8")
    assert run(context)["warnings"] == []
    assert {path.name for path in tmp_path.iterdir()} == {source.name, "var"}
