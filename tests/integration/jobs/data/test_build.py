"""The job `build_dataset`, from files and a real database to Parquet."""

import csv
import random
import resource
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import polars as pl
import pytest

from tests.integration.jobs.data.building import (
    build,
    build_with,
    rules_by_origin,
    text_on,
    write_rows,
)
from tidemill_core.domain.dataset import Outcome
from tidemill_core.domain.split import Split, content_hash
from tidemill_core.errors import DataError
from tidemill_core.settings import FilesSource, TaskSettings
from tidemill_core.storage.database import Page
from tidemill_core.storage.storage import open_storage
from tidemill_jobs.context import JobContext, RunCanceled
from tidemill_jobs.data.build import run
from tidemill_jobs.data.publishing.dataset import EXAMPLE_COLUMNS, read_dataset

SUPPORT = Path(__file__).parents[4] / "examples" / "support"
Correct = Callable[[str, str, str], None]


def test_every_row_is_accounted_for(context: JobContext, source: Path, correct: Correct) -> None:
    """Each ingested row is kept or excluded once, with its rule."""
    trained, held_out = text_on(Split.TRAIN), text_on(Split.TEST)
    source.write_text(
        f'text,label\n{trained},a\n{held_out},a\n{held_out},a\n,a\n"broken,a\nx,\n',
        encoding="utf-8",
    )
    correct("p1", trained, "b")
    correct("p2", held_out, "b")
    result = run(context)
    assert result["rows_in"] == 8
    outcomes = {name: result[f"rows_{name}"] for name in map(str, Outcome)}
    assert outcomes == {"kept": 2, "merged": 2, "left_out": 1, "quarantined": 3}
    found = rules_by_origin(context, result["dataset_version"])
    assert found == {
        f"{source}:2": "CORRECTED",
        f"{source}:4": "DUPLICATE",
        f"{source}:5": "NULL_TEXT",
        f"{source}:6": "BROKEN_QUOTES",
        f"{source}:7": "NULL_LABEL",
        "feedback-p2": "HELD_OUT",
    }
    assert result["excluded_by_rule"] == Counter(found.values())


def test_the_catalog_knows_the_version(context: JobContext, source: Path) -> None:
    """A built version is recorded with its counts, and can be read from its path."""
    train, test = text_on(Split.TRAIN), text_on(Split.TEST)
    write_rows(source, [(train, "a"), (test, "b"), (test, "b")])
    built = build(context)
    assert context.storage.datasets.get(built.dataset_version) == built
    assert built.row_counts == {"test": 1, "train": 1}
    assert built.label_counts == {"a": 1, "b": 1}
    assert built.label_source_counts == {"source": 2}
    assert built.quarantine_counts == {"DUPLICATE": 1}
    rows = read_dataset(built.uri)
    assert rows.schema == EXAMPLE_COLUMNS
    assert rows["text_hash"].is_sorted()
    assert set(rows.select("text", "split").iter_rows()) == {(train, "train"), (test, "test")}


def test_a_correction_replaces_the_sources_label(
    context: JobContext, source: Path, correct: Correct
) -> None:
    """People's label of a training text replaces the source's label."""
    text = text_on(Split.TRAIN)
    write_rows(source, [(text, "a"), (text_on(Split.TEST), "a")])
    correct("p1", text, "b")
    rows = read_dataset(build(context).uri).filter(pl.col("text") == text)
    assert list(rows.select("label", "label_source", "origin").iter_rows()) == [
        ("b", "feedback", "feedback-p1")
    ]


def test_feedback_never_judges(context: JobContext, source: Path, correct: Correct) -> None:
    """Test and validation rows come from the source alone; corrections do not change them."""
    trained, held_out = text_on(Split.TRAIN), [text_on(Split.TEST), text_on(Split.VALIDATION)]
    write_rows(source, [*((text, "a") for text in held_out), (trained, "b")])
    for place, text in enumerate([*held_out, text_on(Split.TEST, 1000), trained]):
        correct(f"p{place}", text, "b")
    rows = read_dataset(build(context).uri)
    judging = rows.filter(pl.col("split") != "train")
    assert set(judging["label_source"]) == {"source"}
    assert set(judging["label"]) == {"a"}
    assert sorted(judging["text"]) == sorted(held_out)


def test_feedback_is_cleaned_like_any_row(
    context: JobContext, source: Path, correct: Correct
) -> None:
    """Users' texts are cleaned like a file's."""
    write_rows(source, [("x", "a"), ("y", "b")])
    correct("p1", "nul\x00", "b")
    assert rules_by_origin(context, build(context).dataset_version) == {
        "feedback-p1": "CONTROL_CHARACTERS"
    }


def test_what_was_prepared_otherwise_is_cleared(context: JobContext, source: Path) -> None:
    """A build removes prepared files that its settings and sources do not use."""
    write_rows(source, [("x", "a"), ("y", "b")])
    build(context)
    prepared = context.settings.state_dir / "prepared" / "support"
    (first,) = prepared.glob("*/*/*.parquet")
    moved = source.with_name("moved.csv")
    source.rename(moved)
    build_with(context, sources=[FilesSource(path=moved)])
    (second,) = prepared.glob("*/*/*.parquet")
    assert second.parent.parent == first.parent.parent
    build_with(context, sources=[FilesSource(path=moved)], max_text_length=10)
    (third,) = prepared.glob("*/*/*.parquet")
    assert len({path.parent for path in (first, second, third)}) == 3
    assert len(list(prepared.iterdir())) == 1


def test_several_sources_make_one_dataset(context: JobContext, source: Path) -> None:
    """Rows of all sources are in the version, each with its file."""
    second = source.with_name("second.csv")
    write_rows(source, [("x", "a")])
    write_rows(second, [("y", "b"), ("x", "a")])
    task = TaskSettings(sources=[FilesSource(path=source), FilesSource(path=second)])
    settings = context.settings.model_copy(update={"tasks": {"support": task}})
    built = build(replace(context, settings=settings))
    origins = set(read_dataset(built.uri)["origin"])
    assert origins == {f"{source}:2", f"{second}:2"}
    assert sorted(map(str, built.source_counts.values())) == [
        "{'kept': 1, 'merged': 1}",
        "{'kept': 1}",
    ]


@pytest.mark.parametrize("content", ["text,label\n,a\n", "text,label\nx,a\ny,a\n"])
def test_too_few_labels_are_refused(context: JobContext, source: Path, content: str) -> None:
    """A version with fewer than two labels is not published."""
    source.write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        build(context)
    assert caught.value.reason == "TOO_FEW_LABELS"
    assert context.storage.datasets.page("support", Page()) == ([], "")


@pytest.mark.parametrize("steps", range(4))
def test_a_cancelled_build_leaves_nothing(context: JobContext, source: Path, steps: int) -> None:
    """A build that is stopped at any step leaves no version and no part of one."""
    write_rows(source, [("x", "a"), ("y", "b")])
    told = count()

    def stop(_done: float, _doing: str) -> None:
        if next(told) == steps:
            raise RunCanceled

    with pytest.raises(RunCanceled):
        build(replace(context, progress=stop))
    assert context.storage.datasets.page("support", Page()) == ([], "")
    assert not list(context.settings.state_dir.glob("datasets/**/*.parquet"))


def test_a_failed_write_leaves_nothing(context: JobContext, source: Path) -> None:
    """A version that cannot be renamed to its place is not recorded."""
    write_rows(source, [("x", "a"), ("y", "b")])
    datasets = context.settings.state_dir / "datasets"
    datasets.mkdir()
    (datasets / "support").write_text("in the way", encoding="utf-8")
    with pytest.raises(DataError, match="support") as caught:
        build(context)
    assert caught.value.reason == "NOT_WRITTEN"
    assert context.storage.datasets.page("support", Page()) == ([], "")
    assert not list(datasets.glob("**/*.parquet"))


def test_tasks_do_not_share_versions(context: JobContext, source: Path) -> None:
    """The same rows in two tasks are two versions."""
    write_rows(source, [("x", "a"), ("y", "b")])
    tasks = {**context.settings.tasks, "other": context.task_settings}
    settings = context.settings.model_copy(update={"tasks": tasks})
    twin = build(replace(context, task="other", settings=settings))
    assert twin.dataset_version != build(context).dataset_version
    assert context.storage.datasets.get(twin.dataset_version).task == "other"


def test_a_version_not_recorded_yet_is_recorded(context: JobContext, source: Path) -> None:
    """A build that ended between writing and recording is completed by the next one."""
    write_rows(source, [("x", "a"), ("y", "b")])
    first = build(context)
    fresh = open_storage(f"sqlite:///{source.with_name('fresh.db')}")
    later = replace(context, storage=fresh, clock=lambda: context.clock() + timedelta(days=1))
    again = build(later)
    assert again == replace(first, build_time=later.clock())
    assert fresh.datasets.get(first.dataset_version) == again
    fresh.database.close()


def _hashes(path: Path) -> set[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return {content_hash(row["text"]) for row in csv.DictReader(file)}


def test_the_shipped_example_builds_apart_from_its_test_file(context: JobContext) -> None:
    """All of BANKING77's train.csv is built, and nothing of test.csv."""
    file = FilesSource(path=SUPPORT / "train.csv", label_column="category")
    settings = context.settings.model_copy(
        update={"tasks": {"support": TaskSettings(sources=[file])}}
    )
    result = run(replace(context, settings=settings))
    assert result["rows_in"] == 9_996
    assert result["rows_quarantined"] == 0
    rows = read_dataset(context.storage.datasets.get(result["dataset_version"]).uri)
    assert rows["label"].n_unique() == 77
    trained, tested = _hashes(SUPPORT / "train.csv"), _hashes(SUPPORT / "test.csv")
    assert result["excluded_by_rule"].keys() <= {"DUPLICATE", "NEAR_DUPLICATE", "NEAR_HELD_OUT"}
    assert len(rows) > 9_000
    assert set(rows["text_hash"]) <= trained
    assert len(tested) > 3_000
    assert not tested & trained


def test_two_builds_at_once_are_one_after_the_other(context: JobContext, source: Path) -> None:
    """Both build the same version, and each row lands once."""
    write_rows(source, [(f"text {number}", "ab"[number % 2]) for number in range(2000)])
    with ThreadPoolExecutor(4) as pool:
        built = list(pool.map(lambda _: build(context), range(4)))
    assert len(set(map(str, built))) == 1
    assert sum(built[0].outcome_counts.values()) == 2000
    assert len(list(context.settings.state_dir.glob("intake/*/*/*.parquet"))) == 1


@pytest.mark.parametrize("kilobytes", [0, 1, 20, 40, 80])
def test_a_full_disk_leaves_nothing_half_done(
    context: JobContext, source: Path, kilobytes: int
) -> None:
    """A build on a full disk publishes nothing; with free space, the next one succeeds."""
    chance = random.Random(1)
    rows = [(f"text {chance.random()} {number}", "ab"[number % 2]) for number in range(2000)]
    write_rows(source, rows)
    with _no_file_larger_than(kilobytes * 1024), pytest.raises(DataError) as caught:
        build(context)
    assert caught.value.reason == "NOT_WRITTEN"
    assert "make room" in str(caught.value)
    assert context.storage.datasets.page("support", Page()) == ([], "")
    assert not list(context.settings.state_dir.rglob(".staged-*"))
    assert sum(build(context).outcome_counts.values()) == 2000


@contextmanager
def _no_file_larger_than(size: int) -> Iterator[None]:
    """Fail writes beyond a size as on a full disk; the database is already open."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
