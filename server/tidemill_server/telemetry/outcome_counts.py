"""Counts of answered and failed texts in the database, where the jobs read them.

They are the increments of `predictions_total` and `prediction_errors_total`, so they cost a request
nothing. Increments of all workers and machines add up, and a restart loses at most the last ones.
"""

import asyncio
import uuid
from collections import Counter as Sums
from collections import deque
from collections.abc import Collection

import structlog
from prometheus_client import Counter

from tidemill_core.clock import Clock
from tidemill_core.domain.outcomes import OutcomeCount
from tidemill_core.errors import (
    DeadlineExceeded,
    ModelOutputInvalid,
    ModelVersionNotServed,
    StorageUnavailable,
    TidemillError,
    TritonUnavailable,
    Unavailable,
)
from tidemill_core.storage.outcome_counts import OutcomeCountStore
from tidemill_server.inference.query import METHODS
from tidemill_server.telemetry.families import Families

INTERVAL_SECONDS = 10.0
MAX_PENDING = 10_000
"""Counts that wait for a database that is away: a day of one task; older ones are dropped."""
_OUR_ERRORS = (TidemillError, DeadlineExceeded, Unavailable, StorageUnavailable, TritonUnavailable)
OUR_REASONS = {each.reason for each in (*_OUR_ERRORS, ModelVersionNotServed, ModelOutputInvalid)}
"""Reasons of failures that are no fault of the caller."""

log = structlog.get_logger()


class OutcomeCounts:
    """The writer of the counts.

    Args:
        metrics: this process's counters.
        store: the database's counts.
        clock: returns the time of the counts.
    """

    def __init__(self, metrics: Families, store: OutcomeCountStore, clock: Clock) -> None:
        self._metrics = metrics
        self._store = store
        self._clock = clock
        self._answered: Sums[str] = Sums()
        self._failed: Sums[str] = Sums()
        self._pending: deque[OutcomeCount] = deque(maxlen=MAX_PENDING)

    async def run(self) -> None:
        """Write the increments every ten seconds, and the last ones when canceled."""
        try:
            while True:
                await asyncio.sleep(INTERVAL_SECONDS)
                await asyncio.to_thread(self.write)
        finally:
            await asyncio.to_thread(self.write)

    def write(self) -> None:
        """Write what was counted since the last time; while the database is away it waits."""
        answered = _by_task(self._metrics.predictions_total, method=METHODS)
        errors = self._metrics.prediction_errors_total
        failed = _by_task(errors, method=METHODS, reason=OUR_REASONS)
        now = self._clock()
        for task in answered.keys() | failed.keys():
            new = (answered[task] - self._answered[task], failed[task] - self._failed[task])
            if any(new):
                self._pending.append(OutcomeCount(uuid.uuid4().hex, task, *new, now))
        self._answered, self._failed = answered, failed
        try:
            self._store.add(list(self._pending))
        except StorageUnavailable as error:
            log.warning("outcomes_not_counted_yet", detail=error.detail or str(error))
        else:
            self._pending.clear()


def _by_task(counter: Counter, **wanted: Collection[str]) -> Sums[str]:
    """Return a counter's sums by task, over the series whose labels have the wanted values."""
    sums: Sums[str] = Sums()
    for family in counter.collect():
        for sample in family.samples:
            if all(sample.labels[label] in values for label, values in wanted.items()):
                sums[sample.labels["task"]] += int(sample.value)
    return sums
