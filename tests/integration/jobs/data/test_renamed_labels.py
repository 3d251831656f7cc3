"""Renamed and merged labels, from every place of a label to the dataset."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from tests.contract.storage.values import judgement, label_request, prediction, verdict
from tests.integration.jobs.data.building import build
from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.settings import FilesSource, LabelNames
from tidemill_core.storage.database import Page
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.publishing.dataset import EXAMPLES_FILE, QUARANTINE_FILE, read_dataset
from tidemill_jobs.data.rebuild import rebuild

RENAMES = {"old": "new", "one": "merged", "two": "merged"}
FUNCTIONS = """
from tidemill_jobs.labeling_functions import labeling_function

@labeling_function
def weakly(text):
    return "old" if "weak" in text else None
"""


@pytest.fixture
def everywhere(
    context: JobContext, source: Path, tmp_path: Path, correct: Callable[[str, str, str], None]
) -> JobContext:
    """Return a run for a task with old names in source, feedback, people's labels and functions."""
    source.write_text("text,label\nfirst, old \nsecond,one\nthird,two\nfourth,two\nfourth,one\n")
    (tmp_path / "unlabelled.csv").write_text("text\na weak one\n")
    correct("p1", "corrected", "old")
    context.storage.predictions.add([prediction("p2", "confirmed", label="two")])
    context.storage.feedback.add([verdict("p2", label=None, correct=True)])
    now = context.clock()
    context.storage.label_items.add([label_request("judged", text_time=now)], 1, now)
    [item], _ = context.storage.label_items.page("", (), None, Page(), now)
    context.storage.label_items.submit("support", judgement(item.label_item_id, "old"), {})
    functions = tmp_path / "labeling_functions.py"
    functions.write_text(FUNCTIONS)
    unlabelled = FilesSource(path=tmp_path / "unlabelled.csv", label_column="")
    return _with(
        context, labeling_functions=functions, sources=[*context.task_settings.sources, unlabelled]
    )


def _with(context: JobContext, **changes: object) -> JobContext:
    tasks = {context.task: context.task_settings.model_copy(update=changes)}
    return replace(context, settings=context.settings.model_copy(update={"tasks": tasks}))


def _labels(version: DatasetVersion) -> dict[str, str]:
    return dict(read_dataset(version.uri).select("text", "label").iter_rows())


def test_no_old_name_comes_into_a_dataset(everywhere: JobContext) -> None:
    """No place brings an old name into a dataset, and merged labels do not contradict."""
    before = _labels(build(everywhere))
    assert set(before.values()) == {"old", "one", "two"}
    version = build(_with(everywhere, labels=LabelNames(rename=RENAMES)))
    assert _labels(version) == {
        **dict.fromkeys(["first", "corrected", "judged", "a weak one"], "new"),
        **dict.fromkeys(["second", "third", "fourth", "confirmed"], "merged"),
    }
    assert version.quarantine_counts == {"DUPLICATE": 1}
    excluded = pl.read_parquet(Path(version.uri) / QUARANTINE_FILE)
    assert excluded["value"].to_list() == ["merged"]
    manifest = json.loads((Path(version.uri) / "manifest.json").read_text())
    assert manifest["recipe"]["settings"]["rename"] == RENAMES
    assert manifest["profile"]["agreement"] == {"texts": 1, "agreed": 1}


def test_what_was_prepared_is_used_again(everywhere: JobContext) -> None:
    """A rename prepares nothing again, and undoing it gives the old version again."""
    first = build(everywhere)
    folder = everywhere.settings.state_dir / "prepared" / "support"
    prepared = sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*.parquet"))
    assert prepared
    renamed = build(_with(everywhere, labels=LabelNames(rename=RENAMES)))
    assert sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*.parquet")) == prepared
    assert build(everywhere).dataset_version == first.dataset_version
    assert renamed.dataset_version != first.dataset_version


def test_a_rebuild_gives_labels_the_names_that_they_had(everywhere: JobContext) -> None:
    """Versions from before and after a rename keep their names in a rebuild."""
    functions = everywhere.task_settings.labeling_functions
    renamed = _with(everywhere, labels=LabelNames(rename=RENAMES))
    for version in (build(everywhere), build(renamed)):
        labels, folder = _labels(version), Path(version.uri)
        (folder / EXAMPLES_FILE).unlink()
        erasures, state_dir = everywhere.storage.erasures, everywhere.settings.state_dir
        rebuild(folder, everywhere.datasets, state_dir, erasures, functions, everywhere.progress)
        assert _labels(version) == labels
