"""Two real workers on one port, restarted and killed under load."""

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.integration.server.certificates import Authority
from tests.integration.server.front import Workspace
from tests.integration.server.load import TEXT
from tests.integration.server.workers import Workers, running
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until
from tidemill.v1 import feedback_service_pb2, feedback_service_pb2_grpc, prediction_service_pb2_grpc
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_core.supervisor import read_report

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


@pytest.fixture
def workers(frail_workspace: Workspace, frail_triton: RunningTriton) -> Iterator[Workers]:
    """Yield two workers over the workspace for outages."""
    with running(frail_workspace, frail_triton) as pair:
        yield pair


class Caller(threading.Thread):
    """A caller that predicts and gives a verdict repeatedly, over its own connection."""

    def __init__(self, address: str, service_config: str = "", roots: bytes = b"") -> None:
        super().__init__()
        self.roots = roots
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
        with _channel(self.address, options, self.roots) as channel:
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


def _channel(address: str, options: list[tuple[str, str | int]], roots: bytes) -> grpc.Channel:
    """Open a channel, with TLS if there are roots to trust."""
    if not roots:
        return grpc.insecure_channel(address, options)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(roots), options)


def until_answered(callers: list[Caller]) -> None:
    """Wait until each caller has had some more answers."""
    asked = [caller.outcomes["OK"] for caller in callers]
    wait_until(
        lambda: all(c.outcomes["OK"] > n + 5 for c, n in zip(callers, asked, strict=True)),
        "every caller is answered",
        10,
    )


def test_a_rolling_restart_fails_no_call_even_of_callers_that_never_retry(
    workers: Workers,
) -> None:
    """Both workers are replaced under load, and every call is answered."""
    callers = [Caller(workers.address, config) for config in ("", "", json.dumps(RETRY))]
    before = workers.supervisor.pids()
    for caller in callers:
        caller.start()
    try:
        until_answered(callers)
        assert workers.supervisor.restart()
        workers.wait_until(
            lambda: (found := read_report(workers.state_dir)) and found.ended,
            "the restart is over",
            90,
        )
    finally:
        for caller in callers:
            caller.stopping.set()
            caller.join()
    report = read_report(workers.state_dir)
    assert report is not None
    assert report.succeeded
    assert not set(before.values()) & set(workers.supervisor.pids().values())
    assert [set(caller.outcomes) for caller in callers] == [{"OK"}] * 3


def test_a_killed_worker_loses_only_its_calls_and_nothing_acknowledged(workers: Workers) -> None:
    """After kill -9 callers see at most UNAVAILABLE, both answer again, and verdicts are kept."""
    callers = [Caller(workers.address) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        until_answered(callers)
        os.kill(workers.supervisor.pids()["server-1"], signal.SIGKILL)
        workers.supervisor.poll()
        began = time.monotonic()
        workers.until_all_run()
        assert time.monotonic() - began < 30
        until_answered(callers)
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


@pytest.mark.parametrize("count", [1, 2])
def test_a_changed_certificate_is_used_without_a_failed_call(
    frail_workspace: Workspace, frail_triton: RunningTriton, tmp_path: Path, count: int
) -> None:
    """Connections get the renewed certificate, and a broken one leaves the old in use."""
    old, new = Authority("old"), Authority("new")
    files = tmp_path / "server.crt", tmp_path / "server.key"
    old.issue().write(*files)
    names = "TIDEMILL_TLS__CERTIFICATE", "TIDEMILL_TLS__PRIVATE_KEY"
    variables = dict(zip(names, map(str, files), strict=True))
    variables["TIDEMILL_SERVER__WORKERS"] = str(count)
    with running(frail_workspace, frail_triton, variables=variables) as workers:
        caller = Caller(workers.address, json.dumps(RETRY), old.certificate + new.certificate)
        caller.start()
        try:
            until_answered([caller])
            files[1].write_bytes(b"broken")
            workers.wait_until(lambda: _restarted(workers, 1), "the broken key is refused", 30)
            assert len(workers.supervisor.pids()) == count
            new.issue().write(*files)
            workers.wait_until(lambda: _restarted(workers, 2), "the workers are replaced", 90)
            until_answered([caller])
        finally:
            caller.stopping.set()
            caller.join()
        assert set(caller.outcomes) == {"OK"}
        credentials = grpc.ssl_channel_credentials(new.certificate)
        with grpc.secure_channel(workers.address, credentials) as channel:
            request = pb.PredictRequest(task="support", text=TEXT)
            ask = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
            assert ask(request, timeout=10).prediction.label


def _restarted(workers: Workers, number: int) -> bool:
    report = read_report(workers.state_dir)
    return report is not None and report.number >= number and report.ended
