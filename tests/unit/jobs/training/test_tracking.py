"""The record of a training on disk."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tidemill_core.domain.dataset import DatasetVersion
from tidemill_jobs.context import RunCanceled
from tidemill_jobs.training.tracking import (
    MOST_WAITING,
    Outboxes,
    RunSubject,
    read_run,
    recorded_run,
    waiting,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DATASET = DatasetVersion(
    dataset_version="c" * 64,
    task="support",
    uri="/datasets/c",
    row_counts={"train": 9, "test": 1},
    label_counts={"card": 6, "refund": 4},
    label_source_counts={"source": 10},
    quarantine_counts={},
    create_time=NOW,
    build_time=NOW,
)
SUBJECT = RunSubject.of("r1", "onnx", DATASET)


@pytest.fixture
def outboxes(tmp_path: Path) -> Outboxes:
    """The outboxes of two trackers."""
    return Outboxes(tmp_path, "support", ("mlflow", "wandb"))


def test_each_tracker_gets_the_whole_run(outboxes: Outboxes) -> None:
    """What a training logs is in every outbox, and nothing is left elsewhere."""
    with recorded_run(outboxes, SUBJECT) as record:
        record.log_parameters({"seed": 3})
        record.log_metrics({"train_loss": 2.0}, 1)
        record.log_metrics({"final_test_accuracy": 0.9})
        record.log_artifact("plot.png", b"\x00\xff")
        record.log_release(4, "CHAMPION", b"{}")
    for tracker in outboxes.trackers:
        (path,) = waiting(outboxes.of(tracker))
        run = read_run(path)
        assert (run.subject, run.status) == (SUBJECT, "FINISHED")
        assert run.parameters == {"seed": 3}
        assert [(point.epoch, dict(point.values)) for point in run.points] == [
            (1, {"train_loss": 2.0}),
            (0, {"final_test_accuracy": 0.9}),
        ]
        assert run.artifacts == {"plot.png": b"\x00\xff", "model/manifest.json": b"{}"}
        assert (run.model_version, run.state) == (4, "CHAMPION")
        assert run.start <= run.points[0].milliseconds <= run.end
    assert len([path for path in outboxes.root.rglob("*") if path.is_file()]) == 2


@pytest.mark.parametrize(
    ("raised", "status"),
    [(ValueError("broken"), "FAILED"), (RunCanceled(), "KILLED"), (KeyboardInterrupt(), "KILLED")],
)
def test_how_a_run_ended(outboxes: Outboxes, raised: BaseException, status: str) -> None:
    """An error makes a run FAILED, and a cancellation KILLED."""
    with pytest.raises(type(raised)), recorded_run(outboxes, SUBJECT):
        raise raised
    (path,) = waiting(outboxes.of("mlflow"))
    assert read_run(path).status == status


def test_the_record_of_a_process_that_died_is_collected(outboxes: Outboxes) -> None:
    """The next run puts it into the outboxes as KILLED, without the line that was cut."""
    with recorded_run(outboxes, SUBJECT) as record:
        record.log_metrics({"train_loss": 2.0}, 1)
    (path,) = waiting(outboxes.of("mlflow"))
    died = outboxes.root / "recording" / "support" / "r0.jsonl"
    died.write_text("".join(path.read_text().splitlines(keepends=True)[:2]) + '{"millisec')
    with recorded_run(outboxes, replace(SUBJECT, run_id="r2")):
        assert not died.exists()
    run = read_run(outboxes.of("wandb") / "r0.jsonl")
    assert (run.status, len(run.points)) == ("KILLED", 1)


def test_an_outbox_is_bounded(outboxes: Outboxes) -> None:
    """The oldest runs leave an outbox that nothing is taken from."""
    for number in range(MOST_WAITING + 2):
        with recorded_run(outboxes, replace(SUBJECT, run_id=f"r{number}")):
            pass
        os.utime(outboxes.of("mlflow") / f"r{number}.jsonl", (number, number))
    kept = {path.stem for path in waiting(outboxes.of("mlflow"))}
    assert kept == {f"r{number}" for number in range(2, MOST_WAITING + 2)}
