"""MLflow tracking."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import URL

from tidemill_core.domain.dataset import DatasetVersion
from tidemill_jobs.training.tracking import TrackingConfig, tracked_run


def test_a_run_is_recorded_with_its_dataset(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Parameters, curves, measures, tags and dataset are kept in silence; errors mark the run."""
    parent, tmp_path = tmp_path, tmp_path / "a b?c#d%20[e]"
    tmp_path.mkdir()
    version = "c" * 64
    dataset = DatasetVersion(
        dataset_version=version,
        task="support",
        uri=str(tmp_path / "datasets" / version),
        row_counts={"train": 9, "test": 1},
        label_counts={"card": 6, "refund": 4},
        label_source_counts={"source": 10},
        quarantine_counts={},
        create_time=datetime(2026, 3, 1, tzinfo=UTC),
        build_time=datetime(2026, 3, 1, tzinfo=UTC),
    )
    Path(dataset.uri).mkdir(parents=True)
    config = TrackingConfig(
        URL.create("sqlite+pysqlite", database=str(tmp_path / "mlflow.db")).render_as_string(),
        tmp_path / "artifacts",
        "support",
        "onnx",
        dataset,
    )
    with tracked_run(config) as tracker:
        tracker.log_parameters({"seed": 3})
        tracker.log_metrics({"train_loss": 2.0}, 1)
        tracker.log_metrics({"train_loss": 1.0}, 2)
        tracker.log_metrics({"final_test_accuracy": 0.9})
        tracker.log_artifact("plot.png", b"pixels")
    with pytest.raises(ValueError, match="broken"), tracked_run(config) as failed:
        raise ValueError("broken")
    assert capfd.readouterr() == ("", "")

    from mlflow.data import get_source
    from mlflow.tracking import MlflowClient

    client = MlflowClient(config.tracking_uri)
    run = client.get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["seed"] == "3"
    assert run.data.metrics["final_test_accuracy"] == 0.9
    assert run.data.tags["dataset_version"] == version
    assert run.inputs is not None
    (logged,) = run.inputs.dataset_inputs
    assert (logged.dataset.name, logged.dataset.digest) == ("support", version[:36])
    assert get_source(logged).load() == dataset.uri
    assert json.loads(logged.dataset.profile)["num_rows"] == 10
    assert [(tag.key, tag.value) for tag in logged.tags] == [("mlflow.data.context", "training")]
    curve = client.get_metric_history(tracker.run_id, "train_loss")
    assert [(point.step, point.value) for point in curve] == [(1, 2.0), (2, 1.0)]
    assert client.get_run(failed.run_id).info.status == "FAILED"
    (plot,) = config.artifact_folder.rglob("plot.png")
    assert plot.read_bytes() == b"pixels"
    client.log_text(tracker.run_id, "kept", "note.txt")
    (note,) = config.artifact_folder.rglob("note.txt")
    assert note.read_text() == "kept"
    assert list(parent.iterdir()) == [tmp_path]
