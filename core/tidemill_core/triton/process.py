"""The tritonserver process: how this process becomes it, its memory, and its lost stubs."""

import os
from typing import NoReturn

import psutil

from tidemill_core.triton.embedded import Command
from tidemill_core.triton.region_rights import keep_regions_private


class StubWatch:
    """A watch for dead stubs of models, which Triton 2.51 neither restarts nor reports.

    The model stays READY while every call to it fails. So the process that started Triton looks
    every second or so, and kills and restarts Triton when a stub died. Triton reaps a stub that it
    ends itself; a stub that died by itself stays a zombie, and counts when two looks find it.
    """

    def __init__(self, triton_pid: int) -> None:
        self._triton_pid = triton_pid
        self._dead_before: frozenset[int] = frozenset()

    def has_lost_a_stub(self) -> bool:
        """Return whether this look and the one before found a stub dead.

        False too once Triton is gone, or where /proc does not show its children.
        """
        dead = _dead_children(self._triton_pid)
        lost = bool(dead & self._dead_before)
        self._dead_before = dead
        return lost


def server_megabytes(triton_pid: int) -> float:
    """Return the memory of the tritonserver process without its stubs; 0 once it is gone."""
    try:
        return float(psutil.Process(triton_pid).memory_info().rss) / 1e6
    except psutil.Error:
        return 0.0


def exec_triton(command: Command) -> NoReturn:
    """Replace this process with tritonserver.

    tritonserver exits on a terminal's Ctrl-C even when it ignores the signal, so start this process
    in its own session and stop it with SIGTERM. A parent that is killed takes it along if it
    started this process through `exec_with_parent`. Stubs end themselves when their tritonserver
    is gone.

    Args:
        command: from `embedded.prepare`.
    """
    keep_regions_private()
    os.chdir(command.working_directory)
    os.execve(command.arguments[0], command.arguments, command.environment)  # noqa: S606 - our own binary, no shell


def _dead_children(process_id: int) -> frozenset[int]:
    try:
        children = psutil.Process(process_id).children()
        return frozenset(child.pid for child in children if _is_zombie(child))
    except psutil.Error:
        return frozenset()


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
