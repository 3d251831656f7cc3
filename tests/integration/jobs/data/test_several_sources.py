"""The job `build_dataset` with several sources."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from pydantic import SecretStr

from tests.integration.jobs.data.building import build
from tidemill_core.errors import ConfigurationError
from tidemill_core.settings import FilesSource, SourceSettings, SqlSource, TaskSettings
from tidemill_jobs.context import JobContext


def _with(context: JobContext, sources: list[SourceSettings]) -> JobContext:
    task = TaskSettings(sources=sources, max_quarantine_share=1.0)
    settings = context.settings.model_copy(update={"tasks": {context.task: task}})
    return replace(context, settings=settings)


def test_their_order_counts(context: JobContext, source: Path) -> None:
    """The first source's row is kept among equal rows, also after the order changed."""
    other = source.with_name("other.csv")
    source.write_text("text,label\nx,a\ny,b\n", encoding="utf-8")
    other.write_text("text,label\nx,a\nz,b\n", encoding="utf-8")
    declared: list[SourceSettings] = [FilesSource(path=source), FilesSource(path=other)]
    build(_with(context, declared))
    version = build(_with(context, declared[::-1]))
    excluded = pl.read_parquet(Path(version.uri) / "quarantine.parquet")
    assert excluded["origin"].to_list() == [f"{source}:2"]


def test_two_that_differ_only_in_how_they_are_read_are_refused(
    context: JobContext, tmp_path: Path
) -> None:
    """Such sources would share landed rows and watermark."""
    url = SecretStr(f"sqlite:///{tmp_path / 'shop.db'}")
    twins: list[SourceSettings] = [
        SqlSource(kind="sql", url=url, table="t", cursor_column="id", key_column="id", overlap=n)
        for n in (0, 1)
    ]
    with pytest.raises(ConfigurationError, match="two sources that read the same rows from"):
        build(_with(context, twins))
