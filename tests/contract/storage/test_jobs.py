"""The queue of job runs."""

from datetime import UTC

import pytest

from tests.contract.storage.runs import enqueue, start
from tests.contract.storage.values import NOW, at_once, later
from tidemill_core.domain.job import Job, JobRun, JobRunState, Trigger
from tidemill_core.domain.job_parameters import (
    EvaluateParameters,
    ImportModelParameters,
    JobParameters,
    RetrainParameters,
    ScoreParameters,
    TrainingPlace,
)
from tidemill_core.errors import NotFound
from tidemill_core.storage.database import Page
from tidemill_core.storage.job_pruning import prune_runs
from tidemill_core.storage.jobs import RunRequest
from tidemill_core.storage.storage import Storage


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


def test_a_run_is_found_by_the_start_of_its_id(storage: Storage) -> None:
    """Eight characters are enough if no other id starts with them; fewer name no run."""
    run = storage.jobs.enqueue(RunRequest("retrain", "support", Trigger.RPC), NOW)
    assert storage.jobs.get(run.run_id[:8]) == storage.jobs.get(run.run_id) == run
    for unknown in (run.run_id[:7], "", run.run_id[:8].upper() + "A", "%" * 8):
        with pytest.raises(NotFound):
            storage.jobs.get(unknown)


def test_runs_are_unique_by_request_id(storage: Storage) -> None:
    """A repeated request id returns its run, even after the run ended."""
    request = RunRequest("retrain", "support", "a", request_id="r1")
    one = _ended(storage, request)
    assert storage.jobs.enqueue(request, later(9)) == one
    assert enqueue(storage).run_id != one.run_id


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
    waiting = enqueue(storage)
    assert enqueue(storage) == waiting
    assert enqueue(storage, task="arxiv").run_id != waiting.run_id
    assert enqueue(storage, job="drift").run_id != waiting.run_id
    assert storage.jobs.claim(later(1)) is not None
    following = enqueue(storage)
    assert following.run_id != waiting.run_id
    assert enqueue(storage) == following


@pytest.mark.parametrize(
    ("job", "parameters"),
    [
        ("retrain", RetrainParameters("ngram", 5, 60, 0, TrainingPlace.SAGEMAKER)),
        ("import_model", ImportModelParameters("u1", "onnx", 64)),
        ("score", ScoreParameters("in.csv", "out.csv", "title", 2, log_predictions=True)),
        ("evaluate", EvaluateParameters("in.csv", against=2)),
    ],
)
def test_parameters_read_back(storage: Storage, job: str, parameters: JobParameters) -> None:
    """A run keeps what it was asked to do; without parameters, retrain has its defaults."""
    run = storage.jobs.enqueue(RunRequest(job, "support", "a", parameters=parameters), NOW)
    assert run.parameters == parameters == storage.jobs.get(run.run_id).parameters
    assert enqueue(storage, task="arxiv").parameters == RetrainParameters()
    assert enqueue(storage, job="drift").parameters is None


def test_runs_with_other_parameters_wait_too(storage: Storage) -> None:
    """A request joins only a queued run with its own parameters; the runs start in order."""
    plain = enqueue(storage)

    def asked(**parameters: int) -> JobRun:
        wanted = RetrainParameters(**parameters)
        return storage.jobs.enqueue(RunRequest("retrain", "support", "a", parameters=wanted), NOW)

    seeded = asked(seed=1)
    assert len({plain.run_id, seeded.run_id, asked(seed=2).run_id}) == 3
    assert (asked(seed=1), asked()) == (seeded, plain)
    assert storage.jobs.claim(later(1)) == storage.jobs.get(plain.run_id)
    assert storage.jobs.claim(later(1)) is None
    storage.jobs.succeed(plain.run_id, {}, later(2))
    assert storage.jobs.claim(later(3)) == storage.jobs.get(seeded.run_id)


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
    waiting = enqueue(storage)
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
    enqueue(storage, job="latency")
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


def test_runs_of_gone_tasks_are_closed(storage: Storage) -> None:
    """Queued runs of tasks that no longer exist become FAILED; no others do."""
    running = storage.jobs.enqueue(RunRequest("drift", "gone", "schedule"), NOW)
    assert storage.jobs.claim(later(1)) is not None
    waiting = [enqueue(storage, task=task) for task in ("gone", "support")]
    assert storage.jobs.close_gone(["support", "arxiv"], later(2)) == [waiting[0].run_id]
    closed = storage.jobs.get(waiting[0].run_id)
    assert (closed.state, closed.end_time) == (JobRunState.FAILED, later(2))
    assert closed.error.startswith("TASK_GONE: ")
    assert storage.jobs.get(waiting[1].run_id) == waiting[1]
    assert storage.jobs.get(running.run_id).state is JobRunState.RUNNING
    assert storage.jobs.close_gone([], later(3)) == [waiting[1].run_id]


def test_unknown_runs(storage: Storage) -> None:
    """An unknown run id is NotFound."""
    for call in (storage.jobs.get, lambda run_id: storage.jobs.cancel(run_id, NOW)):
        with pytest.raises(NotFound) as caught:
            call("nobody")
        assert caught.value.reason == "JOB_RUN_NOT_FOUND"


def test_latest(storage: Storage) -> None:
    """The newest run in some states and the last scheduled time are found by job and task."""
    assert storage.jobs.latest_fire_time("retrain", "support") is None
    assert storage.jobs.latest("retrain", "support", list(JobRunState)) is None
    _ended(storage, RunRequest("retrain", "support", "schedule", later(120)))
    run = start(storage)
    newest = storage.jobs.enqueue(RunRequest("retrain", "support", "schedule", later(60)), NOW)
    assert storage.jobs.latest_fire_time("retrain", "support") == later(120)
    assert storage.jobs.latest("retrain", "support", [JobRunState.RUNNING]) == run
    assert storage.jobs.latest("retrain", "support", list(JobRunState)) == newest
    assert storage.jobs.latest("retrain", "arxiv", list(JobRunState)) is None


def test_pages(storage: Storage) -> None:
    """Pages have each run once, newest first, by job and task, although runs are added."""
    request = RunRequest("retrain", "support", "test")
    runs = [_ended(storage, request) for _ in range(5)]
    enqueue(storage, job="drift")
    enqueue(storage, task="arxiv")
    seen, token = storage.jobs.page("retrain", "support", Page(2))
    while token:
        enqueue(storage)
        rows, token = storage.jobs.page("retrain", "support", Page.parse(2, token))
        seen += rows
    assert seen == runs[::-1]


def test_a_run_keeps_its_reason(storage: Storage) -> None:
    """A run says why it was started; a request that joins it changes that only if it had none."""
    first = storage.jobs.enqueue(RunRequest("retrain", "support", "rpc"), NOW)
    assert first.reason == ""
    request = RunRequest("retrain", "support", "check_feedback", reason="12 new examples")
    assert storage.jobs.enqueue(request, NOW).run_id == first.run_id
    assert storage.jobs.get(first.run_id).reason == "12 new examples"
    storage.jobs.enqueue(RunRequest("retrain", "support", "rpc", reason="another"), NOW)
    assert storage.jobs.get(first.run_id).reason == "12 new examples"
