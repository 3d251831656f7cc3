"""Feedback on predictions in addition to a task's source, and built dataset versions."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.contract.storage.values import verdict
from tests.integration.jobs.conftest import NOW
from tests.integration.jobs.data.building import build
from tests.integration.jobs.data.erasing.requests import NAMED, ROWS
from tests.integration.jobs.data.three_versions import FIRST, SECOND, Tidemill
from tidemill_cli.main import run
from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.domain.feedback import Feedback
from tidemill_core.domain.prediction import Prediction
from tidemill_jobs.context import JobContext


@pytest.fixture
def correct(context: JobContext) -> Callable[[str, str, str], None]:
    """Return a function that stores a prediction and the label that a user gave it."""

    def store(prediction_id: str, text: str, label: str) -> None:
        context.storage.predictions.add([_prediction(prediction_id, text)])
        context.storage.feedback.add([_verdict(prediction_id, label)])

    return store


def _prediction(prediction_id: str, text: str) -> Prediction:
    return Prediction(
        prediction_id=prediction_id,
        task="support",
        model_version=1,
        text=text,
        label="predicted",
        confidence=0.5,
        scores=(),
        abstained=False,
        method="Predict",
        request_id="",
        routing_key="",
        attributes={},
        propensity=1.0,
        latency_ms=1.0,
        predict_time=NOW,
    )


def _verdict(prediction_id: str, label: str) -> Feedback:
    return Feedback(
        feedback_id=f"feedback-{prediction_id}",
        prediction_id=prediction_id,
        task="support",
        model_version=1,
        correct=None,
        label=label,
        source="user",
        comment="",
        request_id="",
        create_time=NOW,
    )


@pytest.fixture
def built(
    context: JobContext, source: Path, correct: Callable[[str, str, str], None]
) -> JobContext:
    """Return a run with a version that has the text kept, merged and quarantined, and verdicts."""
    source.write_text(ROWS, encoding="utf-8")
    correct("p1", f"{NAMED} ", "a")
    correct("p2", "another", "b")
    context.storage.feedback.add([verdict("p3", text=NAMED, label="a"), verdict("p4")])
    build(context)
    return context


@pytest.fixture
def versions(context: JobContext, source: Path, tmp_path: Path) -> list[DatasetVersion]:
    """Return three versions, built on consecutive days in 2020; the last has one row more."""
    (tmp_path / "tidemill.toml").write_text(
        '[tasks.support]\n[[tasks.support.sources]]\npath = "train.csv"\n', encoding="utf-8"
    )
    built = []
    third = SECOND + "one row more than before,card\n"
    for day, content in enumerate((FIRST, SECOND, third), start=1):
        source.write_text(content, encoding="utf-8")
        moment = datetime(2020, 1, day, tzinfo=UTC)
        built.append(build(replace(context, clock=lambda moment=moment: moment)))
    return built


@pytest.fixture
def tidemill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Tidemill:
    """Return a function that runs `tidemill datasets`, and gives its output or its stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments: str, ends_with: int = 0) -> str:
        capsys.readouterr()
        code = run(["datasets", *arguments])
        printed = capsys.readouterr()
        assert code == ends_with, printed
        return printed.err if ends_with else printed.out

    return call
