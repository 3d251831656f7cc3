"""Many callers at once."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from tests.integration.server.front import Front
from tidemill.v1 import prediction_service_pb2 as pb

TEXT = "lost my card"


@dataclass(frozen=True)
class Load:
    """What became of many calls.

    Attributes:
        ids: the prediction ids that were answered.
        seconds: how long each answered call took.
        failures: of the calls that failed.
    """

    ids: list[str]
    seconds: list[float]
    failures: list[grpc.RpcError]

    def quantile(self, share: float) -> float:
        """Return the latency in seconds below which a share of the answered calls stayed."""
        return sorted(self.seconds)[int(share * (len(self.seconds) - 1))]


class Callers:
    """Callers that each ask `Predict` again once they are answered.

    Args:
        fronts: who is asked; callers take turns among them.
        count: callers, so calls in flight.
        pause: seconds between an answer and the next call.
    """

    def __init__(self, fronts: Sequence[Front], count: int, pause: float = 0.0) -> None:
        self._fronts, self._count, self._pause = fronts, count, pause
        self._stopping = threading.Event()
        self._left = threading.Semaphore(0)
        self.load = Load([], [], [])

    def __enter__(self) -> "Callers":
        for number in range(self._count):
            self._ask(self._fronts[number % len(self._fronts)])
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for _each in range(self._count):
            assert self._left.acquire(timeout=30)

    def _ask(self, front: Front) -> None:
        if self._stopping.is_set():
            self._left.release()
            return
        start = time.monotonic()
        request = pb.PredictRequest(task="support", text=TEXT)
        call = front.predictions.Predict.future(request, timeout=10)
        call.add_done_callback(lambda done: self._note(front, start, done))

    def _note(self, front: Front, start: float, call: Any) -> None:
        error = call.exception()
        if error is None:
            self.load.ids.append(call.result().prediction.prediction_id)
            self.load.seconds.append(time.monotonic() - start)
        else:
            self.load.failures.append(error)
        if self._stopping.wait(self._pause if error is None else 0.2):
            self._left.release()
            return
        self._ask(front)
