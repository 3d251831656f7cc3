"""Two Tritons over one model repository, behind a front that is asked all the time."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.integration.server.front import Front, Workspace
from tests.plugins.triton import CONTROL_KEY, RunningTriton, free_ports
from tests.plugins.waiting import wait_until
from tidemill_client import TidemillClient
from tidemill_core.settings import load_settings
from tidemill_core.storage.deployments import Change
from tidemill_core.supervisor import Supervisor, stack_processes, triton_stand_in
from tidemill_core.triton.control import TritonControl
from tidemill_core.triton.control_key import control_key
from tidemill_jobs.release.serving import Serving, serve

TASK = "support"
_PACE_SECONDS = 0.01
"""Between a thread's calls; without a pause, they take a whole CPU."""


class Callers:
    """Threads that predict until the block ends, which no call may fail."""

    def __init__(self, front: Front) -> None:
        self._client = TidemillClient(front.address, timeout=20)
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(4)]
        self.versions: list[int] = []
        self.failures: list[Exception] = []

    def _ask(self) -> None:
        while not self._stopping.wait(_PACE_SECONDS):
            try:
                self.versions.append(self._client.predict(TASK, "lost my card").model_version)
            except Exception as error:
                self.failures.append(error)

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._client.close()

    def wait_for_more(self, version: int) -> None:
        """Wait until the next answers are this version's."""
        wait_until(lambda: self.versions[-1:] == [version], f"version {version} answers", 30)
        before = len(self.versions)
        wait_until(lambda: len(self.versions) > before + 100, "more answers", 30)


@contextlib.contextmanager
def two_tritons(workspace: Workspace) -> Iterator[tuple[RunningTriton, RunningTriton]]:
    """Yield two Tritons that load what is configured when they start."""
    root = workspace.repository.root
    with (
        RunningTriton(root, workspace.folder / "one", workspace.models) as one,
        RunningTriton(root, workspace.folder / "other", workspace.models) as other,
    ):
        yield one, other


def swap(workspace: Workspace, tritons: TritonControl, version: int) -> None:
    """Load a version and make it the champion, as a retraining does."""
    workspace.publish(TASK)
    models = workspace.storage.models
    serve(Serving(models, workspace.repository, tritons), TASK, models.get(TASK, version))
    models.promote(TASK, version, Change("test", "", "", datetime.now(UTC)))


def test_swaps_and_deaths_lose_no_call(tmp_path: Path) -> None:
    """A swap reaches the Tritons that answer, and the other one when it is back.

    No call fails while one of two is killed, comes back, or stops answering.
    """
    workspace = Workspace(tmp_path, {TASK: 1})
    with two_tritons(workspace) as (one, other):
        target = f"{one.grpc_address},{other.grpc_address}"
        control = TritonControl(target, CONTROL_KEY)
        with control, Front(workspace, target) as front, Callers(front) as callers:
            callers.wait_for_more(1)
            swap(workspace, control, 2)
            callers.wait_for_more(2)
            other.kill()
            callers.wait_for_more(2)
            swap(workspace, control, 3)
            callers.wait_for_more(3)
            other.start()
            with other.control() as alone:
                assert 3 in alone.ready_versions("support-onnx")
            one.kill()
            callers.wait_for_more(3)
            one.start()
            one.process.send_signal(signal.SIGSTOP)
            callers.wait_for_more(3)
            swap(workspace, control, 4)
            callers.wait_for_more(4)
            one.process.send_signal(signal.SIGCONT)
        assert callers.failures == []


@contextlib.contextmanager
def supervised_triton(workspace: Workspace, notes: list[str]) -> Iterator[tuple[str, Supervisor]]:
    """Yield the target of a supervised Triton that may take hardly any memory."""
    ports = dict(zip(("GRPC", "HTTP", "METRICS"), free_ports(3), strict=True))
    with contextlib.chdir(workspace.folder), pytest.MonkeyPatch.context() as environment:
        for name, port in ports.items():
            environment.setenv(f"TIDEMILL_TRITON_{name}_PORT", str(port))
        environment.setenv("TIDEMILL_TRITON__RESTART_ABOVE_MB", "1")
        settings = load_settings()
        stand_in = triton_stand_in(settings, notes.append)
        triton = stack_processes(settings)[:1]
        supervisor = Supervisor(triton, settings.state_dir, stand_in=stand_in)
        supervisor.start()
        try:
            with TritonControl(settings.triton_target, control_key(settings)) as control:
                control.wait_ready(60)
            yield settings.triton_target, supervisor
        finally:
            supervisor.stop()


def test_a_triton_that_has_grown_is_restarted_without_a_failed_call(tmp_path: Path) -> None:
    """A stand-in answers while the embedded Triton above its bound restarts."""
    workspace = Workspace(tmp_path, {TASK: 1})
    notes: list[str] = []
    with supervised_triton(workspace, notes) as (target, supervisor):
        before = supervisor.pids()
        with Front(workspace, target) as front, Callers(front) as callers:

            def polled() -> bool:
                assert supervisor.poll() == []
                return len(notes) == 2

            wait_until(polled, "Triton has restarted", 120)
            callers.wait_for_more(1)
        assert callers.failures == []
        assert "restart_above_mb is 1" in notes[0]
        assert supervisor.pids() != before
