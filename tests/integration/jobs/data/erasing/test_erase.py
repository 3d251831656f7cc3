"""The job `erase_texts`, on a real database and real files."""

import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from tests.contract.storage.values import (
    prediction,
    preference,
    verdict,
)
from tests.integration.jobs.conftest import NOW
from tests.integration.jobs.data.building import build
from tests.integration.jobs.data.erasing.requests import NAMED, ROWS, ask, left_over
from tidemill_core.domain.split import content_hash
from tidemill_core.errors import DataError
from tidemill_core.storage.database import Page
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.erasing.erase import run
from tidemill_jobs.data.publishing.dataset import read_dataset


def test_a_text_goes_from_everywhere(built: JobContext) -> None:
    """No table and no file has the text after the run, which reports where it was."""
    assert len(left_over(built.settings.state_dir)) > 3
    ask(built)
    result = run(built)
    assert result["erased_texts"] == 1
    assert (result["erased_predictions"], result["erased_feedback"]) == (1, 1)
    assert result["erased_intake"] >= 4
    assert result["erased_datasets"] >= 3
    built.storage.database.close()  # SQLite's write-ahead log is emptied
    assert left_over(built.settings.state_dir) == []


def test_what_a_model_made_of_training_texts_goes_too(built: JobContext) -> None:
    """The task's regions of drift are removed, because the text may be among them."""
    for task in ("support", "other"):
        built.storage.drift_regions.add(task, 1, b"regions", (0, 0))
    ask(built)
    run(built)
    found = [built.storage.drift_regions.get(task, 1) for task in ("support", "other")]
    assert found == [None, b"regions"]


def test_what_others_wrote_stays(built: JobContext) -> None:
    """Other texts stay."""
    (before,) = built.storage.datasets.page("support", Page())[0]
    kept = read_dataset(before.uri)
    ask(built)
    run(built)
    left = read_dataset(before.uri)
    assert set(kept["text"]) - set(left["text"]) <= {NAMED, "i AM ann example"}
    assert {"x", "y", "another"} <= set(left["text"])
    assert built.storage.predictions.texts_and_labels(["p2"])["p2"][0] == "another"


def test_a_version_stays_whole_without_it(built: JobContext) -> None:
    """The version verifies under its id, and reports the number and counts of erased rows."""
    version = build(built)
    ask(built)
    run(built)
    found = built.storage.datasets.get(version.dataset_version)
    assert found == replace(version, erased_count=1)
    rows, gone = read_dataset(found.uri), pl.read_parquet(Path(found.uri) / "erased.parquet")
    assert len(rows) + len(gone) == sum(version.row_counts.values())
    assert gone["text_hash"].to_list() == [content_hash(NAMED)]
    assert gone.columns == ["text_hash", "digest", "label", "label_source", "split"]


def test_a_tombstone_is_no_place_for_another_row(built: JobContext) -> None:
    """A version with missing rows that have no tombstone is damaged."""
    version = build(built)
    path = Path(version.uri) / "examples.parquet"
    pl.read_parquet(path).filter(pl.col("text") != NAMED).write_parquet(path)
    with pytest.raises(DataError) as caught:
        read_dataset(version.uri)
    assert caught.value.reason == "DATASET_DAMAGED"


def test_it_does_not_come_back(built: JobContext, source: Path) -> None:
    """Later rows with the text land without it and are left out of the next version."""
    ask(built)
    run(built)
    source.write_text(ROWS + "z,b\n", encoding="utf-8")
    version = build(built)
    assert "z" in set(read_dataset(version.uri)["text"])
    assert version.quarantine_counts["ERASED"] >= 2
    assert left_over(built.settings.state_dir / "intake") == []
    assert left_over(Path(version.uri)) == []


def test_a_version_of_another_workspace_is_not_recorded(built: JobContext) -> None:
    """The job erases from a pulled version, but does not add it to the catalog."""
    listed = built.storage.datasets.page("support", Page())
    folder = Path(listed[0][0].uri)
    pulled = shutil.copytree(folder, folder.with_name("f" * 64))
    manifest = (pulled / "manifest.json").read_text().replace(folder.name, pulled.name)
    (pulled / "manifest.json").write_text(manifest, encoding="utf-8")
    ask(built)
    run(built)
    assert left_over(pulled) == []
    (only,) = built.storage.datasets.page("support", Page())[0]
    assert only == replace(listed[0][0], erased_count=1)


def test_a_preference_goes_as_a_whole(built: JobContext) -> None:
    """A pair is removed if one of its texts is erased."""
    built.storage.preferences.add(preference(NAMED.upper()))
    built.storage.preferences.add(preference("A"))
    ask(built)
    assert run(built)["erased_preferences"] == 1
    (left,) = built.storage.preferences.page("support", Page())[0]
    assert left.chosen == "A"


def test_what_comes_in_after_goes_too(built: JobContext) -> None:
    """Each night's run finds later texts, such as a prediction that waited in the spool."""
    ask(built)
    run(built)
    built.storage.predictions.add([prediction("late", text=NAMED)])
    assert run(built)["erased_predictions"] == 1


def test_a_text_that_was_refused_is_found(context: JobContext, source: Path) -> None:
    """Feedback with a text other than the predicted one has that text in its row's value."""
    source.write_text("text,label\nx,a\ny,b\n", encoding="utf-8")
    context.storage.predictions.add([prediction("p1", text="another")])
    context.storage.feedback.add([verdict("p1", text=NAMED)])
    assert build(context).quarantine_counts["TEXT_MISMATCH"] == 1
    ask(context)
    run(context)
    context.storage.database.close()
    assert left_over(context.settings.state_dir) == []


def test_done_is_done(built: JobContext) -> None:
    """A text is erased once; a second request searches for it again."""
    ask(built)
    run(built)
    assert not any(run(built).values())
    (erasure,) = built.storage.erasures.of_task("support")
    assert erasure.erase_time == NOW
    assert erasure.counts["predictions"] == 1
    ask(built)
    assert run(built)["erased_texts"] == 1
