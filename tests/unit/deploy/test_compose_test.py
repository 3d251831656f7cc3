"""`make compose-test` where no containers run, and the commit that it upgrades from."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.compose_test.__main__ import EARLIER

ROOT = Path(__file__).resolve().parents[3]
MIGRATIONS = "core/tidemill_core/storage/migrations/versions/"


def test_it_is_skipped_where_no_containers_run() -> None:
    """Without an engine it says so, and is no failure."""
    assert run_with(PATH="/nonexistent").startswith("skipped")


@pytest.mark.skipif(shutil.which("podman") is None, reason="Podman is not installed")
def test_it_is_skipped_where_podman_starts_no_container(tmp_path: Path) -> None:
    """Podman answers `info` without the programs that give a container its network."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("podman", "debootstrap", "catatonit"):
        if found := shutil.which(name):
            (programs / name).symlink_to(found)
    printed = run_with(PATH=str(programs), XDG_CACHE_HOME=str(tmp_path))
    assert printed.startswith("skipped, because containers cannot run here: ")


def run_with(**variables: str) -> str:
    """Run the test with other variables, and return what it prints."""
    command = [sys.executable, "-m", "deploy.compose_test"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_upgrade_migrates_the_schema() -> None:
    """The commit to upgrade from has fewer migrations than this one."""
    listed = subprocess.run(
        ["git", "ls-tree", "--name-only", EARLIER, MIGRATIONS],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("a clone without its history")
    before = {name for name in listed.stdout.split() if name.endswith(".py")}
    today = {MIGRATIONS + path.name for path in (ROOT / MIGRATIONS).glob("*.py")}
    assert before < today
