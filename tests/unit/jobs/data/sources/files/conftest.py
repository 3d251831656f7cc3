"""The files of a source, as they are written over time."""

import os
from pathlib import Path

import pytest

from tests.unit.jobs.data.sources.files.reading import Write


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a file into the source's folder, later each time."""
    times = iter(range(1, 1000))

    def written(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        os.utime(path, (next(times), next(times)))
        return path

    return written
