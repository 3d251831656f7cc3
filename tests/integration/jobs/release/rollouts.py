"""A task with a champion and a version that waits for its rollout, behind a real front."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.integration.server.front import Front, Workspace
from tests.plugins.job_runs import run_of
from tests.plugins.triton import CONTROL_KEY, RunningTriton
from tests.plugins.waiting import wait_until
from tidemill.v1 import feedback_service_pb2 as feedback_pb
from tidemill.v1 import model_service_pb2 as model_pb
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_core.clock import Clock
from tidemill_core.domain.model import Deployment, ModelState
from tidemill_core.domain.traffic import Traffic
from tidemill_core.settings import load_settings
from tidemill_core.storage.rollouts import request_rollout
from tidemill_core.storage.storage import Storage
from tidemill_core.triton.control import TritonControl
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.release.rollout import watch

TASK = "support"
STEP_ANSWERS = 20
SECTION = f"""
[monitoring]
max_p99_latency_ms = 5000  # the machine of the tests may be busy
[tasks.{TASK}.rollout]
step_hours = 0
step_answers = {STEP_ANSWERS}
"""
MAX_CALLS = 3000

KILLED_AT = """
import os, signal, sys
from datetime import UTC, datetime
from sqlalchemy import event
from tests.integration.jobs.release.rollouts import open_context
from tidemill_core.settings import load_settings
from tidemill_core.storage.storage import open_storage
from tidemill_core.storage.storage import Storage
from tidemill_core.triton.control import TritonControl
from tidemill_core.triton.control_key import control_key
from tidemill_jobs.release.rollout import watch

def check(last):
    settings = load_settings()
    storage = open_storage(settings.effective_database_url)
    begun = 0

    @event.listens_for(storage.database.engine, "begin")
    def die(connection):
        nonlocal begun
        begun += 1
        if begun == last:
            os.kill(os.getpid(), signal.SIGKILL)

    with TritonControl(settings.triton_address, control_key(settings)) as triton:
        watch.run(open_context(storage, triton))

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        check(int(line))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Checks, each in its own process, killed as they begin the n-th transaction.

It reads each n from a line, and prints the exit code. The imports, which are slow, are done once.
"""


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def open_context(storage: Storage, triton: TritonControl, clock: Clock = now) -> JobContext:
    """Return the context of a check, in the workspace's folder."""
    return run_of(load_settings(), storage, triton, clock)


class RolledOut(Workspace):
    """A workspace whose version 2 passed the gates after version 1 became champion."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {TASK: 2})
        with (folder / "tidemill.toml").open("a") as file:
            file.write(SECTION)
        self.let_wait(2)

    def let_wait(self, version: int) -> None:
        """Let a version wait for its rollout."""
        with self.storage.database.write() as connection:
            request_rollout(connection, TASK, version, now())


@dataclass
class Watched:
    """The workspace, its servers, and checks of its rollout."""

    workspace: RolledOut
    triton: RunningTriton
    front: Front

    def check(self, clock: Clock = now) -> Result:
        """Run the job once."""
        with chdir(self.workspace.folder), self.triton.control() as control:
            return watch.run(open_context(self.workspace.storage, control, clock))

    @contextmanager
    def dying_checks(self) -> Iterator[Callable[[int], bool]]:
        """Yield a function that checks in another process, killed as it begins a transaction.

        It returns False if the check ended before that.
        """
        environment = {
            **os.environ,
            "TIDEMILL_TRITON__URL": self.triton.grpc_address,
            "TIDEMILL_TRITON__CONTROL_KEY": CONTROL_KEY,
            "PYTHONPATH": str(Path(__file__).parents[4]),
        }
        command = [sys.executable, "-c", KILLED_AT]
        pipe, folder = subprocess.PIPE, self.workspace.folder
        with subprocess.Popen(
            command, cwd=folder, env=environment, stdin=pipe, stdout=pipe, text=True
        ) as process:
            asking, answering = process.stdin, process.stdout
            assert asking is not None
            assert answering is not None

            def check_and_die(transaction: int) -> bool:
                print(transaction, file=asking, flush=True)
                code = int(answering.readline())
                assert code in (0, -signal.SIGKILL)
                return code != 0

            yield check_and_die

    @property
    def deployment(self) -> Deployment:
        """The current deployment."""
        found = self.workspace.storage.models.deployment(TASK)
        assert found is not None
        return found

    @property
    def traffic(self) -> Traffic:
        """The current canaries and shadows."""
        return Traffic(self.deployment.canaries, self.deployment.shadows)

    def state(self, version: int = 2) -> ModelState:
        """Return the state of a version."""
        return self.workspace.storage.models.get(TASK, version).state

    def ask(self) -> pb.Prediction:
        """Predict once, as a caller without a routing key."""
        request = pb.PredictRequest(task=TASK, text="my card is lost")
        return self.front.predictions.Predict(request, timeout=20).prediction

    def wait_routed(self) -> None:
        """Wait until the front has noticed the newest deployment."""
        wait_until(lambda: self._routed() == self.traffic, "the front has noticed")

    def _routed(self) -> Traffic:
        [task] = self.front.models.ListTasks(model_pb.ListTasksRequest(), timeout=20).tasks
        canaries = {each.model_version: each.percent for each in task.canaries}
        return Traffic(canaries, tuple(task.shadows))

    def answers_until_enough(self, right: Callable[[int], bool]) -> list[int]:
        """Call until the candidate has answered enough for a step, and judge each answer.

        Args:
            right: whether a version's answers are right.

        Returns:
            The versions that answered.
        """
        versions: list[int] = []
        stored = len(self.workspace.stored())
        while versions.count(2) < STEP_ANSWERS and len(versions) < MAX_CALLS:
            answer = self.ask()
            versions.append(answer.model_version)
            self._judge(answer.prediction_id, right(answer.model_version))
        wait_until(lambda: len(self.workspace.stored()) >= stored + len(versions), "all are stored")
        return versions

    def copies_until_enough(self) -> None:
        """Call until the shadow has got enough copies for its step."""

        def copies() -> int:
            return sum(row[1] == "Shadow" for row in self.workspace.stored())

        for _ in range(MAX_CALLS):
            self.ask()
            if copies() >= STEP_ANSWERS:
                return
        raise AssertionError("no copies")

    def _judge(self, prediction_id: str, right: bool) -> None:
        request = feedback_pb.SubmitFeedbackRequest(
            prediction_id=prediction_id, correct=right, source="test"
        )
        self.front.feedback.SubmitFeedback(request, timeout=20)
