"""Streams that are open when their caller's credential ends."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.integration.server.front import Front
from tests.integration.server.guarded import TEXT, Guarded, bearer
from tests.integration.server.refusal import refusal, words
from tests.integration.server.test_inference_protocol import request, stub
from tests.plugins.waiting import wait_until
from tidemill.v1 import feedback_service_pb2 as feedback_pb
from tidemill.v1 import job_service_pb2 as job_pb
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_core.clock import system_clock
from tidemill_core.domain.access import Scope
from tidemill_core.domain.job import Job
from tidemill_core.storage.api_keys import split_api_key

Requests = Iterator[Any]
SECONDS = 2.5
"""The promised two, and half a second for the test itself."""


def _predict(guarded: Guarded, requests: Requests, metadata: Any) -> Any:
    calls = guarded.front.predictions.StreamPredict(requests, timeout=60, metadata=metadata)
    assert next(calls).prediction.label
    return calls


def _infer(guarded: Guarded, requests: Requests, metadata: Any) -> Any:
    calls = stub(guarded.front).ModelStreamInfer(requests, timeout=60, metadata=metadata)
    assert next(calls).infer_response.id
    return calls


def _watch(guarded: Guarded, _: Requests, metadata: Any) -> Any:
    guarded.workspace.storage.jobs.set_catalog([Job("retrain", "Trains.", "")])
    asked = job_pb.RunJobRequest(job="retrain", task="support")
    wanted = guarded.front.jobs.RunJob(asked, timeout=10, metadata=metadata).job_run
    watched = job_pb.WatchJobRunRequest(run_id=wanted.run_id)
    calls = guarded.front.jobs.WatchJobRun(watched, timeout=60, metadata=metadata)
    assert next(calls).job_run.run_id == wanted.run_id
    return calls


def _reflect(guarded: Guarded, requests: Requests, metadata: Any) -> Any:
    calls = reflection_pb2_grpc.ServerReflectionStub(guarded.front.channel).ServerReflectionInfo(
        requests, timeout=60, metadata=metadata
    )
    assert next(calls).list_services_response.service
    return calls


STREAMS: list[tuple[Callable[[Guarded, Requests, Any], Any], Any]] = [
    (_predict, pb.StreamPredictRequest(id="a", task="support", text=TEXT)),
    (_infer, request()),
    (_watch, None),
    (_reflect, reflection_pb2.ServerReflectionRequest(list_services="")),
]


def _one_then_silence(first: Any, ended: threading.Event) -> Requests:
    yield first
    ended.wait(60)


@pytest.mark.parametrize(("begin", "first"), STREAMS, ids=["predict", "infer", "watch", "reflect"])
def test_a_stream_ends_soon_after_its_key_is_revoked(
    guarded: Guarded, begin: Callable[[Guarded, Requests, Any], Any], first: Any
) -> None:
    """Within two seconds it is UNAUTHENTICATED, though no message passes; others stay open."""
    ended = threading.Event()
    shown, other = guarded.key(*Scope), guarded.key(*Scope)
    calls = begin(guarded, _one_then_silence(first, ended), bearer(shown))
    staying = begin(guarded, _one_then_silence(first, ended), bearer(other))
    guarded.workspace.storage.api_keys.revoke(split_api_key(shown)[0], system_clock())
    revoked = time.monotonic()
    assert words(refusal(lambda: next(calls))) == ("UNAUTHENTICATED", "INVALID_API_KEY", "")
    assert time.monotonic() - revoked < SECONDS
    assert staying.is_active()
    staying.cancel()
    ended.set()


def test_a_stream_ends_at_its_tokens_end(guarded: Guarded) -> None:
    """Whatever messages pass: they are answered until then, and TOKEN_EXPIRED afterwards."""
    end = int(time.time()) + 4
    metadata = bearer(guarded.issuer.token(exp=end))
    requests: queue.SimpleQueue[pb.StreamPredictRequest] = queue.SimpleQueue()
    calls = guarded.front.predictions.StreamPredict(
        iter(requests.get, None), timeout=60, metadata=metadata
    )

    def answers() -> None:
        while True:
            requests.put(pb.StreamPredictRequest(id="a", task="support", text=TEXT))
            assert next(calls).prediction.label

    assert words(refusal(answers)) == ("UNAUTHENTICATED", "TOKEN_EXPIRED", "")
    assert -0.1 < time.time() - end < SECONDS
    requests.put(None)


def test_feedback_before_the_end_is_stored(guarded: Guarded) -> None:
    """A stream that only sends ends, too; what was sent before is stored."""
    shown = guarded.key(*Scope)
    made = guarded.predict(bearer(shown)).prediction_id
    ended = threading.Event()
    sent = feedback_pb.StreamFeedbackRequest(prediction_id=made, correct=True, source="streamed")
    stream = guarded.front.feedback.StreamFeedback.future(
        _one_then_silence(sent, ended), timeout=60, metadata=bearer(shown)
    )
    guarded.workspace.storage.api_keys.revoke(split_api_key(shown)[0], system_clock())
    wait_until(stream.done, "the stream ends", SECONDS)
    assert words(refusal(stream.result)) == ("UNAUTHENTICATED", "INVALID_API_KEY", "")
    ended.set()


def test_health_is_watched_by_everyone(front: Front) -> None:
    """A probe's stream has no credential that could end."""
    watch = health_pb2_grpc.HealthStub(front.channel).Watch(
        health_pb2.HealthCheckRequest(), timeout=4
    )
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    assert refusal(lambda: next(watch)).code == "DEADLINE_EXCEEDED"


def test_a_key_made_just_now_is_admitted(guarded: Guarded) -> None:
    """Its first call is answered, without waiting for the next regular refresh."""
    for _ in range(5):
        assert guarded.predict(bearer(guarded.key(Scope.PREDICT))).label


def test_random_keys_delay_no_one(guarded: Guarded) -> None:
    """While callers try random keys, known ones are answered and new ones admitted."""
    known, stopping = guarded.key(Scope.PREDICT), threading.Event()

    def guess(seed: int) -> None:
        number = seed
        while not stopping.is_set():
            number += 10
            assert guarded.refused(bearer(f"tm_{number:012x}_guess")).reason in (
                "INVALID_API_KEY",
                "API_KEY_NOT_LOOKED_UP",
            )

    guessers = [threading.Thread(target=guess, args=(seed,)) for seed in range(8)]
    for each in guessers:
        each.start()
    try:
        for _ in range(5):
            begin = time.monotonic()
            assert guarded.predict(bearer(known)).label
            assert time.monotonic() - begin < 3
            assert guarded.predict(bearer(guarded.key(Scope.PREDICT))).label
    finally:
        stopping.set()
        for each in guessers:
            each.join()
