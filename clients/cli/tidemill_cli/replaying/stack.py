"""The stack of a replay: Triton, the server and the jobs, on a simulated clock."""

import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from datetime import datetime
from pathlib import Path

from tidemill.v1.prediction_service_pb2 import GetPredictionRequest
from tidemill_cli.failure import CommandFailed
from tidemill_cli.listing import CALL_SECONDS
from tidemill_cli.replaying.dated_rows import DatedRow
from tidemill_cli.replaying.workspace import replay_settings, write_examples
from tidemill_client import NotFound, TidemillClient, translated_errors
from tidemill_core.settings import Settings, load_settings
from tidemill_core.settings.stand_in import only_these_settings
from tidemill_core.simulated_clock import SimulatedClock
from tidemill_core.storage.engine import create_missing
from tidemill_core.supervisor import (
    Ended,
    Supervisor,
    metrics_folder,
    stack_ports,
    stack_processes,
)

_POLL_SECONDS = 0.002
_LOOK_SECONDS = 0.2
_STORED_SECONDS, _STORED_POLL_SECONDS = 30.0, 0.02
_LAST_LINES = 3


class ReplayStack:
    """A running stack.

    Attributes:
        settings: its settings.
        clock: its clock.
        client: a client of its server.
    """

    def __init__(self, settings: Settings, clock: SimulatedClock, supervisor: Supervisor) -> None:
        self.settings = settings
        self.clock = clock
        self.client = TidemillClient(f"127.0.0.1:{settings.grpc_port}", timeout=CALL_SECONDS)
        self._supervisor = supervisor
        self._next_look = 0.0

    def do_what_is_due(self, moment: datetime) -> None:
        """Set the clock, and wait until the jobs have done all that is due then.

        Raises:
            CommandFailed: a process of the stack has ended.
        """
        self.clock.set(moment)
        self.clock.ask_jobs()
        while self.clock.asked:
            time.sleep(_POLL_SECONDS)
            if time.monotonic() >= self._next_look:
                self.look()

    def look(self) -> None:
        """Raise CommandFailed if a process of the stack has ended."""
        self._next_look = time.monotonic() + _LOOK_SECONDS
        for ended in self._supervisor.poll():
            raise CommandFailed(_ending(ended))

    def wait_until_stored(self, prediction_id: str) -> None:
        """Wait until a prediction, and so every earlier one, is in the database.

        Raises:
            CommandFailed: it does not come.
        """
        end = time.monotonic() + _STORED_SECONDS
        while True:
            try:
                with translated_errors():
                    self.client.predictions.GetPrediction(
                        GetPredictionRequest(prediction_id=prediction_id), timeout=CALL_SECONDS
                    )
            except NotFound as error:
                if time.monotonic() > end:
                    raise CommandFailed("the predictions do not reach the database") from error
                time.sleep(_STORED_POLL_SECONDS)
            else:
                return


@contextmanager
def replay_stack(
    settings: Settings, task: str, seed: int, rows: Sequence[DatedRow], start: datetime
) -> Iterator[ReplayStack]:
    """Run a stack in a temporary workspace, and leave nothing of it behind.

    Args:
        settings: those of the workspace.
        task: the task.
        seed: the seed of the trainings.
        rows: the examples.
        start: the time at which the clock starts.
    """
    with tempfile.TemporaryDirectory(prefix="tidemill-replay-") as name, chdir(name):
        folder = Path(name)
        write_examples(folder, rows)
        with only_these_settings(replay_settings(settings, task, seed, folder)):
            temporary = load_settings()
            clock = SimulatedClock.create(folder / "clock", start)
            supervisor = Supervisor(
                stack_processes(temporary, folder / "clock"),
                temporary.state_dir,
                stack_ports(temporary),
                [metrics_folder(temporary.state_dir)],
            )
            create_missing(temporary.effective_database_url)  # the stack's processes create none
            with _ended_by_signals(supervisor):
                supervisor.start()
                try:
                    stack = ReplayStack(temporary, clock, supervisor)
                    with stack.client:
                        yield stack
                finally:
                    supervisor.stop()


@contextmanager
def _ended_by_signals(supervisor: Supervisor) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the block, and a second one kill what is left of the stack."""
    received: list[int] = []

    def note(number: int, _frame: object) -> None:
        received.append(number)
        if len(received) > 1:
            supervisor.hurry()
            return
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, note) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _ending(ended: Ended) -> str:
    """Return what happened to a process, with the end of its log, which is removed soon."""
    lines = ended.log.read_bytes()[-4000:].decode(errors="replace").strip().splitlines()
    said = "\n  ".join(lines[-_LAST_LINES:])
    return f"the process {ended.name} of the replay ended with code {ended.exit_code}\n  {said}"
