"""Workspaces with jobs that a test controls: their source is an API that waits."""

import contextlib
import csv
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from sqlalchemy import select

from tests.plugins.databases import new_sqlite
from tests.plugins.triton import free_ports
from tests.plugins.waiting import wait_until
from tidemill_core.domain.job import JobRun, JobRunState
from tidemill_core.domain.model import ModelState
from tidemill_core.settings import ScheduleSettings, Settings
from tidemill_core.storage.deployments import Change
from tidemill_core.storage.jobs import RunRequest
from tidemill_core.storage.schema import job_runs, leases
from tidemill_core.storage.storage import Storage, open_storage

TASK = "support"
CSV = "text,label\n" + "".join(
    f"{text} {n},{label}\n" for n in range(10) for text, label in [("pay", "a"), ("card", "b")]
)


def now() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)


@dataclass
class Workspace:
    """A folder with tidemill.toml, its database, and the processes started in it.

    Task `support` reads a CSV file. Task `held` asks an API: its `build_dataset` does nothing at
    all, and looks at nothing, until `let_go` answers with the rows.
    """

    folder: Path
    database_url: str
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.api = socket.create_server(("127.0.0.1", 0))
        (self.folder / "rows.csv").write_text(CSV)
        self.write("")
        (port,) = free_ports(1)  # nobody listens: these jobs need no Triton
        self.env: Mapping[str, str] = {
            **os.environ,
            "TIDEMILL_DATABASE_URL": self.database_url,
            "TIDEMILL_TRITON_GRPC_PORT": str(port),
        }
        self.storage: Storage = open_storage(self.database_url)

    def write(self, schedule: str) -> None:
        """Write tidemill.toml; jobs that `schedule` does not name never run by themselves."""
        silent = {f"{job} = ''" for job in ScheduleSettings.model_fields if job not in schedule}
        lines = [
            *(f"[tasks.{TASK}]", "sources = [{ path = 'rows.csv' }]"),
            *("[tasks.held]", f"sources = [{{ kind = 'http', url = '{self._url}' }}]"),
            *("[schedule]", *sorted(silent), schedule),
        ]
        (self.folder / "tidemill.toml").write_text("\n".join(lines))

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self.api.getsockname()[1]}/rows"

    def settings(self) -> Settings:
        """Return the settings of its processes."""
        with contextlib.chdir(self.folder):
            return Settings(database_url=self.database_url)

    def champion(self, *tasks: str) -> None:
        """Give tasks a champion, so that none is trained."""
        for task in tasks:
            version = self.storage.models.add_candidate(task, "onnx", "dataset", now()).version
            validated = ModelState.VALIDATED
            self.storage.models.judge(task, version, validated, {}, "passed", now())
            self.storage.models.promote(task, version, Change("test", "", "", now()))

    def queue(self, job: str = "build_dataset", task: str = TASK) -> JobRun:
        """Queue a run, as RunJob does."""
        return self.storage.jobs.enqueue(RunRequest(job, task, "test"), now())

    def get(self, run: JobRun) -> JobRun:
        """Return a run in its current state."""
        return self.storage.jobs.get(run.run_id)

    def wait(self, run: JobRun, *states: JobRunState, seconds: float = 60.0) -> JobRun:
        """Wait until a run is in one of some states."""
        wait_until(lambda: self.get(run).state in states, f"{run.job} is one of {states}", seconds)
        return self.get(run)

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start `python -m tidemill_jobs.main`."""
        command = [sys.executable, "-m", "tidemill_jobs.main", *arguments]
        with (self.folder / "jobs.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.env, stdout=log, stderr=log
            )
        self.processes.append(process)
        return process

    def start_run(self, run_id: str) -> "subprocess.Popen[bytes]":
        """Start a run's process, as Runner does."""
        return self.start("--run", run_id)

    def until_heard(self, run: JobRun) -> None:
        """Wait for two heartbeats, so that the run knows what is stored now."""
        asked = select(job_runs.c.heartbeat_time).where(job_runs.c.run_id == run.run_id)

        def beats() -> datetime:
            with self.storage.database.read() as connection:
                moment: datetime = connection.execute(asked).scalar_one()
            return moment

        for _ in range(2):
            last = now()
            wait_until(lambda last=last: beats() > last, "the run's heart beats")

    def leader(self) -> str:
        """Return the process that holds the lease, or an empty string."""
        with self.storage.database.read() as connection:
            return str(connection.execute(select(leases.c.holder)).scalar() or "")

    def said(self) -> str:
        """Return the log of its processes."""
        return (self.folder / "jobs.log").read_text()

    def let_go(self) -> None:
        """Answer the job of task `held` with its rows."""
        rows = list(csv.DictReader(CSV.splitlines()))
        body = json.dumps([{"id": number, **row} for number, row in enumerate(rows)]).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        connection, _ = self.api.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(head.encode() + b"\r\nConnection: close\r\n\r\n" + body)

    def end(self) -> None:
        """End the processes."""
        for process in self.processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                for each in psutil.Process(process.pid).children(recursive=True):
                    each.kill()
            process.kill()
            process.wait()
        self.api.close()
        self.storage.database.close()


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace over SQLite."""
    made = Workspace(tmp_path, new_sqlite(tmp_path / "tidemill.db"))
    yield made
    made.end()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workspace]:
    """A workspace over each database."""
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgres_url"))
    else:
        url = new_sqlite(tmp_path / "tidemill.db")
    made = Workspace(tmp_path, url)
    yield made
    made.end()
