"""Models' own answers in a dataset version."""

import shutil
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.contract.storage.values import prediction, verdict
from tests.integration.jobs.conftest import NOW
from tests.integration.jobs.data.building import build_with, rules_by_origin, text_on, write_rows
from tests.integration.jobs.data.erasing.requests import ask, left_over
from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.domain.split import Split
from tidemill_core.settings.training import PseudoLabelSettings
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.erasing.erase import run as erase
from tidemill_jobs.data.publishing.dataset import read_dataset
from tidemill_jobs.data.rebuild import rebuild

PSEUDO_LABELS = PseudoLabelSettings(min_confidence=0.6, days=30)
SURE, CORRECTED, KNOWN = (text_on(Split.TRAIN, start) for start in (100, 200, 300))
HELD_OUT = text_on(Split.TEST, 400)


@pytest.fixture
def answered(context: JobContext, source: Path) -> JobContext:
    """A task with two rows, and a sure answer to a text, to a held-out one and to a row's text."""
    write_rows(source, [(KNOWN, "a"), ("y", "b")])
    answers = {"sure": SURE, "held": HELD_OUT, "known": KNOWN, "corrected": CORRECTED}
    context.storage.predictions.add(
        [prediction(name, text, label="b", predict_time=NOW) for name, text in answers.items()]
    )
    context.storage.feedback.add([verdict("corrected", label="a", create_time=NOW)])
    return context


def _built(context: JobContext, settings: PseudoLabelSettings | None) -> DatasetVersion:
    return build_with(context, pseudo_labels=settings)


def test_a_sure_answer_trains(answered: JobContext) -> None:
    """The row names the answer, the version and its confidence; better labels count before it."""
    version = _built(answered, PSEUDO_LABELS)
    rows = read_dataset(version.uri)
    own = rows.filter(pl.col("label_source") == "model").drop("text_hash", "label_source")
    assert own.rows() == [(SURE, "b", 0.75, "version 1", "sure", "train")]
    assert rows.filter(text=CORRECTED)["label_source"].to_list() == ["feedback"]
    assert rows.filter(text=KNOWN)["label_source"].to_list() == ["source"]
    excluded = rules_by_origin(answered, version.dataset_version)
    assert excluded == {"held": "HELD_OUT", "known": "CORRECTED"}
    assert version.source_counts["answers"] == {"kept": 1, "left_out": 1, "merged": 1}


def test_answers_do_not_train_unless_it_is_set(answered: JobContext) -> None:
    """Without the setting no answer is in a version, also after versions that had some."""
    before = _built(answered, None)
    assert "model" not in before.label_source_counts
    assert _built(answered, PSEUDO_LABELS).label_source_counts["model"] == 1
    assert _built(answered, None).dataset_version == before.dataset_version


def test_an_answer_leaves_with_its_text(answered: JobContext) -> None:
    """A build after the text has expired, or has grown too old, has no row of it."""
    _built(answered, PSEUDO_LABELS)
    answered.storage.predictions.expire_texts("support", NOW + timedelta(seconds=1), 10)
    version = _built(answered, PSEUDO_LABELS)
    assert "model" not in version.label_source_counts
    assert rules_by_origin(answered, version.dataset_version)["sure"] == "WITHDRAWN"


def test_a_version_with_answers_comes_back_without_its_rows(answered: JobContext) -> None:
    """A rebuild gives the same rows, even after the database has lost the answers."""
    version = _built(answered, PSEUDO_LABELS)
    folder = Path(version.uri)
    for name in ("examples.parquet", "quarantine.parquet"):
        (folder / name).unlink()
    answered.storage.predictions.expire_texts("support", NOW + timedelta(seconds=1), 10)
    arguments = (answered.settings.state_dir, answered.storage.erasures, None, answered.progress)
    assert rebuild(folder, answered.datasets, *arguments) == sum(version.row_counts.values())


def test_an_erased_text_leaves_versions_with_answers(answered: JobContext) -> None:
    """No file has the text of an answer after its erasure, and it does not come back."""
    _built(answered, PSEUDO_LABELS)
    assert left_over(answered.settings.state_dir, SURE)
    ask(answered, SURE)
    erase(answered)
    answered.storage.predictions.add([prediction("again", SURE, predict_time=NOW)])
    version = _built(answered, PSEUDO_LABELS)
    assert "model" not in version.label_source_counts
    shutil.rmtree(answered.settings.state_dir / "prepared")
    files = [path for path in left_over(answered.settings.state_dir, SURE) if path.suffix != ".db"]
    assert [path for path in files if ".db-" not in path.name] == []
