"""What a stack is made of: its processes and the ports that they listen on."""

import sys
from collections.abc import Callable
from pathlib import Path

from tidemill_core.settings import Settings
from tidemill_core.supervisor.child import ProcessSpec
from tidemill_core.supervisor.ports import ListeningPort
from tidemill_core.triton.process import StubWatch

_LOOPBACK = "127.0.0.1"
_SERVER = "tidemill_server.main"
_SERVER_GRACE_SECONDS = 20.0
# A little more than a worker gives its callers' connections: tidemill_server.drain.
_RETIRE_SECONDS = 15.0


def stack_processes(settings: Settings) -> list[ProcessSpec]:
    """The processes in the order to start: each needs those before it, and is ended before them.

    Triton is left out where the settings name one that runs already. The server is as many
    workers as the settings say, `server-1` and on.
    """
    triton = ProcessSpec("triton", _module("tidemill_core.triton.main"), watch=_lost_a_stub)
    jobs = ProcessSpec("jobs", _module("tidemill_jobs.main"))
    workers = [_worker(settings, number + 1) for number in range(settings.server.workers)]
    return [*([] if settings.triton.url else [triton]), jobs, *workers]


def metrics_folder(state_dir: Path) -> Path:
    """Where the workers keep the metrics that any of them answers with for all."""
    return state_dir / "metrics"


def _module(name: str, *options: str) -> tuple[str, ...]:
    # -P keeps the workspace off the import path: a stray `queue.py` in it must harm nobody.
    return (sys.executable, "-P", "-m", name, *options)


def _worker(settings: Settings, number: int) -> ProcessSpec:
    # What all workers of a stack must have in common is not read again by those that a rolling
    # restart starts: one on another port would take nobody's place.
    stack_wide = {
        "TIDEMILL_GRPC_HOST": settings.grpc_host,
        "TIDEMILL_GRPC_PORT": str(settings.grpc_port),
        "TIDEMILL_METRICS_HOST": settings.metrics_host,
        "TIDEMILL_METRICS_PORT": str(settings.metrics_port),
        "TIDEMILL_SERVER__WORKERS": str(settings.server.workers),
        "PROMETHEUS_MULTIPROC_DIR": str(metrics_folder(settings.state_dir)),
    }
    return ProcessSpec(
        name=f"server-{number}",
        # Even one worker shares its ports: with its follower, while it is restarted.
        argv=_module(_SERVER, "--share-ports"),
        env=stack_wide,
        grace_seconds=_SERVER_GRACE_SECONDS,
        retire_seconds=_RETIRE_SECONDS,
    )


def _lost_a_stub(triton_pid: int) -> Callable[[], bool]:
    return StubWatch(triton_pid).has_lost_a_stub


def stack_ports(settings: Settings) -> list[ListeningPort]:
    """Every port that the stack listens on."""
    ports = [
        ListeningPort("grpc_port", settings.grpc_host, settings.grpc_port),
        ListeningPort("metrics_port", settings.metrics_host, settings.metrics_port),
    ]
    if not settings.triton.url:
        ports += [
            ListeningPort("triton_grpc_port", _LOOPBACK, settings.triton_grpc_port),
            ListeningPort("triton_http_port", _LOOPBACK, settings.triton_http_port),
            ListeningPort("triton_metrics_port", _LOOPBACK, settings.triton_metrics_port),
        ]
    return ports
