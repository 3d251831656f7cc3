"""Start and end of the front's process."""

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.integration.server.front import BOTH_TRANSPORTS, Front, Workspace
from tests.integration.server.load import TEXT, Callers
from tests.integration.server.refusal import of, refusal
from tests.integration.server.scraping import samples, total
from tests.integration.server.test_outages import halted
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until
from tidemill.v1 import job_service_pb2
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_core.domain.job import Job

pytestmark = BOTH_TRANSPORTS
REQUEST = pb.PredictRequest(task="support", text=TEXT)


@pytest.fixture
def house(
    tmp_path: Path, frail_triton: RunningTriton, transport: str
) -> Iterator[tuple[Workspace, Front]]:
    """Return a workspace and a front for one test; Triton is shared."""
    workspace = Workspace(tmp_path, {"support": 1})
    with Front(workspace, frail_triton.grpc_address, transport=transport) as front:
        yield workspace, front


def texts_under_way(front: Front) -> float:
    """Texts that were let in, or wait to be."""
    now = samples(front)
    return total(now, "admitted_rows", task="support")


def test_calls_under_way_are_answered_before_the_end(
    house: tuple[Workspace, Front], frail_triton: RunningTriton
) -> None:
    """After SIGTERM, 40 calls and a stream are answered and stored, and the exit code is 0."""
    workspace, front = house
    front.predictions.Predict(REQUEST, timeout=5)
    item = pb.StreamPredictRequest(id="s", task="support", text=TEXT)
    with halted(frail_triton):
        calls = [front.predictions.Predict.future(REQUEST, timeout=10) for _ in range(40)]
        stream = front.predictions.StreamPredict(iter([item] * 20), timeout=10)
        wait_until(lambda: texts_under_way(front) == 60, "40 calls and 20 items are under way")
        front.process.terminate()
        time.sleep(0.4)  # it does not end meanwhile
        assert front.process.poll() is None
    answered = {call.result().prediction.prediction_id for call in calls}
    answered |= {answer.prediction.prediction_id for answer in stream}
    assert front.process.wait(10) == 0
    assert len(answered) == 60
    assert answered < workspace.stored_ids()
    assert refusal(lambda: front.predictions.Predict(REQUEST, timeout=2)).code == "UNAVAILABLE"


def test_a_drain_under_load_loses_no_answer(house: tuple[Workspace, Front], transport: str) -> None:
    """Under 32 callers, refused calls are UNAVAILABLE, and every answer is stored."""
    workspace, front = house
    children = psutil.Process(front.process.pid).children(recursive=True)
    with Callers([front], 32) as callers:
        wait_until(lambda: len(callers.load.ids) > 100, "the callers are answered")
        start = time.monotonic()
        assert front.stop() == 0
        seconds = time.monotonic() - start
    assert seconds < 5
    codes = {of(error).code for error in callers.load.failures}
    # grpcio answers CANCELLED to a call that arrives just as its server stops.
    assert codes - ({"CANCELLED"} if transport == "grpcio" else set()) == {"UNAVAILABLE"}
    assert set(callers.load.ids) == workspace.stored_ids()
    assert not [child for child in children if child.is_running()]


def test_an_open_stream_does_not_keep_the_front_alive(house: tuple[Workspace, Front]) -> None:
    """A watcher without an end is cut off after the grace period."""
    workspace, front = house
    workspace.storage.jobs.set_catalog([Job("retrain", "Trains.", "")])
    asked = job_service_pb2.RunJobRequest(job="retrain", task="support")
    run = front.jobs.RunJob(asked, timeout=5).job_run
    watch = front.jobs.WatchJobRun(job_service_pb2.WatchJobRunRequest(run_id=run.run_id))
    assert next(watch).job_run.run_id == run.run_id
    start = time.monotonic()
    assert front.stop() == 0
    assert time.monotonic() - start < 13
    assert refusal(lambda: next(watch)).code in ("UNAVAILABLE", "CANCELLED")
    assert "unexpected_error" not in front.log()


def test_a_second_front_on_the_same_port_is_refused(
    workspace: Workspace, front: Front, triton: RunningTriton, transport: str
) -> None:
    """It names the taken port and the setting, exits with 1, and the first one keeps running."""
    second = Front(workspace, triton.grpc_address, port=front.port, transport=transport)
    second.output = workspace.folder / "second.log"
    second.launch()
    assert second.process.wait(20) == 1
    assert str(front.port) in second.log()
    assert "TIDEMILL_GRPC_PORT" in second.log()
    assert "Traceback" not in second.log()
    assert front.predictions.Predict(REQUEST, timeout=5).prediction.label
