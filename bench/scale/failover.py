"""Failed calls and waits while fronts and Tritons die, under constant load.

    python -m bench.scale.failover [--seconds 6]

Three fronts, two Tritons and one PostgreSQL run on this machine. Callers predict all the time, in
two ways: by the client's own balancing over a list of addresses, and through Envoy with the shipped
configuration. Every tenth prediction gets feedback, which any front may receive. In turns a front
is killed (-9), drained (SIGTERM) and stopped (SIGSTOP), and a Triton too; each comes back before
the next. Exits with 1 if a call failed.
"""

import argparse
import contextlib
import secrets
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import end_on_sigterm
from tests.integration.server.front import Front, Workspace
from tests.plugins.envoy import running_envoy
from tests.plugins.postgres import running_postgres
from tests.plugins.triton import RunningTriton
from tidemill_client import TidemillClient

FRONTS, TRITONS, CALLERS = 3, 2, 4
TASK = "support"
_PAUSE_SECONDS = 0.02
_FEEDBACK_EVERY = 10
_TIMEOUT_SECONDS = 20.0
_BEFORE_SECONDS = 1.0
_ATTEMPTS = 5


@dataclass(frozen=True)
class Call:
    """One call; its begin and duration in seconds."""

    begin: float
    seconds: float
    error: str = ""


@dataclass
class Callers:
    """Callers of one kind."""

    name: str
    address: str
    calls: list[Call] = field(default_factory=list)

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        """Call until the block ends."""
        stopping = threading.Event()
        with TidemillClient(self.address, timeout=_TIMEOUT_SECONDS) as client:
            work = (client, stopping)
            threads = [threading.Thread(target=self._call, args=work) for _ in range(CALLERS)]
            for thread in threads:
                thread.start()
            try:
                yield
            finally:
                stopping.set()
                for thread in threads:
                    thread.join()

    def _call(self, client: TidemillClient, stopping: threading.Event) -> None:
        number = 0
        while not stopping.wait(_PAUSE_SECONDS):
            begin, error = time.monotonic(), ""
            try:
                prediction = client.predict(TASK, "lost my card").prediction_id
                if (number := number + 1) % _FEEDBACK_EVERY == 0:
                    client.submit_feedback(prediction, label="card")
            except Exception as failure:  # any kind counts
                error = repr(failure)
            self.calls.append(Call(begin, time.monotonic() - begin, error))

    def during(self, begin: float, end: float) -> list[Call]:
        """Return the calls that were in progress within a time."""
        return [
            each for each in self.calls if each.begin + each.seconds >= begin <= end >= each.begin
        ]


@dataclass(frozen=True)
class Turn:
    """One thing that happens, and how it is undone."""

    name: str
    happen: Callable[[], object]
    undo: Callable[[], object]


def main() -> int:
    """Run the turns and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=6.0, help="how long to watch each turn")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="tidemill-failover-") as name:
        failed = _measure(Path(name), seconds)
    return 1 if failed else 0


def _measure(folder: Path, seconds: float) -> int:
    table = Table("what happens", "callers", "calls", "failed", "median ms", "slowest ms")
    failed = 0
    with contextlib.ExitStack() as running:
        fronts, tritons = _installation(folder, running)
        ports = [front.port for front in fronts], [front.http_port for front in fronts]
        envoy = running.enter_context(running_envoy(folder, *ports))
        listed = "ipv4:" + ",".join(front.address for front in fronts)
        kinds = [Callers("client", listed), Callers("Envoy", envoy.grpc)]
        for kind in kinds:
            running.enter_context(kind.calling())
        for turn in _turns(fronts, tritons):
            for row in _watched(turn, kinds, seconds):
                failed += int(row[3])
                table.add_row(*row)
    Console().print(table)
    total = sum(len(kind.calls) for kind in kinds)
    print(f"{total} calls, {failed} failed")
    return failed


def _installation(
    folder: Path, running: contextlib.ExitStack
) -> tuple[list[Front], list[RunningTriton]]:
    (folder / "run").mkdir(mode=0o700)
    postgres = running.enter_context(running_postgres(folder / "run"))
    workspace = Workspace(folder, {TASK: 1}, postgres.url(postgres.new_database()))
    running.callback(workspace.storage.database.close)
    root, models = workspace.repository.root, workspace.models
    tritons = [
        running.enter_context(RunningTriton(root, folder / f"triton-{number}", models))
        for number in range(TRITONS)
    ]
    target = ",".join(triton.grpc_address for triton in tritons)
    shared = {"TIDEMILL_PREDICTION_ID_KEYS": f'{{"1": "{secrets.token_hex(32)}"}}'}
    fronts = []
    for number in range(FRONTS):
        own = {**shared, "TIDEMILL_STATE_DIR": str(folder / f"state-{number}")}
        front = Front(workspace, target, environment=own)
        _start(front)
        fronts.append(front)
        running.callback(front.__exit__)
    return fronts, tritons


def _turns(fronts: list[Front], tritons: list[RunningTriton]) -> Iterator[Turn]:
    front, triton = fronts[0], tritons[0]

    def ended(number: signal.Signals) -> Callable[[], object]:
        return lambda: (front.process.send_signal(number), front.process.wait())

    yield Turn("a front is killed", ended(signal.SIGKILL), lambda: _start(front))
    yield Turn("a front is drained", ended(signal.SIGTERM), lambda: _start(front))
    yield _stopped("a front hangs", fronts[1].process.send_signal)
    yield Turn("a Triton is killed", triton.kill, triton.start)
    yield Turn(
        "a Triton is stopped",
        lambda: (triton.process.terminate(), triton.process.wait()),
        triton.start,
    )
    yield _stopped("a Triton hangs", tritons[1].process.send_signal)


def _start(front: Front) -> None:
    """Start a front, also on a machine that is so busy that it takes minutes."""
    front.launch()
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(AssertionError):
            front.connect()
            return
    raise AssertionError(front.log())


def _stopped(name: str, send: Callable[[int], None]) -> Turn:
    return Turn(name, lambda: send(signal.SIGSTOP), lambda: send(signal.SIGCONT))


def _watched(turn: Turn, kinds: list[Callers], seconds: float) -> Iterator[tuple[str, ...]]:
    time.sleep(_BEFORE_SECONDS)
    begin = time.monotonic()
    turn.happen()
    time.sleep(seconds)
    turn.undo()
    time.sleep(_BEFORE_SECONDS)
    end = time.monotonic()
    for kind in kinds:
        found = kind.during(begin, end)
        errors = [call.error for call in found if call.error]
        for error in errors[:3]:
            print(f"{turn.name}, {kind.name}: {error}", file=sys.stderr)
        times = sorted(1000 * call.seconds for call in found)
        speed = (f"{statistics.median(times):.0f}", f"{times[-1]:.0f}")
        yield (turn.name, kind.name, str(len(found)), str(len(errors)), *speed)


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
