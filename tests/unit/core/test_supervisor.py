"""The supervisor's rules, without processes."""

import fcntl
import os
import socket
import threading
from pathlib import Path

import pytest

from tidemill_core.errors import AlreadyRunning, ConfigurationError
from tidemill_core.settings import (
    FilesSource,
    ServerSettings,
    Settings,
    TaskSettings,
    TritonSettings,
)
from tidemill_core.supervisor import (
    ListeningPort,
    Restarts,
    StateDirectoryLock,
    probe_ports,
    stack_ports,
    stack_processes,
)

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def settings(tmp_path: Path, **values: object) -> Settings:
    """Return the settings of one task, independent of any workspace."""
    task = TaskSettings(sources=[FilesSource(path=tmp_path / "examples.csv")])
    return Settings.model_validate({"tasks": {"support": task}, "state_dir": tmp_path, **values})


def test_the_first_restart_is_immediate_and_later_ones_back_off_up_to_ten_seconds() -> None:
    """A process that dies repeatedly is restarted after 0, 0.2, 0.4 … 10 seconds."""
    restarts, delays = Restarts(), []
    for _ in range(9):
        restarts = restarts.after_death(lived_seconds=1.0)
        delays.append(restarts.delay_seconds)
    assert delays == pytest.approx([0, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10])


def test_a_minute_of_health_forgives_earlier_deaths() -> None:
    """The death of a process that ran for a minute counts as its first."""
    restarts = Restarts(deaths=7).after_death(lived_seconds=60.0)
    assert restarts == Restarts(deaths=1)


def test_ten_thousand_deaths_do_not_overflow() -> None:
    """The backoff stays at its limit however often the process dies."""
    assert Restarts(deaths=10_000).delay_seconds == 10.0


def test_a_port_that_somebody_listens_on_is_refused_by_name() -> None:
    """The error names the port, its setting and its environment variable."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((LOOPBACK, 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(AlreadyRunning, match=f"port {port} .*grpc_port.*TIDEMILL_GRPC_PORT"):
            probe_ports([ListeningPort("grpc_port", LOOPBACK, port)])


def test_free_ports_pass() -> None:
    """Free ports are accepted, and are still free afterwards."""
    port = ListeningPort("grpc_port", LOOPBACK, free_port())
    probe_ports([port])
    probe_ports([port])


def test_two_settings_with_one_port_are_refused() -> None:
    """One port for two purposes is a configuration error that names both settings."""
    port = free_port()
    ports = [
        ListeningPort("grpc_port", LOOPBACK, port),
        ListeningPort("triton_grpc_port", LOOPBACK, port),
    ]
    with pytest.raises(ConfigurationError, match="grpc_port and triton_grpc_port are both"):
        probe_ports(ports)


def test_a_host_that_is_not_this_machine_is_refused() -> None:
    """An address of another machine is a configuration error, not a port in use."""
    with pytest.raises(ConfigurationError, match="cannot listen on port"):
        probe_ports([ListeningPort("grpc_port", "192.0.2.1", free_port())])


def test_the_lock_can_be_taken_again_once_it_is_released(tmp_path: Path) -> None:
    """A stack can use the state directory of one that ended."""
    lock = StateDirectoryLock(tmp_path / "state")
    lock.acquire()
    lock.release()
    StateDirectoryLock(tmp_path / "state").acquire()


def test_the_holder_of_the_lock_is_known_without_taking_it(tmp_path: Path) -> None:
    """`holder` returns the process that holds the lock, and None before and after."""
    lock, watcher = StateDirectoryLock(tmp_path), StateDirectoryLock(tmp_path)
    assert watcher.holder() is None
    lock.acquire()
    assert watcher.holder() == str(os.getpid())
    lock.release()
    assert watcher.holder() is None


def test_a_look_at_the_holder_does_not_keep_a_stack_from_starting(tmp_path: Path) -> None:
    """A stack that starts waits while `holder` has the lock for a moment."""
    (tmp_path / "lock").touch()
    with (tmp_path / "lock").open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        timer = threading.Timer(0.1, looking.close)
        timer.start()
        StateDirectoryLock(tmp_path).acquire()
        timer.join()


def test_a_stack_ends_its_server_first_and_triton_last(tmp_path: Path) -> None:
    """Processes start in the order Triton, jobs, server, and end in the opposite order."""
    names = [process.name for process in stack_processes(settings(tmp_path))]
    assert names == ["triton", "jobs", "server-1"]


def test_every_worker_of_the_server_is_a_process_that_can_be_replaced(tmp_path: Path) -> None:
    """Three workers share ports and metrics, even if tidemill.toml changes before a replacement."""
    several = settings(tmp_path, server=ServerSettings(workers=3), grpc_port=50_123)
    workers = [each for each in stack_processes(several) if each.name.startswith("server")]
    assert [worker.name for worker in workers] == ["server-1", "server-2", "server-3"]
    for worker in workers:
        assert worker.retire_seconds is not None
        assert "--share-ports" in worker.argv
        assert worker.env["TIDEMILL_GRPC_PORT"] == "50123"
        assert worker.env["TIDEMILL_HTTP_PORT"] == "8080"
        assert worker.env["PROMETHEUS_MULTIPROC_DIR"] == str(tmp_path / "metrics")


def test_a_triton_that_runs_already_is_neither_started_nor_probed(tmp_path: Path) -> None:
    """With triton.url, Triton's process and ports are left out."""
    elsewhere = settings(tmp_path, triton=TritonSettings(url="triton:8001"))
    assert [process.name for process in stack_processes(elsewhere)] == ["jobs", "server-1"]
    front = ["grpc_port", "http_port", "metrics_port"]
    assert [port.setting for port in stack_ports(elsewhere)] == front


def test_every_port_of_the_embedded_stack_is_probed(tmp_path: Path) -> None:
    """The front's ports are probed on their hosts and Triton's three on loopback."""
    ports = stack_ports(settings(tmp_path, grpc_host="0.0.0.0"))  # noqa: S104 -- the case itself
    assert [(port.setting, port.host) for port in ports] == [
        ("grpc_port", "0.0.0.0"),  # noqa: S104 -- the case itself
        ("http_port", LOOPBACK),
        ("metrics_port", LOOPBACK),
        ("triton_grpc_port", LOOPBACK),
        ("triton_http_port", LOOPBACK),
        ("triton_metrics_port", LOOPBACK),
    ]
