"""Callers that predict and send feedback while the stack changes under them."""

import threading
import time
from dataclasses import dataclass, field
from typing import Self

from deploy.compose_test.engine import Failed
from deploy.compose_test.stack import LABELS, TASK, Stack, wait_until
from tidemill_client import TidemillClient, TidemillError

_CALLERS = 4
_PAUSE_SECONDS = 0.05
_FEEDBACK_EVERY = 5


@dataclass
class Traffic:
    """A few callers of one stack; they call inside a `with` block.

    Attributes:
        predictions: the ids of acknowledged predictions.
        verdicts: the ids of acknowledged verdicts.
        versions: the versions that answered.
        failures: the reasons of calls that failed, after the client's own attempts.
        longest_gap: the longest time without an answer to a caller, in seconds.
    """

    stack: Stack
    key: str
    predictions: set[str] = field(default_factory=set)
    verdicts: set[str] = field(default_factory=set)
    versions: set[int] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    longest_gap: float = 0.0

    def __enter__(self) -> Self:
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._call, args=(caller,)) for caller in range(_CALLERS)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, predictions: int) -> None:
        """Wait until this number of further predictions is acknowledged."""
        target = len(self.predictions) + predictions
        what = f"{target} predictions are acknowledged"
        wait_until(lambda: len(self.predictions) >= target, what)

    def lost(self) -> int:
        """Return how many acknowledged predictions and verdicts the database does not have."""
        try:  # predictions are written after their answer
            wait_until(lambda: self.missing() == 0, "all is stored", 60)
        except Failed:
            return self.missing()
        return 0

    def missing(self, database: str = "tidemill") -> int:
        """Return how many acknowledged predictions and verdicts a database does not have now."""
        stored = set(self.stack.sql("select prediction_id from predictions", database))
        kept = set(self.stack.sql("select feedback_id from feedback", database))
        return len(self.predictions - stored) + len(self.verdicts - kept)

    def summary(self) -> str:
        """Return the counts in words."""
        reasons = f" ({', '.join(sorted(set(self.failures)))})" if self.failures else ""
        return (
            f"{len(self.predictions)} predictions and {len(self.verdicts)} verdicts acknowledged, "
            f"{len(self.failures)} calls failed{reasons}, longest gap {self.longest_gap:.1f} s"
        )

    def _call(self, caller: int) -> None:
        answered = time.monotonic()
        with self.stack.client(self.key) as client:
            while not self._stopping.wait(_PAUSE_SECONDS):
                try:
                    self._ask(client, caller)
                except TidemillError as error:
                    self.failures.append(error.reason)
                    continue
                now = time.monotonic()
                self.longest_gap = max(self.longest_gap, now - answered)
                answered = now

    def _ask(self, client: TidemillClient, caller: int) -> None:
        label = LABELS[caller % len(LABELS)]
        answer = client.predict(TASK, f"text number {len(self.predictions) % 60} is {label}")
        self.predictions.add(answer.prediction_id)
        self.versions.add(answer.model_version)
        if len(self.predictions) % _FEEDBACK_EVERY == 0:
            verdict = client.submit_feedback(
                answer.prediction_id, label=label, source=f"caller-{caller}"
            )
            self.verdicts.add(verdict.feedback_id)
