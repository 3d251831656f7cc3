"""The restart of small real processes that have grown, next to a stand-in."""

import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.plugins.triton import free_ports
from tests.plugins.waiting import wait_until
from tidemill_core.supervisor import ProcessSpec, StandIn, Supervisor
from tidemill_core.triton.process import server_megabytes

# Listens on an address, and grows by some megabytes.
LISTENER = """
import socket, sys, time
with socket.create_server((sys.argv[1], int(sys.argv[2]))):
    grown = b"x" * int(float(sys.argv[3]) * 1e6)
    time.sleep(600)
"""
BOUND = 60
Watch = Callable[[int], Callable[[], bool]]


def listener(
    name: str, host: str, port: int, megabytes: int, script: str = LISTENER
) -> ProcessSpec:
    """Return a process that listens."""
    return ProcessSpec(name, (sys.executable, "-c", script, host, str(port), str(megabytes)))


def outgrown(pid: int) -> str | None:
    """Return the reason for a restart."""
    return f"above {BOUND} MB" if server_megabytes(pid) > BOUND else None


def supervised(
    tmp_path: Path,
    script: str,
    notes: list[str],
    *,
    then: int = 0,
    folder: str = "",
    watch: Watch | None = None,
) -> tuple[Supervisor, Path]:
    """Return a supervisor of a process that has grown too large, and the stand-in's file.

    Args:
        tmp_path: its state directory.
        script: the stand-in's.
        notes: what happens.
        then: megabytes by which the process grows that replaces it.
        folder: of the file.
        watch: of the process.
    """
    [port] = free_ports(1)
    file = tmp_path / folder / "address"
    stand_in = StandIn(
        spec=listener("stand-in", "127.0.0.2", port, 0, script),
        successor=listener("large", "127.0.0.1", port, then),
        port=port,
        address=f"127.0.0.2:{port}",
        file=file,
        is_due=outgrown,
        note=notes.append,
        rest_seconds=0.2,
    )
    large = replace(listener("large", "127.0.0.1", port, 2 * BOUND), watch=watch)
    return Supervisor([large], tmp_path, stand_in=stand_in), file


def until(supervisor: Supervisor, condition: Callable[[], object], what: str) -> None:
    """Poll until a condition holds; no process may die meanwhile."""

    def polled() -> object:
        assert supervisor.poll() == []
        return condition()

    wait_until(polled, what)


def test_a_process_that_has_grown_is_replaced_while_its_stand_in_answers(tmp_path: Path) -> None:
    """The stand-in's address is known before the process ends, and until its successor answers."""
    notes: list[str] = []
    supervisor, file = supervised(tmp_path, LISTENER, notes)
    supervisor.start()
    try:
        before = supervisor.pids()["large"]
        until(supervisor, file.exists, "the stand-in answers")
        assert supervisor.pids()["large"] == before
        assert file.read_text().startswith("127.0.0.2:")
        until(supervisor, lambda: supervisor.pids().get("large", before) != before, "it restarts")
        assert file.exists()
        until(supervisor, lambda: not file.exists(), "the stand-in ends")
        assert server_megabytes(supervisor.pids()["large"]) < BOUND
        assert notes[0] == f"large is restarted: above {BOUND} MB"
        assert notes[1:] == ["large has restarted"]
    finally:
        supervisor.stop()


def test_a_process_stays_if_its_stand_in_does_not_start(tmp_path: Path) -> None:
    """A process that is too large is better than none."""
    notes: list[str] = []
    supervisor, file = supervised(tmp_path, "raise SystemExit(1)", notes)
    supervisor.start()
    try:
        before = supervisor.pids()
        until(supervisor, lambda: len(notes) == 2, "the stand-in has failed")
        assert "not restarted" in notes[1]
        assert supervisor.pids() == before
        assert not file.exists()
    finally:
        supervisor.stop()


def test_a_bound_that_is_too_low_restarts_a_process_ever_more_rarely(tmp_path: Path) -> None:
    """A process that is too large again at once waits twice as long, and people hear why."""
    notes: list[str] = []
    supervisor, _ = supervised(tmp_path, LISTENER, notes, then=2 * BOUND)
    supervisor.start()
    try:
        until(supervisor, lambda: len(notes) == 4, "it is restarted again")
        assert notes[2] == notes[0]
        assert "raise the bound" in notes[3]
    finally:
        supervisor.stop()


def test_a_process_stays_if_its_stand_in_cannot_be_announced(tmp_path: Path) -> None:
    """A file that cannot be written, as on a full disk, does not end the stack."""
    notes: list[str] = []
    supervisor, _ = supervised(tmp_path, LISTENER, notes, folder="missing")
    supervisor.start()
    try:
        before = supervisor.pids()
        until(supervisor, lambda: len(notes) == 2, "the restart is given up")
        assert notes[1].startswith("large is not restarted: ")
        assert supervisor.pids() == before
    finally:
        supervisor.stop()


def test_a_file_that_a_killed_stack_left_is_gone_before_callers_start(tmp_path: Path) -> None:
    """Otherwise they would call whoever listens there now."""
    seen: list[bool] = []

    def watch(_pid: int) -> Callable[[], bool]:
        seen.append(file.exists())
        return lambda: False

    supervisor, file = supervised(tmp_path, LISTENER, [], watch=watch)
    file.write_text("127.0.0.2:1")
    supervisor.start()
    supervisor.stop()
    assert seen == [False]


def test_a_stack_that_stops_takes_its_stand_in_along(tmp_path: Path) -> None:
    """Nothing is left when a stack stops in the middle of a restart."""
    supervisor, file = supervised(tmp_path, LISTENER, [])
    supervisor.start()
    until(supervisor, file.exists, "the stand-in answers")
    host, _, port = file.read_text().rpartition(":")
    socket.create_connection((host, int(port))).close()
    supervisor.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))
