"""A whole stack as a user starts it: `tidemill up` in its own workspace, on free ports."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.plugins.triton import free_ports
from tidemill_client import TidemillClient
from tidemill_core.settings import Settings
from tidemill_core.storage.storage import Storage, open_storage

PORTS = (
    "TIDEMILL_GRPC_PORT",
    "TIDEMILL_HTTP_PORT",
    "TIDEMILL_METRICS_PORT",
    "TIDEMILL_TRITON_GRPC_PORT",
    "TIDEMILL_TRITON_HTTP_PORT",
    "TIDEMILL_TRITON_METRICS_PORT",
)


HARD_NAME = "a b ?x#y%20 [z] (c) 'q' \"d\" $(d); & ü"
"""A folder's name with characters that mean something in a shell, a URL or a glob."""


@dataclass
class Stack:
    """One stack over one workspace.

    Attributes:
        workspace: the folder with tidemill.toml.
        environment: TIDEMILL_* variables in addition to the ports.
    """

    workspace: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
        # On a busy machine the stack must not refuse a test's calls.
        patient = {"TIDEMILL_SERVER__MAX_QUEUE_DELAY_MS": "5000"}
        # Sending a training to a tracker takes a process that imports its SDK, which is seconds.
        untracked = {"TIDEMILL_TRACKING__TRACKERS": "[]"}
        self.env = {
            **os.environ,
            "NO_COLOR": "1",
            **patient,
            **untracked,
            **ports,
            **self.environment,
        }
        self.output = self.workspace / "up.txt"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """The front's gRPC address, host:port."""
        return f"127.0.0.1:{self.env['TIDEMILL_GRPC_PORT']}"

    @property
    def http_url(self) -> str:
        """The URL of the front's HTTP API."""
        return f"http://127.0.0.1:{self.env['TIDEMILL_HTTP_PORT']}"

    @property
    def triton_address(self) -> str:
        """Triton's own gRPC address, host:port."""
        return f"127.0.0.1:{self.env['TIDEMILL_TRITON_GRPC_PORT']}"

    def client(self, timeout: float = 30.0) -> TidemillClient:
        """Return a connection to the front."""
        return TidemillClient(self.address, timeout=timeout)

    def settings(self, **values: Any) -> Settings:
        """Return the settings of its processes."""
        with contextlib.chdir(self.workspace):
            ports = {name[9:].lower(): int(self.env[name]) for name in PORTS}
            return Settings(**{**ports, **values})

    def storage(self) -> Storage:
        """Return a connection to its database."""
        return open_storage(self.settings().effective_database_url)

    def run(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run `tidemill ARGUMENTS` as a user would, and wait for its end."""
        command = [sys.executable, "-m", "tidemill_cli.main", *arguments]
        done = subprocess.run(
            command,
            cwd=self.workspace,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{arguments} -> {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def start(self) -> None:
        """Start `tidemill up` without waiting."""
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tidemill_cli.main", "up"],
                cwd=self.workspace,
                env=self.env,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self, seconds: float = 180.0) -> float:
        """Wait until the stack is ready; return the seconds that this took."""
        start = time.monotonic()
        while not re.search(r"^ready\b", self.said(), re.MULTILINE):
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() - start > seconds:
                raise AssertionError(f"not ready within {seconds} s\n{self.said()}\n{self.logs()}")
            time.sleep(0.05)
        return time.monotonic() - start

    def said(self) -> str:
        """Return the output of `tidemill up` since its last start."""
        return self.output.read_text() if self.output.exists() else ""

    def logs(self) -> str:
        """Return the ends of its processes' logs, for a failing test's message."""
        logs = sorted((self.workspace / "var" / "logs").glob("*.log"))
        return "\n".join(f"--- {log.name}\n{log.read_text()[-3000:]}" for log in logs)

    def members(self) -> list[psutil.Process]:
        """Return all its processes, `tidemill up` first."""
        assert self.process is not None
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def member(self, word: str) -> psutil.Process:
        """Return the process whose command line has a word."""
        return next(p for p in self.members() if any(word in part for part in p.cmdline()))

    def stop(self, number: int = signal.SIGINT) -> int:
        """Stop it as Ctrl-C does; return its exit code."""
        if self.process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self.process = None
        self.output.unlink(missing_ok=True)
        return code

    def kill(self) -> None:
        """Kill every process at once with SIGKILL, as when the machine goes down."""
        members = self.members()
        for member in members:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(members, timeout=20)
        assert self.process is not None
        self.process.wait()
        self.process = None
        self.output.unlink(missing_ok=True)


@contextlib.contextmanager
def running(stack: Stack, seconds: float = 180.0) -> Iterator[Stack]:
    """Start a stack, wait until it is ready, and stop it after the block."""
    stack.start()
    try:
        stack.wait_ready(seconds)
        yield stack
    finally:
        stack.stop()


def write_workspace(
    folder: Path, tasks: Mapping[str, Path], extra: str = "", **fields: str
) -> Path:
    """Write tidemill.toml with a task for each CSV file (columns `text`, `label`)."""
    folder.mkdir(parents=True, exist_ok=True)
    sections = [extra]
    for task, path in tasks.items():
        sections.append(f"[tasks.{task}]")
        sections += [f'{name} = "{value}"' for name, value in fields.items()]
        # A string of JSON is one of TOML, too.
        sections.append(f"sources = [{{ path = {json.dumps(str(path))} }}]")
    (folder / "tidemill.toml").write_text("\n".join(sections) + "\n")
    return folder
