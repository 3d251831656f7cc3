"""The queue of job runs."""

from collections import Counter
from datetime import UTC

import pytest

from tests.contract.storage.values import NOW, at_once, later
from tidemill_core.domain.job import Job, JobRun, JobRunState, Trigger
from tidemill_core.domain.job_parameters import (
    ImportModelParameters,
    JobParameters,
    RetrainParameters,
    TrainingPlace,
)
from tidemill_core.errors import NotFound
from tidemill_core.storage.database import Page
from tidemill_core.storage.job_pruning import prune_runs
from tidemill_core.storage.jobs import RunRequest
from tidemill_core.storage.storage import Storage


def _enqueue(storage: Storage, job: str = "retrain", task: str = "support") -> JobRun:
    return storage.jobs.enqueue(RunRequest(job, task, "operator"), NOW)


def _running(storage: Storage) -> JobRun:
    """Queue a run and claim it."""
    _enqueue(storage)
    run = storage.jobs.claim(later(1))
    assert run is not None
    return run


def test_catalog(storage: Storage) -> None:
    """The catalog is the last one set, ordered by name; it may be empty."""
    retrain, drift = Job("retrain", "Trains.", ""), Job("check_drift", "Looks.", "0 2 * * *")
    storage.jobs.set_catalog([retrain])
    storage.jobs.set_catalog([retrain, drift])
    assert storage.jobs.catalog() == [drift, retrain]
    storage.jobs.set_catalog([])
    assert storage.jobs.catalog() == []


def test_the_catalog_set_by_many(storage: Storage, second_storage: Storage) -> None:
    """Processes that set the same catalog concurrently leave it complete."""
    catalog = [Job("a", "", ""), Job("b", "", "")]
    stores = [storage.jobs, second_storage.jobs]
    at_once(lambda n: stores[n % 2].set_catalog(catalog), range(8))
    assert storage.jobs.catalog() == catalog


def test_a_queued_run(storage: Storage) -> None:
    """A queued run reads back as it was returned, in UTC."""
    request = RunRequest("retrain", "support", "schedule", fire_time=later(-60))
    run = storage.jobs.enqueue(request, NOW)
    assert storage.jobs.get(run.run_id) == run
    assert (run.state, run.progress, run.result) == (JobRunState.QUEUED, 0.0, {})
    assert run.fire_time == later(-60)
    assert run.fire_time.tzinfo is UTC
    assert run.create_time.tzinfo is UTC
    assert run.start_time is run.end_time is None


def _ended(storage: Storage, request: RunRequest) -> JobRun:
    """Queue a run, claim it and let it succeed."""
    run = storage.jobs.enqueue(request, NOW)
    assert storage.jobs.claim(later(1)) is not None
    storage.jobs.succeed(run.run_id, {}, later(2))
    return storage.jobs.get(run.run_id)


def test_runs_are_unique_by_request_id(storage: Storage) -> None:
    """A repeated request id returns its run, even after the run ended."""
    request = RunRequest("retrain", "support", "a", request_id="r1")
    one = _ended(storage, request)
    assert storage.jobs.enqueue(request, later(9)) == one
    assert _enqueue(storage).run_id != one.run_id


def test_runs_are_unique_by_fire_time(storage: Storage) -> None:
    """A job runs once for a task and a scheduled time, whatever the request id."""
    one = _ended(storage, RunRequest("drift", "support", "schedule", NOW))
    again = storage.jobs.enqueue(RunRequest("drift", "support", "catch_up", NOW), later(9))
    named = storage.jobs.enqueue(RunRequest("drift", "support", "rpc", NOW, "r1"), later(9))
    assert one == again == named
    for other in (
        RunRequest("drift", "arxiv", "schedule", NOW),
        RunRequest("latency", "support", "schedule", NOW),
        RunRequest("drift", "support", "schedule", later(60)),
    ):
        assert storage.jobs.enqueue(other, NOW).run_id != one.run_id


def test_one_run_waits(storage: Storage) -> None:
    """Each job and task has at most one queued run; further requests join it until it starts."""
    waiting = _enqueue(storage)
    assert _enqueue(storage) == waiting
    assert _enqueue(storage, task="arxiv").run_id != waiting.run_id
    assert _enqueue(storage, job="drift").run_id != waiting.run_id
    assert storage.jobs.claim(later(1)) is not None
    following = _enqueue(storage)
    assert following.run_id != waiting.run_id
    assert _enqueue(storage) == following


@pytest.mark.parametrize(
    ("job", "parameters"),
    [
        ("retrain", RetrainParameters("ngram", 5, 60, 0, TrainingPlace.SAGEMAKER)),
        ("import_model", ImportModelParameters("u1", "onnx", 64)),
    ],
)
def test_parameters_read_back(storage: Storage, job: str, parameters: JobParameters) -> None:
    """A run keeps what it was asked to do; without parameters, retrain has its defaults."""
    run = storage.jobs.enqueue(RunRequest(job, "support", "a", parameters=parameters), NOW)
    assert run.parameters == parameters == storage.jobs.get(run.run_id).parameters
    assert _enqueue(storage, task="arxiv").parameters == RetrainParameters()
    assert _enqueue(storage, job="drift").parameters is None


def test_runs_with_other_parameters_wait_too(storage: Storage) -> None:
    """A request joins only a queued run with its own parameters; the runs start in order."""
    plain = _enqueue(storage)

    def asked(**parameters: int) -> JobRun:
        wanted = RetrainParameters(**parameters)  # type: ignore[arg-type]  # a test's own values
        return storage.jobs.enqueue(RunRequest("retrain", "support", "a", parameters=wanted), NOW)

    seeded = asked(seed=1)
    assert len({plain.run_id, seeded.run_id, asked(seed=2).run_id}) == 3
    assert (asked(seed=1), asked()) == (seeded, plain)
    assert storage.jobs.claim(later(1)) == storage.jobs.get(plain.run_id)
    assert storage.jobs.claim(later(1)) is None
    storage.jobs.succeed(plain.run_id, {}, later(2))
    assert storage.jobs.claim(later(3)) == storage.jobs.get(seeded.run_id)


def test_one_job_publishes_at_a_time(storage: Storage) -> None:
    """A retraining and an import of one task run one after another; other jobs do not wait."""
    wanted = ImportModelParameters("u1", "onnx")
    running = _running(storage)
    imported = storage.jobs.enqueue(
        RunRequest("import_model", "support", Trigger.RPC, parameters=wanted), NOW
    )
    drift = _enqueue(storage, job="drift")
    assert storage.jobs.claim(later(1)) == storage.jobs.get(drift.run_id)
    assert storage.jobs.claim(later(1)) is None
    storage.jobs.succeed(running.run_id, {}, later(2))
    assert storage.jobs.claim(later(3)) == storage.jobs.get(imported.run_id)


def test_one_run_waits_whoever_asks_at_once(storage: Storage, second_storage: Storage) -> None:
    """Concurrent requests over two connections share one run."""
    stores = [storage.jobs, second_storage.jobs]

    def ask(n: int) -> JobRun:
        request = RunRequest("retrain", "support", Trigger.RPC, request_id=f"r{n}")
        return stores[n % 2].enqueue(request, NOW)

    runs = at_once(ask, range(16))
    assert len({run.run_id for run in runs}) == 1
    assert storage.jobs.page("", "", Page())[0] == [runs[0]]


def test_a_joined_run_is_the_requests_own(storage: Storage) -> None:
    """The request id of a request that joined a run returns that run until it is pruned."""
    waiting = _enqueue(storage)
    request = RunRequest("retrain", "support", Trigger.RPC, request_id="r1")
    assert storage.jobs.enqueue(request, later(1)).run_id == waiting.run_id
    assert storage.jobs.claim(later(2)) is not None
    assert storage.jobs.enqueue(request, later(3)).run_id == waiting.run_id
    storage.jobs.succeed(waiting.run_id, {}, later(4))
    assert storage.jobs.enqueue(request, later(5)).run_id == waiting.run_id
    _ended(storage, RunRequest("retrain", "support", "test"))
    assert prune_runs(storage.database, ["retrain"], later(9)) == 1
    assert storage.jobs.enqueue(request, later(10)).run_id != waiting.run_id


def test_a_waiting_run_stands_for_the_last_moment(storage: Storage) -> None:
    """A queued run covers the scheduled times that pass meanwhile, and records the last one."""
    one = storage.jobs.enqueue(RunRequest("drift", "support", "schedule", NOW), NOW)
    for seconds in (60, 120, 60):
        request = RunRequest("drift", "support", "schedule", later(seconds))
        joined = storage.jobs.enqueue(request, later(seconds))
    assert (joined.run_id, joined.trigger, joined.fire_time) == (one.run_id, "schedule", later(120))
    assert storage.jobs.latest_fire_time("drift", "support") == later(120)


def test_a_person_who_joins_comes_first(storage: Storage) -> None:
    """A run that a person joins counts as requested by a person, and keeps its time."""
    _enqueue(storage, job="latency")
    one = storage.jobs.enqueue(RunRequest("drift", "support", "schedule", NOW), NOW)
    joined = storage.jobs.enqueue(RunRequest("drift", "support", Trigger.RPC), later(1))
    assert (joined.run_id, joined.trigger, joined.fire_time) == (one.run_id, "rpc", NOW)
    claimed = storage.jobs.claim(later(2))
    assert claimed is not None
    assert claimed.run_id == one.run_id
    assert storage.jobs.enqueue(RunRequest("drift", "support", "schedule", NOW), NOW) == claimed


def test_one_moment_from_many_threads(storage: Storage, second_storage: Storage) -> None:
    """Schedulers that fire concurrently for the same time queue one run."""
    stores = [storage.jobs, second_storage.jobs]
    request = RunRequest("drift", "support", "schedule", NOW)
    runs = at_once(lambda n: stores[n % 2].enqueue(request, NOW), range(8))
    assert len({run.run_id for run in runs}) == 1


def test_claims_come_in_order(storage: Storage) -> None:
    """The oldest run is claimed first, and a job does not run twice at once for a task."""
    first, other_task = _enqueue(storage), _enqueue(storage, task="arxiv")
    other_job = _enqueue(storage, job="drift")
    claimed = [storage.jobs.claim(later(n)) for n in range(3)]
    assert [run and run.run_id for run in claimed] == [
        first.run_id,
        other_task.run_id,
        other_job.run_id,
    ]
    second = _enqueue(storage)
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


def test_runs_of_gone_tasks_are_closed(storage: Storage) -> None:
    """Queued runs of tasks that no longer exist become FAILED; no others do."""
    running = storage.jobs.enqueue(RunRequest("drift", "gone", "schedule"), NOW)
    assert storage.jobs.claim(later(1)) is not None
    waiting = [_enqueue(storage, task=task) for task in ("gone", "support")]
    assert storage.jobs.close_gone(["support", "arxiv"], later(2)) == [waiting[0].run_id]
    closed = storage.jobs.get(waiting[0].run_id)
    assert (closed.state, closed.end_time) == (JobRunState.FAILED, later(2))
    assert closed.error.startswith("TASK_GONE: ")
    assert storage.jobs.get(waiting[1].run_id) == waiting[1]
    assert storage.jobs.get(running.run_id).state is JobRunState.RUNNING
    assert storage.jobs.close_gone([], later(3)) == [waiting[1].run_id]


def test_claims_from_many_threads(storage: Storage, second_storage: Storage) -> None:
    """Eight threads over two databases claim one run of each job and task, none twice."""
    for n in range(5):
        _enqueue(storage, job=f"job{n}")
    stores = [storage.jobs, second_storage.jobs]
    claimed = [run for run in at_once(lambda n: stores[n % 2].claim(NOW), range(16)) if run]
    assert Counter(run.job for run in claimed) == {f"job{n}": 1 for n in range(5)}
    assert len({run.run_id for run in claimed}) == 5


def test_claim_and_finish_from_many_threads(storage: Storage, second_storage: Storage) -> None:
    """Eight threads finish a whole queue, each run once."""
    queued = {_enqueue(storage, f"job{n % 3}", f"task{n}").run_id for n in range(24)}
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
    run = _running(storage)
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
    run = _running(storage)
    storage.jobs.fail(run.run_id, "DATA: broken", later(2))
    assert storage.jobs.beat(run.run_id, 0.5, "goes on", later(3)) is None
    assert storage.jobs.get(run.run_id).error == "DATA: broken"
    assert storage.jobs.get(run.run_id).message == "failed"
    assert storage.jobs.beat("nobody", 0.5, "goes on", later(3)) is None


def test_a_run_is_closed_once(storage: Storage) -> None:
    """The first end of a run stays; later ones change nothing."""
    run = _running(storage)
    storage.jobs.succeed(run.run_id, {"version": 3}, later(2))
    storage.jobs.fail(run.run_id, "LATE: no", later(3))
    storage.jobs.mark_canceled(run.run_id, later(4))
    closed = storage.jobs.get(run.run_id)
    assert (closed.state, closed.progress) == (JobRunState.SUCCEEDED, 1.0)
    assert (closed.result, closed.error, closed.end_time) == ({"version": 3}, "", later(2))


def test_cancel(storage: Storage) -> None:
    """A queued run is canceled immediately, a running one is asked, an ended one stays."""
    running, queued = _running(storage), _enqueue(storage)
    cancelled = storage.jobs.cancel(queued.run_id, later(2))
    assert (cancelled.state, cancelled.end_time) == (JobRunState.CANCELLED, later(2))
    asked = storage.jobs.cancel(running.run_id, later(3))
    assert (asked.state, asked.cancel_requested) == (JobRunState.RUNNING, True)
    storage.jobs.mark_canceled(running.run_id, later(4))
    ended = storage.jobs.get(running.run_id)
    assert ended.state is JobRunState.CANCELLED
    assert storage.jobs.cancel(running.run_id, later(5)) == ended
    assert storage.jobs.claim(later(6)) is None


def test_unknown_runs(storage: Storage) -> None:
    """An unknown run id is NotFound."""
    for call in (storage.jobs.get, lambda run_id: storage.jobs.cancel(run_id, NOW)):
        with pytest.raises(NotFound) as caught:
            call("nobody")
        assert caught.value.reason == "JOB_RUN_NOT_FOUND"


def test_orphans(storage: Storage) -> None:
    """Running runs without a recent heartbeat become FAILED; no others do."""
    silent = _running(storage)
    _enqueue(storage, task="arxiv")
    alive = storage.jobs.claim(later(1))
    assert alive is not None
    storage.jobs.beat(alive.run_id, 0.1, "alive", later(50))
    waiting = _enqueue(storage, job="drift")
    assert storage.jobs.close_orphans(later(30), later(60)) == [silent.run_id]
    closed = storage.jobs.get(silent.run_id)
    assert (closed.state, closed.end_time) == (JobRunState.FAILED, later(60))
    assert closed.error.startswith("ORPHANED: ")
    assert storage.jobs.get(alive.run_id).state is JobRunState.RUNNING
    assert storage.jobs.get(waiting.run_id).state is JobRunState.QUEUED
    assert storage.jobs.close_orphans(later(30), later(60)) == []


def test_latest(storage: Storage) -> None:
    """The newest run in some states and the last scheduled time are found by job and task."""
    assert storage.jobs.latest_fire_time("retrain", "support") is None
    assert storage.jobs.latest("retrain", "support", list(JobRunState)) is None
    _ended(storage, RunRequest("retrain", "support", "schedule", later(120)))
    run = _running(storage)
    newest = storage.jobs.enqueue(RunRequest("retrain", "support", "schedule", later(60)), NOW)
    assert storage.jobs.latest_fire_time("retrain", "support") == later(120)
    assert storage.jobs.latest("retrain", "support", [JobRunState.RUNNING]) == run
    assert storage.jobs.latest("retrain", "support", list(JobRunState)) == newest
    assert storage.jobs.latest("retrain", "arxiv", list(JobRunState)) is None


def test_pages(storage: Storage) -> None:
    """Pages have each run once, newest first, by job and task, although runs are added."""
    request = RunRequest("retrain", "support", "test")
    runs = [_ended(storage, request) for _ in range(5)]
    _enqueue(storage, job="drift")
    _enqueue(storage, task="arxiv")
    seen, token = storage.jobs.page("retrain", "support", Page(2))
    while token:
        _enqueue(storage)
        rows, token = storage.jobs.page("retrain", "support", Page.parse(2, token))
        seen += rows
    assert seen == runs[::-1]
