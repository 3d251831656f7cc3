"""What a stack is made of: its processes and the ports that they listen on."""

import sys
from collections.abc import Callable

from tidemill_core.settings import Settings
from tidemill_core.supervisor.child import ProcessSpec
from tidemill_core.supervisor.ports import ListeningPort
from tidemill_core.triton.process import StubWatch

_LOOPBACK = "127.0.0.1"
_GRACE_SECONDS = {"triton": 10.0, "jobs": 10.0, "server": 20.0}
_MODULES = {
    "triton": "tidemill_core.triton.main",
    "jobs": "tidemill_jobs.main",
    "server": "tidemill_server.main",
}


def stack_processes(settings: Settings) -> list[ProcessSpec]:
    """The processes in the order to start: each needs those before it, and is ended before them.

    Triton is left out where the settings name one that runs already.
    """
    names = [name for name in _MODULES if not (name == "triton" and settings.triton.url)]
    # -P keeps the workspace off the import path: a stray `queue.py` in it must harm nobody.
    return [
        ProcessSpec(
            name=name,
            argv=(sys.executable, "-P", "-m", _MODULES[name]),
            grace_seconds=_GRACE_SECONDS[name],
            watch=_lost_a_stub if name == "triton" else None,
        )
        for name in names
    ]


def _lost_a_stub(triton_pid: int) -> Callable[[], bool]:
    return StubWatch(triton_pid).has_lost_a_stub


def stack_ports(settings: Settings) -> list[ListeningPort]:
    """Every port that the stack listens on."""
    ports = [ListeningPort("grpc_port", settings.grpc_host, settings.grpc_port)]
    if not settings.triton.url:
        ports += [
            ListeningPort("triton_grpc_port", _LOOPBACK, settings.triton_grpc_port),
            ListeningPort("triton_http_port", _LOOPBACK, settings.triton_http_port),
            ListeningPort("triton_metrics_port", _LOOPBACK, settings.triton_metrics_port),
        ]
    return ports
