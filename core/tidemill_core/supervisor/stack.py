"""A stack's processes and the ports that they listen on."""

import sys
from collections.abc import Callable
from pathlib import Path

from tidemill_core.settings import Settings
from tidemill_core.supervisor.child import ProcessSpec
from tidemill_core.supervisor.listening import SharedPort
from tidemill_core.supervisor.ports import ListeningPort
from tidemill_core.supervisor.stand_in import StandIn
from tidemill_core.triton.embedded import LOOPBACK, STAND_IN
from tidemill_core.triton.process import StubWatch, server_megabytes

_TRITON = "tidemill_core.triton.main"
_SERVER = "tidemill_server.main"
_SERVER_GRACE_SECONDS = 20.0
# A little more than the time that a worker gives its callers: tidemill_server.transports.
_RETIRE_SECONDS = 15.0


def stack_processes(settings: Settings, clock: Path | None = None) -> list[ProcessSpec]:
    """Return the processes in the order of their start; each needs those before it.

    Triton is left out if the settings name one that already runs. The server has `server.workers`
    processes, from `server-1` on.

    Args:
        settings: the settings of the stack.
        clock: the file of a `SimulatedClock`, for a replay; None for the machine's time.
    """
    triton = ProcessSpec("triton", _module(_TRITON), watch=_lost_a_stub)
    options = () if clock is None else ("--clock", str(clock))
    jobs = ProcessSpec("jobs", _module("tidemill_jobs.main", *options))
    server, ports = _module(_SERVER, "--share-ports", *options), _shared_ports(settings)
    workers = [
        _worker(settings, number + 1, server, ports) for number in range(settings.server.workers)
    ]
    return [*([] if settings.triton.url else [triton]), jobs, *workers]


def triton_stand_in(settings: Settings, note: Callable[[str], None]) -> StandIn | None:
    """Return how the embedded Triton is restarted when it takes too much memory.

    Args:
        settings: the settings of the stack.
        note: takes what happens, for people.
    """
    if settings.triton.url:
        return None
    bound, same = settings.triton.restart_above_mb, "--keep-configuration"

    def is_due(triton_pid: int) -> str | None:
        found = server_megabytes(triton_pid)
        if found <= bound:
            return None
        return f"it takes {found:,.0f} MB, and triton.restart_above_mb is {bound:,.0f}"

    return StandIn(
        spec=ProcessSpec("triton-stand-in", _module(_TRITON, same, "--host", STAND_IN)),
        successor=ProcessSpec("triton", _module(_TRITON, same)),
        port=settings.triton_grpc_port,
        address=f"{STAND_IN}:{settings.triton_grpc_port}",
        file=settings.triton_stand_in_file,
        is_due=is_due,
        note=note,
    )


def _shared_ports(settings: Settings) -> tuple[SharedPort, ...]:
    http = SharedPort("http_port", settings.http_host, settings.http_port)
    if settings.server.transport == "grpcio":  # its workers bind their own, with SO_REUSEPORT
        return (http,)
    return SharedPort("grpc_port", settings.grpc_host, settings.grpc_port), http


def metrics_folder(state_dir: Path) -> Path:
    """Return the folder where the workers share their metrics: any worker answers for all."""
    return state_dir / "metrics"


def _module(name: str, *options: str) -> tuple[str, ...]:
    # -P keeps the workspace off the import path, where a stray `queue.py` would do harm.
    return (sys.executable, "-P", "-m", name, *options)


def _worker(
    settings: Settings, number: int, argv: tuple[str, ...], ports: tuple[SharedPort, ...]
) -> ProcessSpec:
    # The settings that all workers of a stack must share. The workers of a rolling restart do not
    # read them again: a worker on another port would replace none.
    stack_wide = {
        "TIDEMILL_GRPC_HOST": settings.grpc_host,
        "TIDEMILL_GRPC_PORT": str(settings.grpc_port),
        "TIDEMILL_HTTP_HOST": settings.http_host,
        "TIDEMILL_HTTP_PORT": str(settings.http_port),
        "TIDEMILL_METRICS_HOST": settings.metrics_host,
        "TIDEMILL_METRICS_PORT": str(settings.metrics_port),
        "TIDEMILL_SERVER__TRANSPORT": settings.server.transport,
        "TIDEMILL_SERVER__WORKERS": str(settings.server.workers),
        "PROMETHEUS_MULTIPROC_DIR": str(metrics_folder(settings.state_dir)),
    }
    return ProcessSpec(
        name=f"server-{number}",
        # Even a single worker shares its ports: with the worker that replaces it.
        argv=argv,
        env=stack_wide,
        grace_seconds=_SERVER_GRACE_SECONDS,
        retire_seconds=_RETIRE_SECONDS,
        ports=ports,
        files=tuple(file for file in vars(settings.tls).values() if file is not None),
    )


def _lost_a_stub(triton_pid: int) -> Callable[[], bool]:
    return StubWatch(triton_pid).has_lost_a_stub


def stack_ports(settings: Settings) -> list[ListeningPort]:
    """Return every port that the stack listens on."""
    ports = [
        ListeningPort("grpc_port", settings.grpc_host, settings.grpc_port),
        ListeningPort("http_port", settings.http_host, settings.http_port),
        ListeningPort("metrics_port", settings.metrics_host, settings.metrics_port),
    ]
    if not settings.triton.url:
        ports += [
            ListeningPort("triton_grpc_port", LOOPBACK, settings.triton_grpc_port),
            ListeningPort("triton_http_port", LOOPBACK, settings.triton_http_port),
            ListeningPort("triton_metrics_port", LOOPBACK, settings.triton_metrics_port),
        ]
    return ports
