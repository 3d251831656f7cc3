"""How long no process leads the jobs after the leader is gone, and whether a run happens twice.

    python -m bench.scale.leader [--kills 3]

Three jobs processes share one PostgreSQL, each by a connection of its own that can be cut. The
leader is killed (-9) several times, is stopped (SIGSTOP) for longer than its lease, loses its
database, and gets no answer from it, while runs are queued. Exits with 1 if another process leads
later than after 30 s, if one that came back leads or writes again, or if a run is started twice.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sqlalchemy import select
from sqlalchemy.engine import make_url

from bench import end_on_sigterm
from tests.integration.jobs.scheduler.conftest import TASK, Workspace
from tests.plugins.postgres import running_postgres
from tests.plugins.waiting import wait_until
from tidemill_core.errors import StorageUnavailable
from tidemill_core.storage.schema import leases
from tidemill_jobs.leadership import LEASE_LENGTH

PROCESSES = 3
MUST_SECONDS = 30.0
_SETTLE_SECONDS = 5.0
_OF_A_LEADER = {"run_started", "run_orphaned", "serving_repaired", "model_unloaded"}
_SOCKET = ".s.PGSQL.5432"
_RELAY = """
import asyncio, sys
async def pipe(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
    except OSError:
        pass
    writer.close()
async def serve(reader, writer):
    try:
        there, back = await asyncio.open_unix_connection(sys.argv[2])
    except OSError:
        writer.close()
        return
    await asyncio.gather(pipe(reader, back), pipe(there, writer))
async def main():
    async with await asyncio.start_unix_server(serve, sys.argv[1]) as server:
        await server.serve_forever()
asyncio.run(main())
"""
"""Passes connections on; killed it cuts them, stopped it keeps them silent."""


class Member:
    """One jobs process and its way to the database."""

    def __init__(self, workspace: Workspace, folder: Path, database: str) -> None:
        folder.mkdir()
        self._folder, self._workspace = folder, workspace
        url = make_url(workspace.database_url)
        self._there = f"{url.query['host']}/{_SOCKET}"
        self._own = url.update_query_dict({"host": str(folder)}).set(database=database)
        self.log = folder / "log"
        self.open()
        self.start()

    def open(self) -> None:
        """Let connections to the database pass."""
        here = self._folder / _SOCKET
        here.unlink(missing_ok=True)
        command = [sys.executable, "-c", _RELAY, str(here), self._there]
        self.relay = subprocess.Popen(command)  # noqa: S603 -- our own
        wait_until(here.exists, "the relay listens")

    def start(self) -> None:
        """Start the jobs process."""
        command = [sys.executable, "-m", "tidemill_jobs.main"]
        url = self._own.render_as_string(hide_password=False)
        environment = {**self._workspace.env, "TIDEMILL_DATABASE_URL": url}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 -- our own
                command, cwd=self._workspace.folder, env=environment, stdout=log, stderr=log
            )

    def events(self) -> list[dict[str, str]]:
        """Return its log."""
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def holders(self) -> set[str]:
        """Return the names under which its processes have led."""
        return {each["holder"] for each in self.events() if each["event"] == "leading"}

    def end(self) -> None:
        """End its processes."""
        for process in (self.process, self.relay):
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


class Members:
    """All jobs processes."""

    def __init__(self, workspace: Workspace, members: list[Member]) -> None:
        self._workspace = workspace
        self.members = members

    def holder(self) -> str:
        """Return the current holder of the lease."""
        with self._workspace.storage.database.read() as connection:
            return str(connection.execute(select(leases.c.holder)).scalar() or "")

    def leader(self) -> Member:
        """Return the process that leads, once its log says so."""
        found: list[Member] = []

        def known() -> bool:
            holder = self.holder()
            found[:] = [each for each in self.members if holder in each.holders()]
            return bool(found)

        wait_until(known, "a process leads", 60)
        return found[0]

    def starts(self) -> Counter[str]:
        """Return how often each run was started."""
        events = [each for member in self.members for each in member.events()]
        return Counter(each["run_id"] for each in events if each["event"] == "run_started")


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=3, help="how often the leader is killed")
    kills = parser.parse_args().kills
    with tempfile.TemporaryDirectory(prefix="tidemill-leader-") as name, ExitStack() as running:
        folder = Path(name)
        (folder / "run").mkdir(mode=0o700)
        postgres = running.enter_context(running_postgres(folder / "run"))
        database = postgres.new_database()
        (folder / "workspace").mkdir()
        workspace = Workspace(folder / "workspace", postgres.url(database))
        running.callback(workspace.end)
        workspace.champion(TASK, "held")
        members = []
        for number in range(PROCESSES):
            members.append(Member(workspace, folder / f"jobs-{number}", database))
            running.callback(members[-1].end)
        return _measure(workspace, Members(workspace, members), kills)


def _measure(workspace: Workspace, all_members: Members, kills: int) -> int:
    stopping = threading.Event()
    queueing = threading.Thread(target=_queue, args=(workspace, stopping))
    queueing.start()
    table = Table("what happens to the leader", "another leads after s", "afterwards")
    failed = False
    try:
        for name, gone, back in [("killed (-9)", _kill, Member.start)] * kills + _OTHERS:
            seconds, word = _turn(all_members, gone, back)
            failed |= seconds > MUST_SECONDS or bool(word)
            table.add_row(name, f"{seconds:.1f}", word or "follows")
    finally:
        stopping.set()
        queueing.join()
    starts = all_members.starts()
    twice = [run for run, count in starts.items() if count > 1]
    Console().print(table)
    print(f"lease {LEASE_LENGTH.total_seconds():g} s; {len(starts)} runs, {len(twice)} twice")
    return 1 if failed or twice else 0


def _turn(
    members: Members, gone: Callable[[Member], None], back: Callable[[Member], None]
) -> tuple[float, str]:
    """Return the seconds without a leader, and what the old one did wrong afterwards."""
    leader, holder = members.leader(), members.holder()
    gone(leader)
    begin = time.monotonic()
    wait_until(lambda: members.holder() not in ("", holder), "another leads", 2 * MUST_SECONDS)
    seconds = time.monotonic() - begin
    next_leader, next_holder = members.leader(), members.holder()
    before = len(leader.events())
    back(leader)
    time.sleep(_SETTLE_SECONDS)
    added = [each["event"] for each in leader.events()[before:]]
    if members.holder() != next_holder or next_leader is leader:
        return seconds, "it leads again"
    wrong = [event for event in added if event in _OF_A_LEADER]
    return seconds, f"it wrote: {wrong}" if wrong else ""


def _queue(workspace: Workspace, stopping: threading.Event) -> None:
    while not stopping.wait(1.0):
        # A process that was stopped may hold the table's lock for some seconds.
        with suppress(StorageUnavailable):
            workspace.queue()
            workspace.queue("check_feedback")


def _kill(member: Member) -> None:
    member.process.kill()
    member.process.wait()


def _stop(member: Member) -> None:
    member.process.send_signal(signal.SIGSTOP)


def _go_on(member: Member) -> None:
    member.process.send_signal(signal.SIGCONT)


def _cut(member: Member) -> None:
    member.relay.kill()
    member.relay.wait()


def _silence(member: Member) -> None:
    os.kill(member.relay.pid, signal.SIGSTOP)


def _answer_again(member: Member) -> None:
    os.kill(member.relay.pid, signal.SIGCONT)


_OTHERS = [
    ("stopped (SIGSTOP), then goes on", _stop, _go_on),
    ("loses its database, then has it again", _cut, Member.open),
    ("gets no answer from its database, then does", _silence, _answer_again),
]


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
