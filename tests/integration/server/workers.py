"""Two of the front's real workers on one port."""

import contextlib
from collections.abc import Callable, Iterator, Mapping

import psutil
import pytest

from tests.integration.server.front import Workspace
from tests.plugins.triton import RunningTriton, free_ports
from tests.plugins.waiting import wait_until
from tidemill_core.settings import load_settings
from tidemill_core.supervisor import (
    ProcessState,
    Supervisor,
    metrics_folder,
    read_processes,
    stack_processes,
)


class Workers:
    """Two workers under a supervisor, and a port that they share.

    Args:
        workspace: where they run.
        names: how the names of the processes begin.
    """

    def __init__(self, workspace: Workspace, names: tuple[str, ...]) -> None:
        settings = load_settings()
        specs = [spec for spec in stack_processes(settings) if spec.name.startswith(names)]
        self.state_dir = settings.state_dir
        self.address = f"127.0.0.1:{settings.grpc_port}"
        self.http_port = settings.http_port
        self.workspace = workspace
        scratch = [metrics_folder(self.state_dir)]
        self.supervisor = Supervisor(specs, self.state_dir, scratch=scratch)

    def answering(self) -> list[bool]:
        """Return whether each worker has a connection."""
        port = int(self.address.rpartition(":")[2])
        return [
            any(
                each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port
                for each in psutil.Process(pid).net_connections("tcp")
            )
            for pid in self.supervisor.pids().values()
        ]

    def until_all_run(self) -> None:
        """Wait until both answer."""
        self.wait_until(
            lambda: {one.state for one in read_processes(self.state_dir)} == {ProcessState.RUNNING},
            "both workers answer",
            40,
        )

    def wait_until(
        self, condition: Callable[[], object], what: str, seconds: float = 120.0
    ) -> None:
        """Check on the workers until a condition holds."""

        def looked_after() -> object:
            self.supervisor.poll()
            return condition()

        wait_until(looked_after, what, seconds)


@contextlib.contextmanager
def running(
    workspace: Workspace,
    triton: RunningTriton,
    names: tuple[str, ...] = ("server",),
    variables: Mapping[str, str] | None = None,
) -> Iterator[Workers]:
    """Yield two workers that answer, and other processes of the stack if they are named.

    Args:
        workspace: where they run.
        triton: the Triton that they ask.
        names: how the names of the processes begin.
        variables: more of their environment.
    """
    grpc_port, http_port, metrics_port = free_ports(3)
    with contextlib.chdir(workspace.folder), pytest.MonkeyPatch.context() as environment:
        environment.setenv("TIDEMILL_TRITON__URL", triton.grpc_address)
        environment.setenv("TIDEMILL_GRPC_PORT", str(grpc_port))
        environment.setenv("TIDEMILL_HTTP_PORT", str(http_port))
        environment.setenv("TIDEMILL_METRICS_PORT", str(metrics_port))
        environment.setenv("TIDEMILL_SERVER__WORKERS", "2")
        for name, value in (variables or {}).items():
            environment.setenv(name, value)
        pair = Workers(workspace, names)
        pair.supervisor.start()
        try:
            pair.until_all_run()
            yield pair
        finally:
            pair.supervisor.hurry()
            pair.supervisor.stop()
