"""Builds of the same content, which are the same version."""

import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from unittest.mock import ANY

import polars as pl
import pytest

from tests.integration.jobs.data.building import build, build_with, write_rows
from tidemill_core.settings import FilesSource
from tidemill_core.storage.database import Page
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.publishing.dataset import read_manifest


def test_the_same_content_is_the_same_version(context: JobContext, source: Path) -> None:
    """The id does not depend on order, place or damaged rows."""
    rows = [(f"text {number}", "ab"[number % 2]) for number in range(50)]
    write_rows(source, rows)
    first = build(context)
    write_rows(source, [*random.Random(1).sample(rows, 50), ("", "a")])
    again = build(context)
    assert again.quarantine_counts == {"NULL_TEXT": 1, "REPLACED": 50}
    assert (again.dataset_version, again.create_time) == (first.dataset_version, first.create_time)
    assert context.storage.datasets.get(first.dataset_version) == again
    elsewhere = context.settings.model_copy(
        update={"state_dir": context.settings.state_dir / "elsewhere"}
    )
    assert build(replace(context, settings=elsewhere)).dataset_version == first.dataset_version
    assert len(context.storage.datasets.page("support", Page())[0]) == 1


def test_content_that_comes_again_is_the_newest(context: JobContext, source: Path) -> None:
    """A version that is built again is the newest and the next one's parent."""
    contents = [[("x", "a"), ("y", "b")], [("x", "a"), ("y", "b"), ("z", "b")]]
    contents += [contents[0], [("x", "a"), ("y", "a"), ("z", "b")]]
    built = []
    for day, rows in enumerate(contents):
        write_rows(source, rows)
        moment = context.clock() + timedelta(days=day)
        built.append(build(replace(context, clock=lambda moment=moment: moment)))
    first, second, again, last = built
    assert again == replace(
        first, build_time=again.build_time, quarantine_counts=ANY, source_counts=ANY
    )
    assert (again.build_time - first.build_time).days == 2
    assert read_manifest(Path(first.uri)) == again
    assert last.parents == (first.dataset_version,)
    listed = context.storage.datasets.page("support", Page())[0]
    assert listed == [last, again, second]


def test_a_repeat_leaves_the_files_as_they_are(context: JobContext, source: Path) -> None:
    """Building the newest version again changes only the catalog."""
    write_rows(source, [("x", "a"), ("y", "b")])
    folder = Path(build(context).uri)
    before = {path.name: (path.stat().st_ino, path.read_bytes()) for path in folder.iterdir()}
    moment = context.clock() + timedelta(days=1)
    again = build(replace(context, clock=lambda: moment))
    assert {p.name: (p.stat().st_ino, p.read_bytes()) for p in folder.iterdir()} == before
    assert context.storage.datasets.get(again.dataset_version).build_time == moment


@pytest.mark.parametrize("late", [(), ("manifest.json",), ("manifest.json", "examples.parquet")])
def test_all_files_tell_of_the_last_build(
    context: JobContext, source: Path, late: tuple[str, ...]
) -> None:
    """Each file has the rows' origins in the last build, also after a killed build."""
    write_rows(source, [("x", "a"), ("y", "b"), ("x", "a")])
    folder = Path(build(context).uri)
    before = {name: (folder / name).read_bytes() for name in late}
    moved = source.with_name("moved.csv")
    source.rename(moved)
    assert build_with(context, sources=[FilesSource(path=moved)]).uri == str(folder)
    for name, content in before.items():  # as if the build had not come to it
        (folder / name).write_bytes(content)
    version = build_with(context, sources=[FilesSource(path=moved)])
    assert read_manifest(folder).source_counts == version.source_counts
    for name in ("examples.parquet", "quarantine.parquet"):
        origins = pl.read_parquet(folder / name)["origin"].to_list()
        assert origins
        assert all("moved.csv" in origin for origin in origins)


def test_other_content_is_another_version(context: JobContext, source: Path) -> None:
    """One changed label gives another id."""
    write_rows(source, [("x", "a"), ("y", "b"), ("z", "a")])
    first = build(context)
    write_rows(source, [("x", "a"), ("y", "b"), ("z", "b")])
    assert build(context).dataset_version != first.dataset_version
