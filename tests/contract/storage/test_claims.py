"""Runs that are claimed, followed and closed."""

from collections import Counter

import pytest

from tests.contract.storage.runs import enqueue, start
from tests.contract.storage.values import NOW, at_once, later
from tidemill_core.domain.job import JobRunState, Trigger
from tidemill_core.domain.job_parameters import (
    ImportModelParameters,
)
from tidemill_core.storage.jobs import RunRequest
from tidemill_core.storage.storage import Storage


def test_one_job_publishes_at_a_time(storage: Storage) -> None:
    """A retraining and an import of one task run one after another; other jobs do not wait."""
    wanted = ImportModelParameters("u1", "onnx")
    running = start(storage)
    imported = storage.jobs.enqueue(
        RunRequest("import_model", "support", Trigger.RPC, parameters=wanted), NOW
    )
    drift = enqueue(storage, job="drift")
    assert storage.jobs.claim(later(1)) == storage.jobs.get(drift.run_id)
    assert storage.jobs.claim(later(1)) is None
    storage.jobs.succeed(running.run_id, {}, later(2))
    assert storage.jobs.claim(later(3)) == storage.jobs.get(imported.run_id)


def test_claims_come_in_order(storage: Storage) -> None:
    """The oldest run is claimed first, and a job does not run twice at once for a task."""
    first, other_task = enqueue(storage), enqueue(storage, task="arxiv")
    other_job = enqueue(storage, job="drift")
    claimed = [storage.jobs.claim(later(n)) for n in range(3)]
    assert [run and run.run_id for run in claimed] == [
        first.run_id,
        other_task.run_id,
        other_job.run_id,
    ]
    second = enqueue(storage)
    assert storage.jobs.claim(later(4)) is None
    storage.jobs.succeed(first.run_id, {}, later(5))
    following = storage.jobs.claim(later(6))
    assert following is not None
    assert following.run_id == second.run_id
    assert following.state is JobRunState.RUNNING
    assert following.start_time == later(6)


@pytest.mark.parametrize("person", [Trigger.RPC, Trigger.ERASURE])
def test_people_come_first(storage: Storage, person: Trigger) -> None:
    """A run that a person requested is claimed before older runs of the schedule."""
    others = (Trigger.SCHEDULE, Trigger.CATCH_UP, Trigger.CHECK_FEEDBACK, Trigger.FIRST_MODEL)
    older = [
        storage.jobs.enqueue(RunRequest("drift", f"task{n}", trigger), NOW)
        for n, trigger in enumerate(others)
    ]
    asked = storage.jobs.enqueue(RunRequest("retrain", "support", person), later(1))
    claimed = [storage.jobs.claim(later(2)) for _ in range(5)]
    assert [run and run.run_id for run in claimed] == [run.run_id for run in (asked, *older)]


def test_claims_from_many_threads(storage: Storage, second_storage: Storage) -> None:
    """Eight threads over two databases claim one run of each job and task, none twice."""
    for n in range(5):
        enqueue(storage, job=f"job{n}")
    stores = [storage.jobs, second_storage.jobs]
    claimed = [run for run in at_once(lambda n: stores[n % 2].claim(NOW), range(16)) if run]
    assert Counter(run.job for run in claimed) == {f"job{n}": 1 for n in range(5)}
    assert len({run.run_id for run in claimed}) == 5


def test_claim_and_finish_from_many_threads(storage: Storage, second_storage: Storage) -> None:
    """Eight threads finish a whole queue, each run once."""
    queued = {enqueue(storage, f"job{n % 3}", f"task{n}").run_id for n in range(24)}
    stores = [storage.jobs, second_storage.jobs]

    def work(number: int) -> list[str]:
        done = []
        while run := stores[number % 2].claim(NOW):
            stores[number % 2].succeed(run.run_id, {}, later(1))
            done.append(run.run_id)
        return done

    done = [run_id for ids in at_once(work, range(8)) for run_id in ids]
    while run := storage.jobs.claim(NOW):  # left when every thread met a busy job last
        storage.jobs.succeed(run.run_id, {}, later(1))
        done.append(run.run_id)
    assert len(done) == len(queued)
    assert set(done) == queued


def test_beat(storage: Storage) -> None:
    """A heartbeat records progress and returns whether someone asked the run to stop."""
    run = start(storage)
    alive = storage.jobs.beat(run.run_id, 0.5, "epoch 2 of 4", later(2))
    assert alive is not None
    assert (alive.progress, alive.message) == (0.5, "epoch 2 of 4")
    assert not alive.cancel_requested
    storage.jobs.cancel(run.run_id, later(3))
    stopping = storage.jobs.beat(run.run_id, 0.6, "epoch 3 of 4", later(4))
    assert stopping is not None
    assert stopping.cancel_requested


def test_no_beat_of_a_closed_run(storage: Storage) -> None:
    """A heartbeat of a closed or unknown run returns None and changes nothing."""
    run = start(storage)
    storage.jobs.fail(run.run_id, "DATA: broken", later(2))
    assert storage.jobs.beat(run.run_id, 0.5, "goes on", later(3)) is None
    assert storage.jobs.get(run.run_id).error == "DATA: broken"
    assert storage.jobs.get(run.run_id).message == "failed"
    assert storage.jobs.beat("nobody", 0.5, "goes on", later(3)) is None


def test_a_run_is_closed_once(storage: Storage) -> None:
    """The first end of a run stays; later ones change nothing."""
    run = start(storage)
    storage.jobs.succeed(run.run_id, {"version": 3}, later(2))
    storage.jobs.fail(run.run_id, "LATE: no", later(3))
    storage.jobs.mark_canceled(run.run_id, later(4))
    closed = storage.jobs.get(run.run_id)
    assert (closed.state, closed.progress) == (JobRunState.SUCCEEDED, 1.0)
    assert (closed.result, closed.error, closed.end_time) == ({"version": 3}, "", later(2))


def test_cancel(storage: Storage) -> None:
    """A queued run is canceled immediately, a running one is asked once, an ended one stays."""
    running, queued = start(storage), enqueue(storage)
    canceled, was_active = storage.jobs.cancel(queued.run_id, later(2))
    assert (canceled.state, canceled.end_time) == (JobRunState.CANCELLED, later(2))
    assert was_active
    assert storage.jobs.cancel(queued.run_id, later(3)) == (canceled, False)
    asked, was_active = storage.jobs.cancel(running.run_id, later(3))
    assert (asked.state, asked.cancel_requested) == (JobRunState.RUNNING, True)
    assert was_active
    assert storage.jobs.cancel(running.run_id, later(3)) == (asked, False)
    storage.jobs.mark_canceled(running.run_id, later(4))
    ended = storage.jobs.get(running.run_id)
    assert ended.state is JobRunState.CANCELLED
    assert storage.jobs.cancel(running.run_id, later(5)) == (ended, False)
    assert storage.jobs.claim(later(6)) is None


def test_orphans(storage: Storage) -> None:
    """Running runs without a recent heartbeat become FAILED; no others do."""
    silent = start(storage)
    enqueue(storage, task="arxiv")
    alive = storage.jobs.claim(later(1))
    assert alive is not None
    storage.jobs.beat(alive.run_id, 0.1, "alive", later(50))
    waiting = enqueue(storage, job="drift")
    assert storage.jobs.close_orphans(later(30), later(60)) == [silent.run_id]
    closed = storage.jobs.get(silent.run_id)
    assert (closed.state, closed.end_time) == (JobRunState.FAILED, later(60))
    assert closed.error.startswith("ORPHANED: ")
    assert storage.jobs.get(alive.run_id).state is JobRunState.RUNNING
    assert storage.jobs.get(waiting.run_id).state is JobRunState.QUEUED
    assert storage.jobs.close_orphans(later(30), later(60)) == []
