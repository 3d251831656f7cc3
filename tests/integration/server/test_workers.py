"""Two real workers on one port, restarted and killed under load."""

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator

import grpc
import pytest

from tests.integration.server.front import Workspace
from tests.integration.server.load import TEXT
from tests.plugins.stack import free_ports
from tidemill.v1 import feedback_service_pb2, feedback_service_pb2_grpc, prediction_service_pb2_grpc
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_core.settings import load_settings
from tidemill_core.supervisor import (
    ProcessState,
    Supervisor,
    metrics_folder,
    read_processes,
    read_report,
    stack_processes,
)
from tidemill_core.triton.testing import RunningTriton

RETRY = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.05s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


class Workers:
    """Two workers under a supervisor, and a port that they share."""

    def __init__(self, workspace: Workspace) -> None:
        settings = load_settings()
        specs = [spec for spec in stack_processes(settings) if spec.name.startswith("server")]
        self.state_dir = settings.state_dir
        self.address = f"127.0.0.1:{settings.grpc_port}"
        self.workspace = workspace
        scratch = [metrics_folder(self.state_dir)]
        self.supervisor = Supervisor(specs, self.state_dir, scratch=scratch)

    def until_all_run(self) -> None:
        """Wait until both answer."""
        deadline = time.monotonic() + 40
        while {one.state for one in read_processes(self.state_dir)} != {ProcessState.RUNNING}:
            self.poll(deadline)

    def poll(self, deadline: float) -> None:
        """Look after them once."""
        assert time.monotonic() < deadline, "not in time"
        self.supervisor.poll()
        time.sleep(0.05)


@pytest.fixture
def workers(
    frail_workspace: Workspace, frail_triton: RunningTriton, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workers]:
    """Two workers that answer."""
    grpc_port, metrics_port = free_ports(2)
    monkeypatch.chdir(frail_workspace.folder)
    monkeypatch.setenv("TIDEMILL_TRITON__URL", frail_triton.grpc_address)
    monkeypatch.setenv("TIDEMILL_GRPC_PORT", str(grpc_port))
    monkeypatch.setenv("TIDEMILL_METRICS_PORT", str(metrics_port))
    monkeypatch.setenv("TIDEMILL_SERVER__WORKERS", "2")
    pair = Workers(frail_workspace)
    pair.supervisor.start()
    try:
        pair.until_all_run()
        yield pair
    finally:
        pair.supervisor.hurry()
        pair.supervisor.stop()


class Caller(threading.Thread):
    """Predicts and gives a verdict, again and again, over a connection of its own."""

    def __init__(self, address: str, service_config: str = "") -> None:
        super().__init__()
        self.address, self.service_config = address, service_config
        self.stopping = threading.Event()
        self.outcomes: Counter[str] = Counter()
        self.feedback_ids: set[str] = set()

    def run(self) -> None:
        """Call until it is stopped."""
        options: list[tuple[str, str | int]] = [("grpc.use_local_subchannel_pool", 1)]
        options += [("grpc.initial_reconnect_backoff_ms", 100)]
        if self.service_config:
            options.append(("grpc.service_config", self.service_config))
        with grpc.insecure_channel(self.address, options) as channel:
            predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            feedback = feedback_service_pb2_grpc.FeedbackServiceStub(channel)
            while not self.stopping.wait(0.03):
                try:
                    self._call(predictions, feedback)
                    self.outcomes["OK"] += 1
                except grpc.RpcError as error:
                    self.outcomes[error.code().name] += 1

    def _call(
        self,
        predictions: prediction_service_pb2_grpc.PredictionServiceStub,
        feedback: feedback_service_pb2_grpc.FeedbackServiceStub,
    ) -> None:
        request = pb.PredictRequest(task="support", text=TEXT)
        answered = predictions.Predict(request, timeout=10).prediction
        verdict = feedback_service_pb2.SubmitFeedbackRequest(
            prediction_id=answered.prediction_id, correct=True
        )
        stored = feedback.SubmitFeedback(verdict, timeout=10).feedback
        self.feedback_ids.add(stored.feedback_id)


def test_a_rolling_restart_fails_no_call_even_of_callers_that_never_retry(
    workers: Workers,
) -> None:
    """Both workers are replaced under load: every call of every caller is answered."""
    callers = [Caller(workers.address, config) for config in ("", "", json.dumps(RETRY))]
    before = workers.supervisor.pids()
    for caller in callers:
        caller.start()
    try:
        time.sleep(0.5)
        assert workers.supervisor.restart()
        deadline = time.monotonic() + 90
        while not ((report := read_report(workers.state_dir)) and report.ended):
            workers.poll(deadline)
    finally:
        for caller in callers:
            caller.stopping.set()
            caller.join()
    assert report.succeeded
    assert not set(before.values()) & set(workers.supervisor.pids().values())
    assert [set(caller.outcomes) for caller in callers] == [{"OK"}] * 3


def test_a_killed_worker_loses_only_its_calls_and_nothing_acknowledged(workers: Workers) -> None:
    """After kill -9 callers see UNAVAILABLE at most, both answer again, and verdicts are kept."""
    callers = [Caller(workers.address) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        time.sleep(0.5)
        os.kill(workers.supervisor.pids()["server-1"], signal.SIGKILL)
        workers.supervisor.poll()
        began = time.monotonic()
        workers.until_all_run()
        assert time.monotonic() - began < 30
        time.sleep(0.5)
    finally:
        for caller in callers:
            caller.stopping.set()
            caller.join()
    for caller in callers:
        assert set(caller.outcomes) <= {"OK", "UNAVAILABLE"}
        assert caller.outcomes["UNAVAILABLE"] < 5
    acknowledged = set().union(*(caller.feedback_ids for caller in callers))
    with grpc.insecure_channel(workers.address) as channel:
        stub = feedback_service_pb2_grpc.FeedbackServiceStub(channel)
        request = feedback_service_pb2.ListFeedbackRequest(task="support", page_size=1000)
        kept = {each.feedback_id for each in stub.ListFeedback(request, timeout=10).feedback}
    assert acknowledged
    assert acknowledged <= kept
