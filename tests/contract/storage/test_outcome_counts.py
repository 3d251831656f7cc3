"""Counts of answered and failed texts."""

import uuid
from datetime import UTC, datetime, timedelta

from tidemill_core.domain.outcomes import OutcomeCount, Outcomes
from tidemill_core.storage.storage import Storage

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_counts_of_all_workers_add_up_over_a_time(storage: Storage) -> None:
    """A count that is written twice counts once, and other tasks and times do not."""
    store = storage.outcome_counts
    assert store.sums("support", NOW - HOUR, NOW) == Outcomes(0, 0)
    store.add([])
    counts = [
        OutcomeCount(uuid.uuid4().hex, task, answered, failed, NOW - ago)
        for task, answered, failed, ago in (
            ("support", 10, 1, HOUR / 2),
            ("support", 5, 0, 0 * HOUR),
            ("support", 100, 100, HOUR),
            ("other", 7, 7, HOUR / 2),
        )
    ]
    store.add(counts)
    store.add(counts)
    assert store.sums("support", NOW - HOUR, NOW) == Outcomes(15, 1)
    store.prune("support", NOW - HOUR / 2)
    assert store.sums("support", NOW - 9 * HOUR, NOW) == Outcomes(15, 1)
    assert store.sums("other", NOW - HOUR, NOW) == Outcomes(7, 7)
