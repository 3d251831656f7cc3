"""The job `check_drift` on stored texts: the model's representation, and new topics."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

import polars as pl
import pytest

from tests.contract.storage.values import dataset, prediction
from tests.integration.jobs.conftest import NOW
from tests.integration.server.models import LABELS, LENGTH, WORDS, TinyModel, tokenizer_json
from tidemill_core.domain.model import ModelState
from tidemill_core.model_repository import ModelManifest
from tidemill_core.storage.deployments import Change
from tidemill_core.text import TextEncoder
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.monitoring.drift.check import run
from tidemill_jobs.monitoring.drift.reference import count_pieces, count_reference

ROWS = 400
MODEL = TinyModel(3)
ENCODER = TextEncoder(tokenizer_json(), LENGTH)
Answer = Callable[[Sequence[str]], None]


def known_texts(seed: int) -> list[str]:
    """Return texts of words that the model knows, except the one that makes it fail."""
    random = Random(seed)
    words = [word for word in WORDS if word != "poison"]
    return [" ".join(random.choices(words, k=random.randint(3, 6))) for _ in range(ROWS)]


def answers(texts: Sequence[str]) -> tuple[list[str], list[float]]:
    """Return the model's labels and confidences."""
    found = MODEL.offline(texts)
    return [LABELS[place] for place in found.argmax(axis=1)], found.max(axis=1).tolist()


@pytest.fixture
def rows(newcomer: JobContext) -> Path:
    """The Parquet file of a dataset version, whose hold-out was answered by the model."""
    folder = newcomer.datasets.folder("support", "d" * 64)
    splits = {"train": known_texts(1), "test": known_texts(2)}
    frames = [
        pl.DataFrame({"text": texts, "split": split, "label_source": "source"})
        for split, texts in splits.items()
    ]
    folder.mkdir(parents=True)
    pl.concat(frames).write_parquet(folder / "examples.parquet")
    return folder / "examples.parquet"


@pytest.fixture
def context(newcomer: JobContext, rows: Path) -> JobContext:
    """A run for the task support, whose champion is the tiny model."""
    storage, held_out = newcomer.storage, known_texts(2)
    version = replace(dataset("d" * 64), task="support", uri=str(rows.parent))
    storage.datasets.add(version)
    storage.models.add_candidate("support", "onnx", version.dataset_version, NOW)
    manifest = ModelManifest(
        task="support",
        version=1,
        model_format="onnx",
        labels=LABELS,
        sequence_length=LENGTH,
        vocabulary_size=len(WORDS) + 2,
        temperature=1.0,
        measures={"accuracy": 0.9},
        reference=count_reference(LABELS, *answers(held_out), *count_pieces(held_out, ENCODER)),
        dataset_version=version.dataset_version,
        run_id="training",
        create_time=NOW.isoformat(),
    )
    newcomer.repository.publish(manifest, MODEL.onnx(), tokenizer_json())
    storage.models.judge("support", 1, ModelState.VALIDATED, manifest.measures, "passed", NOW)
    storage.models.promote("support", 1, Change("test", "", "", NOW))
    return newcomer


@pytest.fixture
def answer(newcomer: JobContext) -> Answer:
    """Store the model's answers to texts."""

    def store(texts: Sequence[str]) -> None:
        pieces = zip(*count_pieces(texts, ENCODER), strict=True)
        rows = zip(texts, *answers(texts), pieces, strict=True)
        newcomer.storage.predictions.add(
            [
                prediction(
                    f"p{number}",
                    text,
                    label=label,
                    confidence=confidence,
                    text_length=length,
                    unknown_pieces=unknown,
                    predict_time=NOW - timedelta(hours=1),
                )
                for number, (text, label, confidence, (length, unknown)) in enumerate(rows)
            ]
        )

    return store


def signal(result: Result, name: str) -> dict[str, object]:
    """Return what a report says about a signal."""
    [found] = [each for each in result["signals"] if each["signal"] == name]
    return found


def test_texts_like_those_of_the_hold_out_are_ok(context: JobContext, answer: Answer) -> None:
    """All five signals are measured, and none drifted; a repeat says the same."""
    answer(known_texts(3))
    first, second = dict(run(context)), dict(run(context))
    assert first["verdict"] == "OK"
    assert [each["signal"] for each in first["signals"] if each["p_value"] is not None] == [
        *("label", "confidence", "text_length", "unknown_pieces", "representation")
    ]
    assert first["new_topics"] == []
    assert first.pop("report_id") != second.pop("report_id")
    assert first == second == json.loads(json.dumps(first))


def test_a_new_topic_is_named(context: JobContext, answer: Answer) -> None:
    """Texts of unknown words move the unknown pieces and the representation, and are a topic."""
    texts = known_texts(3)
    texts[:60] = [f"bitcoin wallet {number}" for number in range(60)]
    answer(texts)
    result = run(context)
    assert result["verdict"] == "ALERT"
    for name in ("unknown_pieces", "representation"):
        found = signal(result, name)
        assert found["drifted"]
        stored = map(context.storage.predictions.get, found["example_prediction_ids"])
        assert any(each is not None and "bitcoin" in each.text for each in stored)
    [topic] = result["new_topics"]
    assert set(topic["terms"]) == {"bitcoin", "wallet"}
    assert topic["row_count"] == 60
    assert topic["share"] == pytest.approx(60 / ROWS)


def test_a_topic_stays_new_until_someone_labels_it(
    context: JobContext, answer: Answer, rows: Path
) -> None:
    """Texts that only a model labeled in training do not make a topic familiar."""
    texts = known_texts(3)
    texts[:60] = [f"bitcoin wallet {number}" for number in range(60)]
    answer(texts)
    before, learned = pl.read_parquet(rows), [f"bitcoin wallet {number}" for number in range(99)]
    own = pl.DataFrame({"text": learned, "split": "train", "label_source": "model"})
    pl.concat([own, before]).write_parquet(rows)
    assert signal(run(context), "representation")["drifted"]
    pl.concat([own.with_columns(label_source=pl.lit("human")), before]).write_parquet(rows)
    assert run(context)["new_topics"] == []


def test_longer_texts_are_drift(context: JobContext, answer: Answer) -> None:
    """Texts of the same words that are longer than before move the text length."""
    answer([f"{text} {text}" for text in known_texts(3)])
    assert signal(run(context), "text_length")["drifted"]


def test_without_texts_the_other_signals_are_judged(context: JobContext, answer: Answer) -> None:
    """A task that stores no texts has no representation, and the report says so."""
    answer(known_texts(3))
    assert context.storage.predictions.expire_texts("support", NOW, ROWS) == ROWS
    result = run(context)
    assert result["verdict"] == "OK"
    found = signal(result, "representation")
    assert (found["p_value"], found["bins"], found["drifted"]) == (None, [], False)
    assert found["note"] == "0 predictions with a stored text; 200 are needed"
    assert signal(result, "text_length")["row_count"] == ROWS


def test_the_regions_of_a_version_stay(context: JobContext, answer: Answer, rows: Path) -> None:
    """Later checks count in the regions of the first one, also if the dataset's rows are gone."""
    answer(known_texts(3))
    first = signal(run(context), "representation")
    rows.unlink()
    assert signal(run(context), "representation") == first
    erasures = context.storage.erasures
    erasures.finish(erasures.request("support", "a hash", "ann", NOW), NOW)
    assert signal(run(context), "representation")["p_value"] is None


def test_without_its_dataset_a_version_has_no_representation(
    context: JobContext, answer: Answer, rows: Path
) -> None:
    """Rows that were removed since are no error, and the report says so."""
    answer(known_texts(3))
    rows.unlink()
    assert signal(run(context), "representation")["note"] == (
        "the rows of the version's dataset version are gone"
    )
