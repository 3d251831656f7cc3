"""`tidemill up`."""

import contextlib
import signal
import time
from pathlib import Path
from types import FrameType

import typer

from tidemill_cli.local import require_extras
from tidemill_cli.options import AsJson
from tidemill_cli.output import print_json, say, stdout
from tidemill_cli.progress import progress_view
from tidemill_cli.ready import example
from tidemill_cli.target import caller_settings, http_url, target_of
from tidemill_core.errors import ConfigurationError
from tidemill_core.private_files import keep_files_private
from tidemill_core.settings import Settings, settings_with_tasks, unset_variables
from tidemill_core.shown import shown_lines
from tidemill_core.supervisor import (
    RESTART_SIGNAL,
    Ended,
    Supervisor,
    metrics_folder,
    stack_ports,
    stack_processes,
    triton_stand_in,
)
from tidemill_core.supervisor.lock import stack_runs
from tidemill_core.triton.embedded import unsupported_reason

app = typer.Typer(add_completion=False)
_POLL_SECONDS = 0.1
_LOOK_SECONDS = 0.5
# This many deaths in a row show that restarts do not help.
_MANY_DEATHS = 3
_NO_CERTIFICATE = (
    "tls.client_ca is set, but TIDEMILL_CLIENT_CERTIFICATE and TIDEMILL_CLIENT_KEY are not: "
    "without them this command cannot see when the tasks answer"
)


@app.command(epilog="Example: cd my-workspace && tidemill up")
def up(as_json: AsJson = False) -> None:
    """Start Triton, the server and the jobs, and keep them running until Ctrl-C."""
    require_extras()
    keep_files_private()
    settings = settings_with_tasks()
    if not settings.triton.url and (reason := unsupported_reason()) is not None:
        raise ConfigurationError(reason)
    if settings.tls.client_ca is not None and caller_settings().client_certificate is None:
        say(_NO_CERTIFICATE, style="yellow")
    for name, variable in unset_variables(settings.tasks):
        say(f"{variable} is not set: {name} needs it to read its source", style="yellow")
    processes, ports = stack_processes(settings), stack_ports(settings)
    scratch = [metrics_folder(settings.state_dir)]
    stand_in = triton_stand_in(settings, _note)
    supervisor = Supervisor(processes, settings.state_dir, ports, scratch, stand_in)
    asked = _Signals(supervisor)
    _create_database(settings)
    supervisor.start()
    try:
        _note(f"starting {', '.join(process.name for process in processes)}: Ctrl-C stops them")
        if _wait_until_ready(settings, supervisor, asked):
            with contextlib.suppress(OSError):
                _announce(settings, as_json)
        while not asked.to_stop:
            _keep_alive(supervisor, asked)
    finally:
        _note("stopping; another Ctrl-C kills the processes that are left")
        supervisor.stop()
    _note("stopped")


def _create_database(settings: Settings) -> None:
    """Create the SQLite file of a new workspace: the processes of a stack create none."""
    # Importing the database's packages takes half a second: only this command needs it.
    from tidemill_core.storage.engine import create_missing

    if not stack_runs(settings.state_dir):
        create_missing(settings.effective_database_url)


def _note(text: str, style: str = "") -> None:
    """Print a note. A full disk or a closed terminal does not end the stack."""
    with contextlib.suppress(OSError):
        say(text, style=style)


class _Signals:
    """The signals that the stack has received.

    Ctrl-C, SIGTERM and a closed terminal stop the stack; a second one kills what is left.
    `tidemill restart` sends RESTART_SIGNAL.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self.to_stop = False
        self.to_restart = False
        self._supervisor = supervisor
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note_stop)
        signal.signal(RESTART_SIGNAL, self._note_restart)

    def _note_stop(self, _number: int, _frame: FrameType | None) -> None:
        if self.to_stop:
            self._supervisor.hurry()
        self.to_stop = True

    def _note_restart(self, _number: int, _frame: FrameType | None) -> None:
        self.to_restart = True


def _keep_alive(supervisor: Supervisor, asked: _Signals) -> None:
    if asked.to_restart:
        asked.to_restart = False
        if supervisor.restart():
            _note("restarting the server's workers, one at a time")
    for ended in supervisor.poll():
        _note(_ending(ended), style="yellow")
    time.sleep(_POLL_SECONDS)


def _wait_until_ready(settings: Settings, supervisor: Supervisor, asked: _Signals) -> bool:
    """Show each task's progress until all are served; return False if stopped before."""
    # Importing the database's packages takes half a second: only this command needs it.
    from tidemill_cli.startup import Startup

    with Startup(settings) as startup, progress_view() as show_progress:
        next_look = 0.0
        while not asked.to_stop:
            _keep_alive(supervisor, asked)
            if time.monotonic() < next_look:
                continue
            tasks = startup.look()
            for task in tasks:
                with contextlib.suppress(OSError):
                    show_progress(task.task, task.fraction, task.message)
                if task.new_error:
                    _note(task.new_error, style="red")
            if all(task.serving for task in tasks):
                return True
            next_look = time.monotonic() + _LOOK_SECONDS
    return False


def _announce(settings: Settings, as_json: bool) -> None:
    target, url, console = target_of(""), http_url(settings), stdout()
    if as_json:
        ready = {"state": "READY", "address": target.address, "http_url": url}
        print_json({**ready, "tasks": list(settings.tasks)})
    else:
        served = ", ".join(settings.tasks)
        console.print(f"ready: {served} at {target.address} (gRPC) and {url}", style="green")
        console.print(shown_lines(example(settings, target)))
    console.file.flush()


def _ending(ended: Ended) -> str:
    code = ended.exit_code
    how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    when = f"in {ended.restart_seconds:g} s" if ended.restart_seconds else "now"
    text = f"{ended.name} {how}; it restarts {when}"
    if ended.deaths < _MANY_DEATHS:
        return text
    return f"{text}. It ended {ended.deaths} times in a row: see {ended.log}{_last_line(ended.log)}"


def _last_line(log: Path) -> str:
    """Return the last line of a log, on a line of its own; empty if there is none."""
    try:
        lines = log.read_bytes()[-2000:].decode(errors="replace").strip().splitlines()
    except OSError:  # the disk had no room for a log
        return ""
    return f"\n  {lines[-1]}" if lines else ""
