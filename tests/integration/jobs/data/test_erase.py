"""The job `erase_texts`, on a real database and real files."""

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import delete

from tests.contract.storage.values import (
    judgement,
    label_request,
    prediction,
    preference,
    verdict,
)
from tests.integration.jobs.conftest import NOW
from tidemill_core.dataset_folder import version_folders
from tidemill_core.domain.split import content_hash
from tidemill_core.errors import DataError
from tidemill_core.storage.database import Page
from tidemill_core.storage.label_leases import LeaseRequest
from tidemill_core.storage.schema import dataset_versions
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.build import build
from tidemill_jobs.data.dataset import read_dataset
from tidemill_jobs.data.erase import run
from tidemill_jobs.data.intake import Intake

NAMED = "I am Ann Example"
ROWS = f'text,label\n{NAMED},a\nx,a\ny,b\n"i  AM ann example",b\n{NAMED},\n'
Correct = Callable[[str, str, str], None]


def _ask(context: JobContext, text: str = NAMED) -> None:
    context.storage.erasures.request(context.task, content_hash(text), "ann", NOW)


def _left(folder: Path, text: str = "ann example") -> list[Path]:
    """Files under a folder that still have the text in them, Parquet read first."""
    found = []
    for path in folder.rglob("*"):
        if path.suffix == ".parquet":
            content = str(pl.read_parquet(path).to_dicts())
        else:
            content = path.read_bytes().decode(errors="ignore") if path.is_file() else ""
        if text in content.lower():
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


RAW = "write to ann@example.org at cafÃ©"
CLEANED = "write to [EMAIL] at café"


def _redacting(context: JobContext, *kinds: str) -> JobContext:
    task = context.task_settings.model_copy(update={"redact": list(kinds)})
    settings = context.settings.model_copy(update={"tasks": {"support": task}})
    return replace(context, settings=settings)


@pytest.fixture
def redacted(context: JobContext, source: Path) -> JobContext:
    """A task that replaces e-mail addresses, and a version of it."""
    source.write_text(f"text,label\n{RAW},a\nx,a\ny,b\n", encoding="utf-8")
    context = _redacting(context, "email")
    assert CLEANED in set(read_dataset(build(context).uri)["text"])
    return context


def _published(context: JobContext) -> set[str]:
    """The texts of all versions."""
    versions, _ = context.storage.datasets.page("support", Page())
    return {text for version in versions for text in read_dataset(version.uri)["text"]}


@pytest.mark.parametrize("asked", [RAW, CLEANED])
def test_a_text_that_cleaning_changed_is_found(redacted: JobContext, asked: str) -> None:
    """As it came and as it was cleaned, whichever of them is asked for."""
    redacted.storage.predictions.add([prediction("p1", text=RAW)])
    _ask(redacted, asked)
    result = run(redacted)
    assert (result["erased_datasets"], result["erased_intake"]) == (1, 1)
    assert result["erased_predictions"] == 1
    assert _published(redacted) == {"x", "y"}


@pytest.mark.parametrize("asked", [RAW, CLEANED])
def test_a_version_that_was_cleaned_otherwise_is_found(redacted: JobContext, asked: str) -> None:
    """The settings that its manifest names count, not today's."""
    _ask(redacted, asked)
    run(_redacting(redacted))
    assert _published(redacted) == {"x", "y"}


def test_a_cleaned_text_does_not_come_back_as_a_label(redacted: JobContext) -> None:
    """People were shown the cleaned text; it is one of the text's forms wherever it lands."""
    storage = redacted.storage
    storage.label_items.add([label_request(CLEANED)], 1, NOW)
    wish = LeaseRequest("support", "bob", 1, NOW + timedelta(minutes=5))
    ([item], _) = storage.label_items.lease(wish, NOW)
    storage.label_items.submit("support", judgement(item.label_item_id, "b"))
    build(redacted)
    _ask(redacted, RAW)
    assert run(redacted)["erased_label_items"] == 1
    build(redacted)
    assert _published(redacted) == {"x", "y"}
    storage.database.close()
    assert _left(redacted.settings.state_dir, "write to") == []


def test_a_preference_goes_as_a_whole(built: JobContext) -> None:
    """A pair without one of its texts is no pair."""
    built.storage.preferences.add(preference(NAMED.upper()))
    built.storage.preferences.add(preference("A"))
    _ask(built)
    assert run(built)["erased_preferences"] == 1
    (left,) = built.storage.preferences.page("support", Page())[0]
    assert left.chosen == "A"


def test_what_comes_in_after_goes_too(built: JobContext) -> None:
    """A prediction that waited in the spool, say: each night's run looks for it."""
    _ask(built)
    run(built)
    built.storage.predictions.add([prediction("late", text=NAMED)])
    assert run(built)["erased_predictions"] == 1


def test_a_build_that_waited_knows_what_was_asked_meanwhile(
    context: JobContext, source: Path
) -> None:
    """It lands no text that was erased while it waited for its turn."""
    source.write_text(ROWS, encoding="utf-8")
    with ExitStack() as other_build:
        folder = context.settings.state_dir / "intake" / "support"
        other_build.enter_context(Intake(folder).locked(context.progress))

        def ask(_done: float, doing: str) -> None:
            if doing.startswith("waits"):
                _ask(context)
                other_build.close()

        build(replace(context, progress=ask))
    assert _left(context.settings.state_dir / "intake") == []


def test_one_damaged_place_keeps_no_other(built: JobContext, source: Path) -> None:
    """All else is erased, the error names the places, and the request stays open until it is."""
    source.write_text(ROWS + "z,b\n", encoding="utf-8")
    build(built)
    datasets = built.settings.state_dir / "datasets" / "support"
    (datasets / "backup").mkdir()
    first, second = (datasets / each.name for each in version_folders(datasets.parent))
    (first / "examples.parquet").write_bytes(b"PAR1")
    broken = built.settings.state_dir / "intake" / "support" / "broken" / "000001.parquet"
    broken.parent.mkdir()
    broken.write_bytes(b"PAR1")
    _ask(built)
    with pytest.raises(DataError) as caught:
        run(built)
    assert str(first) in str(caught.value)
    assert str(broken) in str(caught.value)
    assert built.storage.erasures.of_task("support")[0].erase_time is None
    built.storage.database.close()
    broken.unlink()
    shutil.rmtree(first)
    assert _left(built.settings.state_dir) == []
    assert len(read_dataset(str(second)))
    assert run(built)["erased_texts"] == 1


def test_what_was_erased_elsewhere_is_found_by_its_place(built: JobContext) -> None:
    """A version that could not be written is made good, though the intake has no text any more."""
    (folder,) = version_folders(built.settings.state_dir / "datasets")
    examples = folder / "examples.parquet"
    whole = examples.read_bytes()
    examples.write_bytes(b"PAR1")
    _ask(built)
    with pytest.raises(DataError):
        run(built)
    examples.write_bytes(whole)
    run(built)
    built.storage.database.close()
    assert _left(built.settings.state_dir) == []


def test_a_version_from_elsewhere_stays_out_of_the_catalogue(built: JobContext) -> None:
    """`dvc pull` may have brought it; it is no newer than what was built here."""
    with built.storage.database.write() as connection:
        connection.execute(delete(dataset_versions))
    _ask(built)
    run(built)
    assert built.storage.datasets.page("support", Page())[0] == []


def test_what_nobody_uses_goes(built: JobContext) -> None:
    """What a killed build left, and what was prepared of a source that was removed."""
    state = built.settings.state_dir
    staged = state / "datasets" / "support" / ".staged-1" / "examples.parquet"
    staged.parent.mkdir()
    staged.write_text(NAMED, encoding="utf-8")
    shutil.rmtree(state / "intake" / "support" / "feedback")
    _ask(built)
    run(built)
    built.storage.database.close()
    assert _left(state) == []


def test_a_text_that_was_refused_is_found(context: JobContext, source: Path) -> None:
    """Feedback with another text than was predicted keeps it as the value of its row."""
    source.write_text("text,label\nx,a\ny,b\n", encoding="utf-8")
    context.storage.predictions.add([prediction("p1", text="another")])
    context.storage.feedback.add([verdict("p1", text=NAMED)])
    assert build(context).quarantine_counts["TEXT_MISMATCH"] == 1
    _ask(context)
    run(context)
    context.storage.database.close()
    assert _left(context.settings.state_dir) == []


def test_done_is_done(built: JobContext) -> None:
    """A text is erased once; asked again, it is looked for again."""
    _ask(built)
    run(built)
    assert not any(run(built).values())
    (erasure,) = built.storage.erasures.of_task("support")
    assert erasure.erase_time == NOW
    assert erasure.counts["predictions"] == 1
    _ask(built)
    assert run(built)["erased_texts"] == 1


@pytest.mark.parametrize("step", [0, 2, 5, 8])
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
