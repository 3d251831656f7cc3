"""A workspace with one task, on a real database."""

from collections.abc import Iterator
from contextlib import chdir, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.plugins.databases import new_sqlite
from tests.plugins.job_runs import run_of
from tidemill_core.settings import FilesSource, Settings, TaskSettings
from tidemill_core.storage.storage import open_storage
from tidemill_core.triton.control import TritonControl
from tidemill_jobs.context import JobContext

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The task's CSV file; each test writes it."""
    return tmp_path / "train.csv"


@pytest.fixture
def newcomer(tmp_path: Path, source: Path) -> Iterator[JobContext]:
    """A run for the task `support`, whose source has the columns `text` and `label`.

    It has no champion yet.
    """
    with run_in(tmp_path, source) as context:
        yield context


@contextmanager
def run_in(folder: Path, source: Path) -> Iterator[JobContext]:
    """Yield a run in a new workspace."""
    with chdir(folder):
        settings = Settings(
            tasks={"support": _task(source)},
            state_dir=folder / "var",
            model_repository=folder / "models",
        )
    storage = open_storage(new_sqlite(folder / "var" / "tidemill.db"))
    with TritonControl(settings.triton_address, key="") as triton:
        yield run_of(settings, storage, triton, lambda: NOW)
    storage.database.close()


def _task(source: Path) -> TaskSettings:
    """Return a task whose builds may quarantine every row, because most tests have few rows."""
    return TaskSettings(sources=[FilesSource(path=source)], max_quarantine_share=1.0)


@pytest.fixture
def context(newcomer: JobContext) -> JobContext:
    """The context of a run; a folder may override it."""
    return newcomer
