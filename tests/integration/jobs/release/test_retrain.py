"""The job `retrain`, with a real Triton."""

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import rmtree
from threading import Event

import pytest

from tests.integration.jobs.release.conftest import (
    UNTRACKED,
    Loop,
    Trained,
    garbled,
    rows_of,
    write_rows,
)
from tests.plugins.mlflow_store import mlflow_client
from tests.plugins.triton import RunningTriton
from tidemill_core.domain.model import ModelState
from tidemill_core.domain.split import Split, content_hash, split_of
from tidemill_core.errors import DataError
from tidemill_core.triton.control import TritonControl
from tidemill_core.triton.server_control import ControlKeyRefused
from tidemill_jobs.context import RunCanceled
from tidemill_jobs.release.tracking import outboxes_of
from tidemill_jobs.training.tracking import read_run, waiting

CHAMPION, RETIRED, REJECTED = ModelState.CHAMPION, ModelState.RETIRED, ModelState.REJECTED
PUBLISHING = "publishing"
TRYING = "testing the candidate in Triton"


def _when(step: str, act: Callable[[], None]) -> Callable[[float, str], None]:
    """Return a progress that calls `act` when a step begins."""

    def progress(_done: float, doing: str) -> None:
        if doing == step:
            act()

    return progress


def test_round_the_loop(tracked_loop: Loop) -> None:
    """The first model answers; on the same data the second replaces it, and the first stays."""
    loop = tracked_loop
    first = loop.retrain()
    assert (first["model_version"], first["state"]) == (1, CHAMPION)
    assert loop.version(1).measures == first["measures"]
    assert loop.ready() == {1}
    _check_tracking(loop, str(first["dataset_version"]))
    second = loop.retrain(settings=loop.context.settings.model_copy(update={"tracking": UNTRACKED}))
    assert (second["model_version"], second["state"]) == (2, CHAMPION)
    assert second["dataset_version"] == first["dataset_version"]
    assert second["measures"] == first["measures"]
    assert loop.state(1) is RETIRED
    loop.reconcile()
    assert loop.ready() == {1, 2}


def _check_tracking(loop: Loop, dataset_version: str) -> None:
    """Check that MLflow has the parameters, curves, final measures and dataset."""
    client = mlflow_client(loop.context.settings.effective_mlflow_tracking_uri)
    experiment = client.get_experiment_by_name(loop.context.task)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    folder = loop.context.storage.tracked_runs.links(loop.context.task, 1)["mlflow"]
    assert run.info.artifact_uri == Path(folder).as_uri()
    champion = client.get_model_version_by_alias(loop.context.task, "champion")
    assert (champion.run_id, champion.tags["tidemill.version"]) == (run.info.run_id, "1")
    assert run.data.tags["dataset_version"] == dataset_version
    assert run.inputs is not None
    assert dataset_version in run.inputs.dataset_inputs[0].dataset.source
    assert int(run.data.params["train_rows"]) > 100
    accuracy = loop.version(1).measures["accuracy"]
    assert run.data.metrics["final_test_accuracy"] == accuracy
    curves = [name for name in run.data.metrics if not name.startswith("final_")]
    assert curves
    assert all(len(client.get_metric_history(run.info.run_id, name)) > 1 for name in curves)


def test_a_tracker_that_never_answers(tracked_loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training whose tracker is away all the time becomes champion, and its record waits."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")  # instead of 10 seconds, twice
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = tracked_loop.context.settings.model_copy(update={"mlflow_tracking_uri": uri})
        assert tracked_loop.retrain(settings=settings)["state"] == CHAMPION
    outbox = outboxes_of(tracked_loop.context.settings, tracked_loop.context.task).of("mlflow")
    (kept,) = map(read_run, waiting(outbox))
    assert (kept.status, kept.model_version) == ("FINISHED", 1)


def test_without_a_hold_out_answers_are_compared_all_the_same(loop: Loop, other: Trained) -> None:
    """Without a hold-out, a model that answers differently in Triton still fails."""
    rows = [row for row in rows_of(400) if split_of(content_hash(row[0])) is Split.TRAIN][:60]
    lines = "\n".join(f"{text},{label}" for text, label in rows)
    loop.source.write_text(f"text,label\n{lines}\n")
    first = loop.retrain()
    assert (first["state"], loop.version(1).measures["n"]) == (CHAMPION, 0)

    def replace_model() -> None:
        place = (loop.context.task, "onnx", 2)
        folder, manifest = loop.model_file(2).parent, loop.context.repository.manifest(*place)
        tokenizer = (folder / "tokenizer.json").read_text()
        rmtree(folder)
        loop.context.repository.publish(manifest, other.exported, tokenizer)

    result = loop.retrain(progress=_when(TRYING, replace_model))
    assert result["state"] == REJECTED
    assert "answered differently through Triton" in str(result["reason"])


def test_garbage_is_rejected(loop: Loop, trained: Trained) -> None:
    """A model of wrong labels is REJECTED with the reason, and unloaded."""
    loop.champion(trained)
    write_rows(loop.source, garbled)
    result = loop.retrain()
    assert (result["model_version"], result["state"]) == (2, REJECTED)
    assert "against the champion's" in loop.version(2).reason
    assert loop.version(2).reason == result["reason"]
    assert loop.state(1) is CHAMPION
    assert loop.ready() == {1}


def test_a_rejected_first_model_leaves_triton(loop: Loop) -> None:
    """A first model that knows nothing is REJECTED, and Triton serves no version of the task."""
    write_rows(loop.source, garbled, rows=600)
    result = loop.retrain()
    assert result["state"] == REJECTED
    assert "most common label" in str(result["reason"])
    assert loop.ready() == set()


def test_versions_that_the_database_has_lost(loop: Loop) -> None:
    """The number is above those of folders of either format that another database left."""
    for model_format, number in (("onnx", 3), ("torchscript", 4)):
        loop.context.repository.folder(loop.context.task, model_format, number).mkdir(parents=True)
    result = loop.retrain()
    assert (result["model_version"], result["state"]) == (5, CHAMPION)
    assert loop.ready() == {5}


def test_a_version_that_cannot_be_published(loop: Loop) -> None:
    """If a folder with its number appears meanwhile, the run fails and the version is REJECTED."""

    def take_its_place() -> None:
        loop.context.repository.folder(loop.context.task, "onnx", 1).mkdir(parents=True)

    with pytest.raises(DataError, match="exists already"):
        loop.retrain(progress=_when(PUBLISHING, take_its_place))
    assert loop.state(1) is REJECTED


def test_a_file_cut_in_half_is_rejected(loop: Loop, trained: Trained) -> None:
    """A candidate whose file was cut after its publication is REJECTED, and the run succeeds."""
    loop.champion(trained)

    def cut() -> None:
        path = loop.model_file(2)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    result = loop.retrain(progress=_when(TRYING, cut))
    assert result["state"] == REJECTED
    assert str(result["reason"]).startswith("gate loads: MODEL_LOAD_FAILED: ")
    assert loop.state(1) is CHAMPION
    assert loop.ready() == {1}


def test_triton_away(loop: Loop, trained: Trained, triton: RunningTriton) -> None:
    """Without Triton's model control the run fails, and its candidate is REJECTED."""
    loop.champion(trained)
    said: list[str] = []
    with (
        TritonControl(triton.grpc_address, "not the key") as control,
        pytest.raises(ControlKeyRefused),
    ):
        loop.retrain(triton=control, progress=lambda _done, message: said.append(message))
    assert "waiting for Triton" in said
    assert loop.state(2) is REJECTED
    refused = f"could not be tested: Triton at {triton.grpc_address} refuses the control key"
    assert loop.version(2).reason.startswith(refused)
    assert loop.state(1) is CHAMPION
    loop.reconcile()
    assert loop.ready() == {1}


def test_triton_dies_during_the_trial(loop: Loop, triton: RunningTriton) -> None:
    """A candidate is tried again once Triton is back: its death is not the model's fault."""
    died = Event()

    def die_once() -> None:
        if not died.is_set():
            triton.kill()
            died.set()

    with ThreadPoolExecutor(1) as pool:
        retraining = pool.submit(loop.retrain, progress=_when(TRYING, die_once))
        assert died.wait(120)
        triton.start()  # it would end with the thread that started it
        result = retraining.result()
    assert (result["model_version"], result["state"]) == (1, CHAMPION)


def test_a_cancelled_run_leaves_no_candidate(loop: Loop, trained: Trained) -> None:
    """A run that is stopped before its trial ends as such, and its candidate is REJECTED.

    One that an earlier run left behind when it was killed was REJECTED before it began.
    """
    left = loop.candidate(trained)

    def stop() -> None:
        assert loop.state(left.version) is REJECTED
        raise RunCanceled

    with pytest.raises(RunCanceled):
        loop.retrain(progress=_when(TRYING, stop))
    assert loop.version(left.version).reason == "its run ended before it was judged"
    assert loop.state(2) is REJECTED
    assert loop.ready() == set()
