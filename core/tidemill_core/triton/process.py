"""The tritonserver process: becoming it, and noticing when it is no longer whole."""

import contextlib
import os
from typing import NoReturn

import psutil  # type: ignore[import-untyped]

from tidemill_core.triton.embedded import Command
from tidemill_core.triton.region_rights import keep_regions_private


class StubWatch:
    """Notices that a model's stub process died, which Triton 2.51 neither mends nor reports.

    The model stays READY while every call to it fails, so whoever started Triton looks here
    every second or so, and kills and restarts it. Triton collects the stubs that it ends itself;
    one that died stays a zombie, and counts when two looks find it.
    """

    def __init__(self, triton_pid: int) -> None:
        self._triton_pid = triton_pid
        self._dead_before: frozenset[int] = frozenset()

    def has_lost_a_stub(self) -> bool:
        """Say whether a stub that was dead at the last look still is; False once Triton is gone."""
        dead = _dead_children(self._triton_pid)
        lost = bool(dead & self._dead_before)
        self._dead_before = dead
        return lost


def exec_triton(command: Command) -> NoReturn:
    """Replace this process by tritonserver.

    tritonserver exits on a terminal's Ctrl-C even when it is told to ignore it, so it gets a
    session of its own; its parent stops it by SIGTERM, last of all. A parent that is killed takes
    it along if this process was started through `exec_with_parent`. Python-based backends end
    themselves when their tritonserver is gone.

    Args:
        command: From `embedded.prepare`.
    """
    with contextlib.suppress(PermissionError):  # it leads a process group of its own already
        os.setsid()
    keep_regions_private()
    os.chdir(command.working_directory)
    os.execve(command.arguments[0], command.arguments, command.environment)  # noqa: S606 - our own binary, no shell


def _dead_children(process_id: int) -> frozenset[int]:
    dead = set()
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process_id).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.status() == psutil.STATUS_ZOMBIE:
                    dead.add(child.pid)
    return frozenset(dead)
