"""The benchmark's Tidemill workspace, and stacks on it with everything switched on."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.serving.processes import runs
from tests.plugins.triton import free_ports

EXAMPLE = Path(__file__).parents[2] / "examples" / "support" / "train.csv"
TASK = "support"
TORCHSCRIPT_TASK = "support_torchscript"
_PORTS = ("GRPC", "HTTP", "METRICS", "TRITON_GRPC", "TRITON_HTTP", "TRITON_METRICS")
_LOG_SETTLES_SECONDS = 0.5
_QUIET_SECONDS = 1.0

_SETTINGS = """\
[tasks.{task}]
sources = [{{ path = "{example}", label_column = "category" }}]
[tasks.{torchscript_task}]
format = "torchscript"
sources = [{{ path = "{example}", label_column = "category" }}]
[auth]
required = true
# A busy machine must not keep the first model from serving.
[monitoring]
max_p99_latency_ms = 10000
"""


@dataclass(frozen=True)
class Workspace:
    """A folder with settings, a key and, after the first stack, trained models.

    Attributes:
        folder: the folder.
    """

    folder: Path

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.folder / "var" / "tidemill.db"

    def model_folder(self, task: str, model_format: str) -> Path:
        """Return the first version's folder in the model repository."""
        return self.folder / "model_repository" / f"{task}-{model_format}" / "1"

    def logged_rows(self) -> int:
        """Return the number of predictions in the database once it stops growing."""
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as database:
            rows, before = 0, -1
            while rows != before:
                before = rows
                time.sleep(_LOG_SETTLES_SECONDS)
                (rows,) = database.execute(
                    "SELECT coalesce(max(rowid), 0) FROM predictions"
                ).fetchone()
        return int(rows)

    def api_key(self, name: str) -> str:
        """Return the API key of a caller; the first call creates it."""
        kept = self.folder / f"key-of-{name}"
        if not kept.exists():
            command = [sys.executable, "-m", "tidemill_cli.main", "keys", "create", "--name", name]
            command += ["--scope", "predict", "--scope", "feedback", "--scope", "admin", "--json"]
            made = subprocess.run(  # noqa: S603 -- our own words
                command, cwd=self.folder, check=True, capture_output=True, text=True
            )
            kept.write_text(json.loads(made.stdout)["api_key"])
        return kept.read_text()


@dataclass(frozen=True)
class Stack:
    """A running stack.

    Attributes:
        pid: the id of `tidemill up`; all other processes descend from it.
        grpc_address: host:port of the front.
        http_url: the front's HTTP API.
        triton_address: host:port of Triton's gRPC.
        metrics_url: Prometheus metrics of the front.
        metadata: a caller's metadata, with the API key.
    """

    pid: int
    grpc_address: str
    http_url: str
    triton_address: str
    metrics_url: str
    metadata: tuple[tuple[str, str], ...]


def metadata_of(api_key: str) -> tuple[tuple[str, str], ...]:
    """Return a caller's metadata."""
    return (("authorization", f"Bearer {api_key}"),)


def make_workspace(folder: Path, settings: str = "") -> Workspace:
    """Write the settings of a workspace, with `settings` appended, into an empty folder."""
    written = _SETTINGS.format(task=TASK, torchscript_task=TORCHSCRIPT_TASK, example=EXAMPLE)
    (folder / "tidemill.toml").write_text(written + settings)
    return Workspace(folder)


@contextlib.contextmanager
def running_stack(
    workspace: Workspace, workers: int, variables: Mapping[str, str] | None = None
) -> Iterator[Stack]:
    """Start a stack on free ports, wait until it serves without jobs, and stop it after the block.

    Args:
        workspace: its folder.
        workers: number of the server's processes.
        variables: settings in the environment.

    Raises:
        RuntimeError: the stack did not get ready.
    """
    ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
    environment = os.environ | {f"TIDEMILL_{name}_PORT": str(port) for name, port in ports.items()}
    key = workspace.api_key("bench")
    environment |= {"TIDEMILL_SERVER__WORKERS": str(workers), "TIDEMILL_API_KEY": key}
    environment |= variables or {}
    with (workspace.folder / "up.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tidemill_cli.main", "up"],
            cwd=workspace.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        if process.stdout is None or not any(re.match("ready", line) for line in process.stdout):
            said = (workspace.folder / "up.log").read_text()[-2000:]
            raise RuntimeError(f"the stack did not get ready:\n{said}")
        _wait_for_runs(process.pid)
        yield Stack(
            pid=process.pid,
            grpc_address=f"127.0.0.1:{ports['GRPC']}",
            http_url=f"http://127.0.0.1:{ports['HTTP']}",
            triton_address=f"127.0.0.1:{ports['TRITON_GRPC']}",
            metrics_url=f"http://127.0.0.1:{ports['METRICS']}/metrics",
            metadata=metadata_of(key),
        )
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _wait_for_runs(pid: int) -> None:
    """Wait until no job has run for a while: a training would share the cores with what follows."""
    quiet_since = time.monotonic()
    while time.monotonic() < quiet_since + _QUIET_SECONDS:
        if runs(pid):
            quiet_since = time.monotonic()
        time.sleep(_QUIET_SECONDS / 10)
