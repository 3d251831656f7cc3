"""A full disk, which ends no process and loses no prediction."""

import os
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest

from tests.integration.server.front import Workspace
from tests.integration.server.refusal import refusal, words
from tests.integration.server.workers import Workers, running
from tests.plugins.small_disk import clear, fill, mounted
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until
from tidemill.v1.feedback_service_pb2 import SubmitFeedbackRequest
from tidemill.v1.feedback_service_pb2_grpc import FeedbackServiceStub
from tidemill.v1.prediction_service_pb2 import (
    BatchPredictRequest,
    PredictRequest,
    StreamPredictRequest,
)
from tidemill.v1.prediction_service_pb2_grpc import PredictionServiceStub
from tidemill_core.settings import load_settings

TEXT = "my card is lost"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """Return a workspace on a small disk, with its models elsewhere."""
    with mounted(tmp_path / "var"):
        yield Workspace(tmp_path, {"support": 1})


@pytest.fixture
def workers(workspace: Workspace, frail_triton: RunningTriton) -> Iterator[Workers]:
    """Yield two workers and the jobs, with all their files on the small disk."""
    with running(workspace, frail_triton, ("server", "jobs")) as pair:
        yield pair


def kill_one(workers: Workers) -> None:
    """Kill a worker, and wait until another one answers in its place."""
    old = workers.supervisor.pids()["server-1"]
    os.kill(old, signal.SIGKILL)
    wait_until(workers.supervisor.poll, "the supervisor sees the death")

    def another_listens() -> bool:
        assert workers.supervisor.poll() == []
        pid = workers.supervisor.pids().get("server-1")
        return pid not in (None, old) and bool(psutil.Process(pid).net_connections("tcp"))

    wait_until(another_listens, "another worker listens")


def watch(workers: Workers, seconds: float) -> None:
    """Supervise the workers like `tidemill up`; none of them may end."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert workers.supervisor.poll() == []
        time.sleep(0.05)


def test_a_full_disk_costs_no_prediction_and_no_process(
    workers: Workers, workspace: Workspace
) -> None:
    """While nothing can be written all are answered; once there is room all is stored.

    A verdict is refused meanwhile, for it counts as given only once it is stored.
    """
    port = load_settings().metrics_port
    with grpc.insecure_channel(workers.address) as channel:
        predictions, feedback = PredictionServiceStub(channel), FeedbackServiceStub(channel)
        request = BatchPredictRequest(task="support", texts=[TEXT] * 100)
        answers = [predictions.BatchPredict(request, timeout=30)]
        watch(workers, 1)
        fill(workers.state_dir)
        kill_one(workers)  # with nothing in memory that a SIGKILL would lose
        # These are the first of their method, so the metrics' files grow.
        singles = [predictions.Predict(PredictRequest(task="support", text=TEXT), timeout=30)]
        item = StreamPredictRequest(task="support", text=TEXT)
        singles += predictions.StreamPredict(iter([item]), timeout=30)
        for number in range(12):
            fill(workers.state_dir)
            answers.append(predictions.BatchPredict(request, timeout=30))
            verdict = SubmitFeedbackRequest(
                prediction_id=answers[0].results[number].prediction.prediction_id, correct=True
            )
            given = feedback.SubmitFeedback.future(verdict, timeout=30)
            assert words(refusal(given.result))[0] == "UNAVAILABLE"
            watch(workers, 0.3)
        page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30).read()
        assert b"tidemill_predictions_total" in page
        clear(workers.state_dir)
        answered = {r.prediction.prediction_id for answer in answers for r in answer.results}
        answered |= {one.prediction.prediction_id for one in singles}
        assert len(answered) == 1302
        end = time.monotonic() + 60
        while workspace.stored_ids() != answered:
            assert time.monotonic() < end, len(answered - workspace.stored_ids())
            watch(workers, 0.1)
        assert workspace.storage.feedback.latest_verdicts("support") == []
        feedback.SubmitFeedback(verdict, timeout=30)
        assert len(workspace.storage.feedback.latest_verdicts("support")) == 1
    assert not list(workspace.spool.iterdir())
