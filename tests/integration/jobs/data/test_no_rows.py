"""The job `build_dataset` if no source has a row."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pytest
from pydantic import SecretStr

from tests.integration.jobs.data.building import build
from tidemill_core.errors import DataError
from tidemill_core.settings import SqlSource, TaskSettings
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.landing.intake import Intake
from tidemill_jobs.data.sources import open_source
from tidemill_jobs.data.sources.source import ROWS, UNREADABLE, Batch, Watermark


@dataclass(frozen=True)
class _OnlyAWatermark:
    """A source that moves its watermark and gives no rows."""

    name: str
    labeled: bool = True

    def read(self, watermark: Watermark) -> Iterator[Batch]:
        """Yield one batch with a watermark only."""
        nothing = pl.DataFrame(schema=ROWS), pl.DataFrame(schema=UNREADABLE)
        yield Batch(*nothing, {**watermark, "cursor": 1})


@pytest.mark.parametrize(("has_landed", "reason"), [(False, "NO_ROWS"), (True, "TOO_FEW_LABELS")])
def test_sources_without_rows_are_reported(
    context: JobContext, tmp_path: Path, has_landed: bool, reason: str
) -> None:
    """The build fails if nothing landed, or only a watermark."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        database.execute("CREATE TABLE tickets (id INTEGER, text TEXT, label TEXT)")
    url = SecretStr(f"sqlite:///{tmp_path / 'shop.db'}")
    source = SqlSource(kind="sql", url=url, table="tickets", cursor_column="id")
    if has_landed:
        intake = Intake(context.settings.state_dir / "intake" / context.task)
        intake.land(_OnlyAWatermark(open_source(source).name), context.progress)
    tasks = {context.task: TaskSettings(sources=[source])}
    settings = context.settings.model_copy(update={"tasks": tasks})
    with pytest.raises(DataError, match=r"has no rows|its sources leave no example") as caught:
        build(replace(context, settings=settings))
    assert caught.value.reason == reason
