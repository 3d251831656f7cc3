"""`make compose-test` where no containers run, and the commit that it upgrades from."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.compose_test.__main__ import EARLIER

ROOT = Path(__file__).resolve().parents[3]
MIGRATIONS = "core/tidemill_core/storage/migrations/versions/"


def test_it_is_skipped_where_no_containers_run() -> None:
    """Without an engine it says so, and is no failure."""
    command = [sys.executable, "-m", "deploy.compose_test"]
    alone = {**os.environ, "PATH": "/nonexistent"}
    done = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout[:7]) == (0, "skipped"), done.stderr


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
