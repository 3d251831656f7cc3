"""A folder to run commands in."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, without settings from the environment."""
    for name in list(os.environ):
        if name.startswith("TIDEMILL_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def private() -> Iterator[None]:
    """Lets commands make files private, which ends with the test."""
    before = os.umask(0o077)
    os.umask(before)
    yield
    os.umask(before)
