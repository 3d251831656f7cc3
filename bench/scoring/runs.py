"""The runs of `tidemill score` on the benchmark's stack."""

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from bench.serving.workspace import TASK, Stack, Workspace


def start(workspace: Workspace, stack: Stack, source: Path, output: str, *options: str) -> str:
    """Start to score a file, and return the run's id."""
    asked = ["score", str(source), output, *options, "--no-follow", "--task", TASK]
    run_id: str = json.loads(tidemill(workspace, stack, *asked))["run_id"]
    return run_id


def start_over(workspace: Workspace, stack: Stack, source: Path) -> str:
    """Start to score a file, in place of an earlier output, and return the run's id."""
    return start(workspace, stack, source, str(workspace.folder / "out.csv"), "--overwrite")


def wait(workspace: Workspace, stack: Stack, run_id: str) -> Any:
    """Wait until a run ends, and return its result."""
    changes = tidemill(workspace, stack, "jobs", "watch", run_id).splitlines()
    return json.loads(changes[-1])["result"]


def tidemill(workspace: Workspace, stack: Stack, *arguments: str) -> bytes:
    """Run a command, and return the JSON that it prints."""
    command = [sys.executable, "-m", "tidemill_cli.main", *arguments, "--json"]
    done = subprocess.run(  # noqa: S603 -- our own words
        [*command, "--address", stack.grpc_address],
        cwd=workspace.folder,
        check=True,
        capture_output=True,
    )
    return done.stdout


def process_of(stack: Stack, run_id: str) -> psutil.Process | None:
    """Return the process of a run; None if it has none."""
    for process in psutil.Process(stack.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.cmdline()[-1:] == [run_id]:
                return process
    return None
