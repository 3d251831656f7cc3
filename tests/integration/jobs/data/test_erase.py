"""The job `erase_texts`, on a real database and real files."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from tests.contract.storage.values import preference, verdict
from tests.integration.jobs.conftest import NOW
from tidemill_core.domain.split import content_hash
from tidemill_core.errors import DataError
from tidemill_core.storage.database import Page
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.build import build
from tidemill_jobs.data.dataset import read_dataset
from tidemill_jobs.data.erase import run

NAMED = "I am Ann Example"
ROWS = f'text,label\n{NAMED},a\nx,a\ny,b\n"i  AM ann example",b\n{NAMED},\n'
Correct = Callable[[str, str, str], None]


def _ask(context: JobContext, text: str = NAMED) -> None:
    context.storage.erasures.request(context.task, content_hash(text), "ann", NOW)


def _left(folder: Path) -> list[Path]:
    """Files under a folder that still have the text in them, Parquet read first."""
    found = []
    for path in folder.rglob("*"):
        if path.suffix == ".parquet":
            content = str(pl.read_parquet(path).to_dicts())
        else:
            content = path.read_bytes().decode(errors="ignore") if path.is_file() else ""
        if "ann example" in content.lower():
            found.append(path)
    return found


@pytest.fixture
def built(context: JobContext, source: Path, correct: Correct) -> JobContext:
    """A version with the text, kept, merged and quarantined; a prediction and verdicts with it."""
    source.write_text(ROWS, encoding="utf-8")
    correct("p1", f"{NAMED} ", "a")
    correct("p2", "another", "b")
    context.storage.feedback.add([verdict("p3", text=NAMED, label="a"), verdict("p4")])
    build(context)
    return context


def test_a_text_goes_from_everywhere(built: JobContext) -> None:
    """It is in no table and no file after the run, which tells where it was."""
    assert len(_left(built.settings.state_dir)) > 3
    _ask(built)
    result = run(built)
    assert result["erased_texts"] == 1
    assert (result["erased_predictions"], result["erased_feedback"]) == (1, 1)
    assert result["erased_intake"] >= 4
    assert result["erased_datasets"] >= 3
    built.storage.database.close()  # SQLite's write-ahead log is emptied
    assert _left(built.settings.state_dir) == []


def test_what_others_wrote_stays(built: JobContext) -> None:
    """Other texts are where they were."""
    (before,) = built.storage.datasets.page("support", Page())[0]
    kept = read_dataset(before.uri)
    _ask(built)
    run(built)
    left = read_dataset(before.uri)
    assert set(kept["text"]) - set(left["text"]) <= {NAMED, "i AM ann example"}
    assert {"x", "y", "another"} <= set(left["text"])
    assert built.storage.predictions.texts_and_labels(["p2"])["p2"][0] == "another"


def test_a_version_stays_whole_without_it(built: JobContext) -> None:
    """It verifies under its id, tells how many rows are gone, and what they counted as."""
    version = build(built)
    _ask(built)
    run(built)
    found = built.storage.datasets.get(version.dataset_version)
    assert found == replace(version, erased_count=1)
    rows, gone = read_dataset(found.uri), pl.read_parquet(Path(found.uri) / "erased.parquet")
    assert len(rows) + len(gone) == sum(version.row_counts.values())
    assert gone["text_hash"].to_list() == [content_hash(NAMED)]
    assert gone.columns == ["text_hash", "digest", "label", "label_source", "split"]


def test_a_tombstone_is_no_place_for_another_row(built: JobContext) -> None:
    """A version whose rows are missing without a tombstone is damaged."""
    version = build(built)
    path = Path(version.uri) / "examples.parquet"
    pl.read_parquet(path).filter(pl.col("text") != NAMED).write_parquet(path)
    with pytest.raises(DataError) as caught:
        read_dataset(version.uri)
    assert caught.value.reason == "DATASET_DAMAGED"


def test_it_does_not_come_back(built: JobContext, source: Path) -> None:
    """What comes in later with the text lands without it and is left out of the next version."""
    _ask(built)
    run(built)
    source.write_text(ROWS + "z,b\n", encoding="utf-8")
    version = build(built)
    assert "z" in set(read_dataset(version.uri)["text"])
    assert version.quarantine_counts["ERASED"] >= 2
    assert _left(built.settings.state_dir / "intake") == []
    assert _left(Path(version.uri)) == []


def test_a_text_that_cleaning_changes_is_found(context: JobContext, source: Path) -> None:
    """The text as a person knows it is asked for; the version holds what cleaning made of it."""
    text = "write to ann@example.org at cafÃ©"
    source.write_text(f"text,label\n{text},a\nx,a\ny,b\n", encoding="utf-8")
    task = context.task_settings.model_copy(update={"redact": ["email"]})
    settings = context.settings.model_copy(update={"tasks": {"support": task}})
    context = replace(context, settings=settings)
    version = build(context)
    assert "write to [EMAIL] at café" in set(read_dataset(version.uri)["text"])
    _ask(context, text)
    assert run(context)["erased_datasets"] == 1
    assert set(read_dataset(version.uri)["text"]) == {"x", "y"}


def test_a_version_of_another_workspace_is_not_recorded(built: JobContext) -> None:
    """One that was pulled here is erased from; the catalogue tells what was built here."""
    listed = built.storage.datasets.page("support", Page())
    folder = Path(listed[0][0].uri)
    pulled = shutil.copytree(folder, folder.with_name("f" * 64))
    manifest = (pulled / "manifest.json").read_text().replace(folder.name, pulled.name)
    (pulled / "manifest.json").write_text(manifest, encoding="utf-8")
    _ask(built)
    run(built)
    assert _left(pulled) == []
    (only,) = built.storage.datasets.page("support", Page())[0]
    assert only == replace(listed[0][0], erased_count=1)


def test_a_preference_goes_as_a_whole(built: JobContext) -> None:
    """A pair without one of its texts is no pair."""
    built.storage.preferences.add(preference(NAMED.upper()))
    built.storage.preferences.add(preference("A"))
    _ask(built)
    assert run(built)["erased_preferences"] == 1
    (left,) = built.storage.preferences.page("support", Page())[0]
    assert left.chosen == "A"


def test_done_is_done(built: JobContext) -> None:
    """A text is erased once; asked again, it is looked for again."""
    _ask(built)
    run(built)
    assert run(built) == {"erased_texts": 0}
    (erasure,) = built.storage.erasures.of_task("support")
    assert erasure.erase_time == NOW
    assert erasure.counts["predictions"] == 1
    _ask(built)
    assert run(built)["erased_texts"] == 1


@pytest.mark.parametrize("step", range(4))
def test_a_killed_run_is_made_good(built: JobContext, step: int) -> None:
    """Wherever it ended, the next run leaves nothing of the text."""
    _ask(built)
    told = iter(range(100))

    def stop(_done: float, _doing: str) -> None:
        if next(told) == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(replace(built, progress=stop))
    run(built)
    built.storage.database.close()
    assert _left(built.settings.state_dir) == []
