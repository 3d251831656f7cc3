"""The trackers, with their own SDKs: what they keep, and what happens while they are away."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.plugins.mlflow_store import mlflow_client, new_mlflow_store
from tests.plugins.wandb_server import WandbServer, wandb_server
from tests.unit.jobs.training.test_tracking import SUBJECT
from tidemill_core.domain.model import ModelState
from tidemill_core.settings.tracking import TrackingSettings
from tidemill_core.storage.deployments import Change
from tidemill_jobs.context import JobContext, RunCanceled
from tidemill_jobs.release import tracking
from tidemill_jobs.release.tracking import outboxes_of, send_runs, sent_afterwards
from tidemill_jobs.training.tracking import recorded_run

BLOCK, HEADER = 32768, 7


@pytest.fixture
def context(newcomer: JobContext) -> JobContext:
    """The context of a run, with an empty MLflow store."""
    new_mlflow_store(newcomer.settings.state_dir / "mlflow.db")
    return newcomer


def tracked_by(context: JobContext, *trackers: str, uri: str = "") -> JobContext:
    """Return a context with these trackers."""
    chosen = {"tracking": TrackingSettings(trackers=trackers), "mlflow_tracking_uri": uri}
    return replace(context, settings=context.settings.model_copy(update=chosen))


def record(context: JobContext, version: int = 1, run_id: str = "run1") -> None:
    """Record a training that published a version."""
    subject = replace(SUBJECT, run_id=run_id)
    with recorded_run(outboxes_of(context.settings, "support"), subject) as run:
        run.log_parameters({"seed": 3})
        run.log_metrics({"train_loss": 2.0}, 1)
        run.log_metrics({"train_loss": 1.0}, 2)
        run.log_metrics({"final_test_accuracy": 0.9})
        run.log_artifact("plot.png", b"png")
        run.log_release(version, "CHAMPION", b'{"version": 1}')


def links(context: JobContext, version: int = 1) -> Mapping[str, str]:
    """Return where the training of a version can be seen."""
    return context.storage.tracked_runs.links("support", version)


def promote(context: JobContext, version: int) -> None:
    """Make the next version the champion."""
    models, now = context.storage.models, context.clock()
    assert models.add_candidate("support", "onnx", "d", now).version == version
    models.judge("support", version, ModelState.VALIDATED, {}, "passed", now)
    models.promote("support", version, Change("test", "", "", now))


def test_mlflow_keeps_the_run_its_dataset_and_the_champion(context: JobContext) -> None:
    """Parameters, curves, files, dataset and version are there; the alias follows the champion.

    A run that was sent twice, because its first sender died at the end, is there once.
    """
    context = tracked_by(context, "mlflow")
    for version in (1, 2):
        promote(context, version)
        record(context, version, f"run{version}")
    assert send_runs(context) == {"mlflow": 0}
    client = mlflow_client(context.settings.effective_mlflow_tracking_uri)
    assert client.get_model_version_by_alias("support", "champion").tags["tidemill.version"] == "2"
    context.storage.models.rollback("support", Change("test", "", "", context.clock()))
    record(context, 1, "run1")
    assert tracking.run(context) == {"waiting": {"mlflow": 0}}
    experiment = client.get_experiment_by_name("support").experiment_id
    assert len(client.search_runs([experiment])) == 2
    registered = client.get_model_version_by_alias("support", "champion")
    assert registered.tags["tidemill.version"] == "1"
    run = client.get_run(registered.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "3"}
    assert run.data.metrics["final_test_accuracy"] == 0.9
    assert run.data.tags["dataset_version"] == SUBJECT.dataset_version
    (logged,) = run.inputs.dataset_inputs
    assert logged.dataset.digest == SUBJECT.dataset_version[:36]
    assert json.loads(logged.dataset.source) == {"uri": "file:///datasets/c"}
    assert json.loads(logged.dataset.profile)["num_rows"] == 10
    assert [(tag.key, tag.value) for tag in logged.tags] == [("mlflow.data.context", "training")]
    curve = client.get_metric_history(run.info.run_id, "train_loss")
    assert [(point.step, point.value) for point in curve] == [(1, 2.0), (2, 1.0)]
    folder = Path(links(context)["mlflow"])
    assert folder.parent.name == run.info.run_id
    assert (folder / "plot.png").read_bytes() == b"png"
    assert (folder / "model" / "manifest.json").read_bytes() == b'{"version": 1}'


def test_wandb_keeps_the_run_in_a_folder_without_a_key(
    context: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its own log says: the parameters, each epoch, the measures and the files."""
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    context = tracked_by(context, "wandb", "mlflow")
    record(context)
    assert send_runs(context) == {"wandb": 0, "mlflow": 0}
    found = links(context)
    assert set(found) == {"mlflow", "wandb"}
    folder = Path(found["wandb"])
    assert folder.is_relative_to(context.settings.state_dir / "wandb")
    (log,) = folder.glob("*.wandb")
    records = list(wandb_records(log.read_bytes()))
    (run,) = (each.run for each in records if each.WhichOneof("record_type") == "run")
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert (run.run_id, run.project, run.host) == ("run1", "tidemill", "tidemill")
    assert (config["seed"], config["dataset_version"]) == (3, SUBJECT.dataset_version)
    assert config["label_counts"] == {"card": 6, "refund": 4}
    history = [values(each.history.item) for each in records if each.HasField("history")]
    assert [(row["epoch"], row["train_loss"]) for row in history] == [(1, 2.0), (2, 1.0)]
    summary: dict[str, Any] = {}
    for each in records:
        if each.HasField("summary"):
            summary |= values(each.summary.update)
    assert (summary["final_test_accuracy"], summary["model_version"]) == (0.9, 1)
    assert (folder / "files" / "plot.png").read_bytes() == b"png"
    assert not any(each.HasField("stats") for each in records)
    with wandb_server() as server:
        monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        sync = [Path(sys.executable).with_name("wandb"), "sync", folder]
        subprocess.run(sync, check=True, capture_output=True, cwd=folder)  # it keeps a log there
        assert arrived(server) == [(1, 2.0), (2, 1.0)]


def arrived(server: WandbServer) -> list[tuple[int, float]]:
    """Return the epochs of the run that a server has got, with its file and its parameters."""
    assert server.files["plot.png"] == b"png"
    assert "dataset_version:" in server.files["config.yaml"].decode()
    rows = map(json.loads, server.streams["run1", "wandb-history.jsonl"])
    return [(row["epoch"], row["train_loss"]) for row in rows]


def values(items: Any) -> dict[str, Any]:
    """Return the values of a record's items, by name."""
    return {item.key or item.nested_key[0]: json.loads(item.value_json) for item in items}


def wandb_records(content: bytes) -> Iterator[Any]:
    """Yield the records of a .wandb file: LevelDB's log format after a header of 7 bytes."""
    from wandb.proto import wandb_internal_pb2 as pb

    assert content.startswith(b":W&B")
    place, whole = HEADER, b""
    while place + HEADER <= len(content):
        if BLOCK - place % BLOCK < HEADER:
            place += BLOCK - place % BLOCK
            continue
        length = int.from_bytes(content[place + 4 : place + 6], "little")
        kind, place = content[place + 6], place + HEADER
        whole += content[place : place + length]
        place += length
        if kind in (1, 4):  # full, or last
            yield pb.Record.FromString(whole)
            whole = b""


def test_a_failed_training_is_sent_and_a_canceled_one_waits(context: JobContext) -> None:
    """A run that failed is sent; one that someone canceled ends without a delay."""
    context = tracked_by(context, "mlflow")
    outboxes = outboxes_of(context.settings, "support")
    canceled = replace(SUBJECT, run_id="r2")
    with pytest.raises(RunCanceled), sent_afterwards(context), recorded_run(outboxes, canceled):
        raise RunCanceled
    assert len(list(outboxes.of("mlflow").glob("*.jsonl"))) == 1
    with (
        pytest.raises(ValueError, match="broken"),
        sent_afterwards(context),
        recorded_run(outboxes, SUBJECT),
    ):
        raise ValueError("broken")
    client = mlflow_client(context.settings.effective_mlflow_tracking_uri)
    experiment = client.get_experiment_by_name("support").experiment_id
    found = client.search_runs([experiment])
    states = {run.data.tags["tidemill.run_id"]: run.info.status for run in found}
    assert states == {SUBJECT.run_id: "FAILED", "r2": "KILLED"}


def in_mlflow(context: JobContext, statement: str) -> None:
    """Execute a statement in MLflow's database."""
    with closing(sqlite3.connect(context.settings.state_dir / "mlflow.db")) as database, database:
        database.execute(statement)


def test_mlflow_keeps_runs_in_a_folder_of_any_name(
    context: JobContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the folder that it starts in, MLflow makes SQL without escaping quotes."""
    folder = tmp_path / "a b 'q' \"dq\" %20"
    folder.mkdir()
    monkeypatch.chdir(folder)
    in_mlflow(context, "DELETE FROM experiments")  # a new store has none
    context = tracked_by(context, "mlflow")
    record(context)
    assert send_runs(context) == {"mlflow": 0}


def test_the_log_says_why_a_tracker_took_nothing(context: JobContext) -> None:
    """The last line of a database's error is a link, and not always the first one says it."""
    trigger = "CREATE TRIGGER full BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'no room'); END"
    in_mlflow(context, trigger)
    context = tracked_by(context, "mlflow")
    record(context)
    with capture_logs() as logs:
        assert send_runs(context) == {"mlflow": 1}
    assert [log["event"] for log in logs] == ["tracking_not_sent"]
    assert "(sqlite3.IntegrityError) no room" in logs[0]["detail"]


def test_the_log_says_that_a_tracker_took_too_long(newcomer: JobContext) -> None:
    """A sender that is stopped says nothing itself."""
    context = tracked_by(newcomer, "mlflow")
    record(context)
    with capture_logs() as logs:
        assert send_runs(context, seconds=0.0) == {"mlflow": 1}
    assert [(log["event"], log["detail"]) for log in logs] == [
        ("tracking_not_sent", "stopped after 0 s")
    ]
