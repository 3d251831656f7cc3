"""The share of a source's rows that may break a rule before a build fails."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.jobs.data.building import build
from tidemill_core.errors import DataError
from tidemill_core.settings import FilesSource, TaskSettings
from tidemill_core.storage.database import Page
from tidemill_jobs.context import JobContext

OTHER = "other.jsonl"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of one source's files."""
    return tmp_path / "in"


@pytest.fixture
def strict(context: JobContext, folder: Path) -> JobContext:
    """Return a run for a task with two sources; a fifth of each one's rows may be bad."""
    folder.mkdir()
    other = folder.parent / OTHER
    _write(other, range(10_000, 10_500))
    sources = [FilesSource(path=folder / "*.jsonl"), FilesSource(path=other)]
    return _with_share(context, TaskSettings(sources=sources, max_quarantine_share=0.2))


def _with_share(context: JobContext, task: TaskSettings) -> JobContext:
    settings = context.settings.model_copy(update={"tasks": {context.task: task}})
    return replace(context, settings=settings)


def _write(path: Path, numbers: range, label: str = "label") -> None:
    rows = ({"text": f"text {number}", label: "ab"[number % 2]} for number in numbers)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def _versions(context: JobContext) -> int:
    return len(context.storage.datasets.page(context.task, Page())[0])


def _refused(context: JobContext) -> str:
    with pytest.raises(DataError) as refused:
        build(context)
    assert refused.value.reason == "TOO_MANY_QUARANTINED"
    return str(refused.value)


def test_a_bad_day_is_not_hidden_by_the_days_before(strict: JobContext, folder: Path) -> None:
    """A day with only bad rows is not published, however many good rows landed before."""
    _write(folder / "1.jsonl", range(1000))
    build(strict)
    _write(folder / "2.jsonl", range(1000, 1050), label="Label")
    for _ in range(2):
        told = _refused(strict)
        assert "50 of 50 rows" in told
        assert "NULL_LABEL 50" in told
        assert f"{folder / '2.jsonl'}:1" in told
        assert "-in-jsonl-" in told
    assert _versions(strict) == 1


def test_a_mended_file_is_published(strict: JobContext, folder: Path) -> None:
    """Bad rows that were replaced do not count."""
    _write(folder / "1.jsonl", range(1000))
    build(strict)
    _write(folder / "2.jsonl", range(1000, 1050), label="Label")
    _refused(strict)
    _write(folder / "2.jsonl", range(1000, 1050))
    assert build(strict).quarantine_counts["REPLACED"] == 50


def test_a_share_that_was_raised_can_be_lowered_again(strict: JobContext, folder: Path) -> None:
    """Rows that were published are not judged again."""
    _write(folder / "1.jsonl", range(1000))
    _write(folder / "2.jsonl", range(1000, 1500), label="Label")
    _refused(strict)
    task = strict.task_settings.model_copy(update={"max_quarantine_share": 1.0})
    build(_with_share(strict, task))
    _write(folder / "3.jsonl", range(2000, 2010))
    assert build(strict).quarantine_counts["NULL_LABEL"] == 500


def test_a_good_source_does_not_make_up_for_a_bad_one(strict: JobContext, folder: Path) -> None:
    """Each source is judged separately, also the first time."""
    _write(folder / "1.jsonl", range(10), label="Label")
    assert "10 of 10 rows" in _refused(strict)


def test_one_bad_row_is_no_bad_day(strict: JobContext, folder: Path) -> None:
    """In a night with a row or two, one bad row stops nothing; five do."""
    _write(folder / "1.jsonl", range(1000))
    build(strict)
    _write(folder / "2.jsonl", range(1000, 1004), label="Label")
    assert build(strict).quarantine_counts == {"NULL_LABEL": 4}
    _write(folder / "3.jsonl", range(2000, 2005), label="Label")
    _refused(strict)


def test_a_source_that_is_read_from_its_beginning_is_judged_whole(
    strict: JobContext, folder: Path, tmp_path: Path
) -> None:
    """All rows are new if fewer segments have landed than the version was built from."""
    _write(folder / "1.jsonl", range(1000))
    build(strict)
    _write(folder / "2.jsonl", range(2000, 2010))
    build(strict)
    (folder / "2.jsonl").unlink()
    for path in _landed(tmp_path):
        path.unlink()
    _write(folder / "1.jsonl", range(1000), label="Label")
    _refused(strict)


def _landed(state: Path) -> Iterator[Path]:
    return (state / "var" / "intake").glob("*/*/*.parquet")
