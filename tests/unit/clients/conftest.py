"""The fixtures of command line tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty current folder, without settings from the environment."""
    for name in list(os.environ):
        if name.startswith("TIDEMILL_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def private() -> Iterator[None]:
    """Let commands make files private until the test ends."""
    before = os.umask(0o077)
    os.umask(before)
    yield
    os.umask(before)
