"""The supervisor of one stack."""

import contextlib
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from tidemill_core.supervisor.child import Child, ProcessSpec
from tidemill_core.supervisor.file_watch import FileWatch
from tidemill_core.supervisor.kept import Ended, Kept
from tidemill_core.supervisor.lock import StateDirectoryLock
from tidemill_core.supervisor.ports import ListeningPort, probe_ports
from tidemill_core.supervisor.processes import ProcessStatus, status_of, write_processes
from tidemill_core.supervisor.rolling import REPORT_FILE, RestartReport, RollingRestart
from tidemill_core.supervisor.stand_in import Relief, StandIn

_INTERVAL_SECONDS = 0.02
_PORT_PATIENCE_SECONDS = 2.0


class Supervisor:
    """Keeps the processes of one stack alive.

    It is not thread-safe. Use it in one long-lived thread: the kernel kills the children when the
    thread that started them ends. So nothing of the stack is left when the supervisor dies, even by
    a kill.
    """

    def __init__(
        self,
        processes: Sequence[ProcessSpec],
        state_dir: Path,
        ports: Sequence[ListeningPort] = (),
        scratch: Sequence[Path] = (),
        stand_in: StandIn | None = None,
    ) -> None:
        """Set up a stack without starting it.

        Args:
            processes: in the order of their start; they end in the opposite order.
            state_dir: the folder with the lock and `logs/`.
            ports: the ports that the processes will listen on.
            scratch: folders that are emptied before the start.
            stand_in: answers for a process, which it names, while that is restarted.
        """
        self._state_dir = state_dir
        self._lock = StateDirectoryLock(state_dir)
        self._logs = state_dir / "logs"
        self._ports = tuple(ports)
        self._scratch = tuple(scratch)
        self._kept = [Kept(spec, self._logs / f"{spec.name}.log") for spec in processes]
        self._stand_in = stand_in
        self._relief: Relief | None = None
        self._hurry = False
        self._restart: RollingRestart | None = None
        self._restarts = 0
        self._report: RestartReport | None = None
        self._processes: list[ProcessStatus] = []
        self._files = FileWatch([file for spec in processes for file in spec.files])

    def start(self) -> None:
        """Take the state directory, probe the ports and start every process.

        Raises:
            AlreadyRunning: another stack holds the state directory, or a port is taken.
            ConfigurationError: a port cannot be listened on.
        """
        self._lock.acquire()
        try:
            probe_ports(self._ports, _PORT_PATIENCE_SECONDS)
            self._logs.mkdir(exist_ok=True)
            for folder in self._scratch:
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
            # An earlier stack may have left it, whose numbers began at 1 as well.
            (self._state_dir / REPORT_FILE).unlink(missing_ok=True)
            if self._stand_in is not None:  # before callers start, who read its file
                name = self._stand_in.successor.name
                kept = next(kept for kept in self._kept if kept.spec.name == name)
                self._relief = Relief(kept, self._stand_in)
            for kept in self._kept:
                kept.start()
            self._note_processes()
        except BaseException:
            self.stop()
            raise

    def poll(self) -> list[Ended]:
        """Restart the processes that died; call this several times a second.

        When files of the workers change, the workers are replaced as by `restart`.

        Returns:
            The deaths that this call found.
        """
        deaths = [ended for kept in self._kept if (ended := kept.poll()) is not None]
        if self._restart is None and self._files.have_changed():
            self.restart()
        self._poll_restart()
        if self._relief is not None:
            self._relief.poll()
        self._note_processes()
        return deaths

    def restart(self) -> bool:
        """Start to replace the workers one at a time; `poll` continues.

        `read_report` returns the progress from the state directory.

        Returns:
            False if another restart is under way, so this one did not start.
        """
        if self._restart is not None:
            return False
        workers = [kept for kept in self._kept if kept.spec.retire_seconds is not None]
        self._restart = RollingRestart(workers)
        self._restarts += 1
        self._poll_restart()
        return True

    def _note_processes(self) -> None:
        processes = [status_of(kept) for kept in self._kept]
        if processes != self._processes:
            with contextlib.suppress(OSError):  # a full disk must not end the stack
                write_processes(self._state_dir, processes)
                self._processes = processes

    def _poll_restart(self) -> None:
        if self._restart is None:
            return
        self._restart.poll()
        restart = self._restart
        report = RestartReport(self._restarts, os.getpid(), restart.ended, restart.steps)
        if report != self._report:
            with contextlib.suppress(OSError):  # a full disk must not end the stack
                report.write(self._state_dir)
                self._report = report
        if restart.ended:
            self._restart = None

    def pids(self) -> dict[str, int]:
        """Return the ids of the running processes, by name."""
        return {kept.spec.name: kept.child.pid for kept in self._kept if kept.child is not None}

    def hurry(self) -> None:
        """Make the present or a later `stop` kill at once. Safe in a signal handler."""
        self._hurry = True

    def stop(self) -> None:
        """Stop the processes one after another, the last started first, and release the lock.

        Each gets SIGTERM and its grace; then what is left of it is killed.
        """
        if self._restart is not None:
            for child, grace_seconds in self._restart.children():
                self._end(child, grace_seconds)
            self._restart = None
        for kept in reversed(self._kept):
            if kept.child is not None:
                self._end(kept.child, kept.spec.grace_seconds)
                kept.child = None
            for port in kept.spec.ports:
                port.close()
        for child, grace_seconds in [] if self._relief is None else self._relief.children():
            self._end(child, grace_seconds)
        self._lock.release()

    def _end(self, child: Child, grace_seconds: float) -> None:
        child.terminate()
        deadline = time.monotonic() + grace_seconds
        while child.exit_code() is None:
            if self._hurry or time.monotonic() >= deadline:
                child.kill()
                return
            time.sleep(_INTERVAL_SECONDS)
