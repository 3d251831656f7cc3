"""`tidemill jobs watch` of a retraining whose version goes through a rollout."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO, Any

import pytest

from tests.integration.server.front import Front, Workspace
from tests.integration.server.scraping import samples, total
from tests.plugins.fake_triton import FakeTriton
from tidemill_core.domain.job import RETRAIN, Trigger
from tidemill_core.domain.rollout import ROLLOUT, RolloutState
from tidemill_core.domain.traffic import Traffic
from tidemill_core.storage.deployments import Change
from tidemill_core.storage.jobs import RunRequest
from tidemill_core.storage.rollouts import request_rollout

TASK = "support"


@pytest.fixture(scope="module")
def rolled_out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, Front]]:
    """Yield a workspace whose retraining has made version 2, which waits for its rollout."""
    workspace = Workspace(tmp_path_factory.mktemp("rollouts"), {TASK: 2})
    with workspace.storage.database.write() as connection:
        request_rollout(connection, TASK, 2, datetime.now(UTC))
    with FakeTriton() as triton, Front(workspace, triton.address) as front:
        yield workspace, front


def watching(address: str, run_id: str, *options: str) -> "subprocess.Popen[str]":
    """Start `tidemill jobs watch`."""
    command = [sys.executable, "-m", "tidemill_cli.main", "jobs", "watch", run_id, *options]
    return subprocess.Popen(
        [*command, "--address", address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(lines: IO[str], **wanted: Any) -> dict[str, Any]:
    """Return the first event that has some values."""
    for line in lines:
        found: dict[str, Any] = json.loads(line)
        if wanted.items() <= found.items():
            return found
    raise AssertionError(f"the command ended without {wanted}")


def checked(workspace: Workspace, **result: Any) -> None:
    """Let a check of the rollout end."""
    jobs, now = workspace.storage.jobs, datetime.now(UTC)
    run = jobs.enqueue(RunRequest(ROLLOUT, TASK, Trigger.ROLLOUT), now)
    jobs.claim(now)
    jobs.succeed(run.run_id, {"decision": "HOLD", "model_version": 2, **result}, now)


def test_a_retraining_is_followed_to_the_end_of_its_rollout(
    rolled_out: tuple[Workspace, Front],
) -> None:
    """Each step and the evidence so far are events; Ctrl-C leaves the rollout, and says so."""
    workspace, front = rolled_out
    storage, now = workspace.storage, datetime.now(UTC)
    run = storage.jobs.enqueue(RunRequest(RETRAIN, TASK, Trigger.RPC), now)
    storage.jobs.claim(now)
    with watching(front.address, run.run_id, "--json") as follower:
        assert follower.stdout is not None
        until(follower.stdout, event="run", state="RUNNING")
        storage.jobs.succeed(run.run_id, {"model_version": 2, "state": "VALIDATED"}, now)
        until(follower.stdout, event="run", state="SUCCEEDED")
        waiting = until(follower.stdout, event="rollout", state="WAITING")
        assert waiting["steps"] == [5, 25, 50, 100]

        with watching(front.address, run.run_id) as interrupted:
            assert interrupted.stderr is not None
            assert any("rollout: 0 % version 2: waiting" in line for line in interrupted.stderr)
            interrupted.send_signal(signal.SIGINT)
            assert "the rollout goes on; to follow it again" in interrupted.stderr.read()
        assert interrupted.returncode == 130

        rollout = storage.rollouts.current(TASK, now)
        assert rollout is not None
        storage.models.set_traffic(TASK, Traffic(shadows=(2,)), Change(ROLLOUT, "", "", now))
        checked(workspace, reason="12 of 200 answers in this step", copies=12)
        reason = "12 of 200 answers in this step"
        shadow = until(follower.stdout, state="RUNNING", percent=0, reason=reason)
        assert shadow["figures"] == {"copies": 12}
        storage.models.set_traffic(TASK, Traffic({2: 5}), Change(ROLLOUT, "", "", now))
        until(follower.stdout, state="RUNNING", percent=5)
        storage.models.promote(TASK, 2, Change(ROLLOUT, "good enough", "", now))
        storage.rollouts.close(rollout, RolloutState.PROMOTED, "good enough", now)
        until(follower.stdout, state="PROMOTED", percent=100, reason="good enough")
    assert follower.returncode == 0


def test_a_run_is_followed_past_the_end_of_its_front(
    rolled_out: tuple[Workspace, Front],
) -> None:
    """A front that ends ends its streams; the command goes on at another one, to the run's end."""
    workspace, front = rolled_out
    storage, now = workspace.storage, datetime.now(UTC)
    run = storage.jobs.enqueue(RunRequest("check_drift", TASK, Trigger.RPC), now)
    storage.jobs.claim(now)
    with FakeTriton() as triton, Front(workspace, triton.address) as other:
        addresses = f"ipv4:{front.address},{other.address}"
        with watching(addresses, run.run_id, "--json") as follower:
            assert follower.stdout is not None
            until(follower.stdout, event="run", state="RUNNING")
            serving = next(each for each in (front, other) if _serves_a_watch(each))
            serving.stop()
            storage.jobs.succeed(run.run_id, {}, now)
            until(follower.stdout, event="run", state="SUCCEEDED")
        if serving is front:
            front.start()
    assert follower.returncode == 0


def _serves_a_watch(front: Front) -> bool:
    return total(samples(front), "in_flight_requests", method="JobService/WatchJobRun") > 0
