"""Builds of dataset versions by the job."""

import csv
from dataclasses import replace
from itertools import count
from pathlib import Path

import polars as pl

from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.domain.split import Split, content_hash, split_of
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.build import build_for


def build(context: JobContext) -> DatasetVersion:
    """Build the task's dataset version from its current sources and feedback."""
    return build_for(context, context.progress).version


def text_on(side: Split, start: int = 0) -> str:
    """Return a text that the split puts on a side."""
    texts = (f"text {number}" for number in count(start))
    return next(text for text in texts if split_of(content_hash(text)) is side)


def write_rows(source: Path, rows: list[tuple[str, str]]) -> None:
    """Write texts and labels to a CSV."""
    with source.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])


def rules_by_origin(context: JobContext, dataset_version: str) -> dict[str, str]:
    """Return the rules of all rows that are not in a version, by origin."""
    uri = context.storage.datasets.get(dataset_version).uri
    frame = pl.read_parquet(Path(uri) / "quarantine.parquet")
    return dict(frame.select("origin", "rule").iter_rows())


def build_with(context: JobContext, **changes: object) -> DatasetVersion:
    """Build with other settings of the task."""
    task = context.task_settings.model_copy(update=changes)
    settings = context.settings.model_copy(update={"tasks": {"support": task}})
    return build(replace(context, settings=settings))
