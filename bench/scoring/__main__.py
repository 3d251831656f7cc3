"""Batch scoring beside raw tokenizers + ONNX Runtime, its memory, and what online callers feel.

    python -m bench.scoring [--rows 1000000] [--rounds 3] [--seconds 20] [--kills 20]
        [--only rate,online,memory,kills]

The memory of a run over `--rows` is compared with that of a run over ten times as many. Runs that
write CSV, JSON Lines, Parquet and a table are killed at random moments, `--kills` times each. All
processes share the machine's cores: compare the ratios of one run, and run nothing else meanwhile.
Exits with 1 if a figure that must be reached is missed.
"""

import argparse
import csv
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from rich.console import Console

from bench import end_on_sigterm
from bench.scoring import raw
from bench.scoring.kills import ROWS as ROWS_OF_A_KILLED_RUN
from bench.scoring.kills import survives_kills
from bench.scoring.runs import process_of, start_over, tidemill, wait
from bench.serving.callers import closed_loop, open_loop
from bench.serving.messages import example_texts, of_tidemill
from bench.serving.workspace import EXAMPLE, TASK, Stack, Workspace, running_stack

LEAST_RATE = 0.9
MOST_GROWTH = 1.1
MOST_SLOWDOWN = 2.0
_SETTINGS = f"""\
[tasks.{TASK}]
sources = [{{ path = "{EXAMPLE}", label_column = "category" }}]
[tracking]
trackers = []
"""
_CALLERS = 64
_LOAD_SHARE = 0.3
_DEADLINE_SECONDS = 5.0
_SECONDS_OF_SATURATION = 4.0
_LOOK_SECONDS = 0.05
_MEGABYTE = 1e6
_ROWS_OF_A_LONG_RUN = 2_000_000
_STARTED_SECONDS = 3.0
"""How long the imports of a run take, which are not what is measured."""


def main() -> int:
    """Run the benchmark; return 1 if a figure is missed that must be reached."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the file")
    parser.add_argument("--rounds", type=int, default=3, help="number of measurements of the rate")
    parser.add_argument("--seconds", type=int, default=20, help="length of the online load")
    parser.add_argument("--kills", type=int, default=20, help="kills of the runs of each output")
    parser.add_argument("--only", default="", help="some of rate,online,memory,kills")
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        (workspace.folder / "tidemill.toml").write_text(_SETTINGS)
        source, large = workspace.folder / "in.csv", workspace.folder / "large.csv"
        write_rows(source, options.rows)
        console.print("training the model")
        with running_stack(workspace, 1) as stack:
            measured = {
                "rate": lambda: rate(workspace, stack, source, options.rounds, console),
                "online": lambda: online(workspace, stack, large, options.seconds, console),
                "memory": lambda: memory(workspace, stack, source, large, console),
                "kills": lambda: survives(workspace, stack, large, options.kills, console),
            }
            wanted = options.only.split(",") if options.only else measured
            passed = [measured[name]() for name in wanted]
    return 0 if all(passed) else 1


def write_rows(path: Path, rows: int) -> None:
    """Write distinct rows with the example's texts."""
    with path.open("w", newline="") as file:
        written = csv.writer(file)
        written.writerow(["id", "text"])
        texts = itertools.cycle(example_texts())
        written.writerows((n, f"{text} {n}") for n, text in zip(range(rows), texts, strict=False))


def rate(workspace: Workspace, stack: Stack, source: Path, rounds: int, console: Console) -> bool:
    """Compare the rows a second of `score` with those of the libraries, in turns."""
    ratios = []
    for _ in range(rounds):
        folder = workspace.model_folder(TASK, "onnx")
        command = [sys.executable, "-m", raw.__name__, str(folder), str(source), os.devnull]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 -- our own words
        found = json.loads(done.stdout)
        theirs = found["rows"] / found["seconds"]
        found = wait(workspace, stack, start_over(workspace, stack, source))
        ours = float(found["rows_per_second"])
        ratios.append(ours / theirs)
        console.print(f"score {ours:,.0f} rows/s, libraries {theirs:,.0f}: {ratios[-1]:.2f}")
    best = max(ratios)
    return verdict(console, f"rate of the libraries' {best:.2f}", best >= LEAST_RATE)


def online(
    workspace: Workspace, stack: Stack, source: Path, seconds: int, console: Console
) -> bool:
    """Compare the 99th percentile of callers at 30 % load with and without a scoring."""
    crew = of_tidemill(stack).predict(_CALLERS)
    [most] = closed_loop([crew], _SECONDS_OF_SATURATION)
    calls = _LOAD_SHARE * most.rows_per_second
    alone = open_loop(crew, calls, seconds, _DEADLINE_SECONDS)
    write_rows(source, _ROWS_OF_A_LONG_RUN)
    with _scoring(workspace, stack, source):
        beside = open_loop(crew, calls, seconds, _DEADLINE_SECONDS)
    slowdown = beside.p99_ms / alone.p99_ms
    console.print(
        f"{calls:,.0f} calls/s: p50 {alone.p50_ms:.1f} and p99 {alone.p99_ms:.1f} ms alone, "
        f"{beside.p50_ms:.1f} and {beside.p99_ms:.1f} ms beside a scoring"
    )
    return verdict(console, f"p99 beside a scoring {slowdown:.2f}", slowdown <= MOST_SLOWDOWN)


def memory(workspace: Workspace, stack: Stack, source: Path, large: Path, console: Console) -> bool:
    """Compare the memory of a run with that of a run over ten times the rows."""
    with source.open() as file:
        rows = sum(1 for _ in file) - 1
    write_rows(large, 10 * rows)
    peaks = []
    for path in (source, large):
        run_id = start_over(workspace, stack, path)
        with _peak(stack, run_id) as found:
            wait(workspace, stack, run_id)
        peaks.append(found[0] / _MEGABYTE)
    growth = peaks[1] / peaks[0]
    console.print(f"{rows:,} rows: {peaks[0]:.0f} MB; {10 * rows:,} rows: {peaks[1]:.0f} MB")
    return verdict(console, f"memory at ten times the rows {growth:.2f}", growth <= MOST_GROWTH)


def survives(
    workspace: Workspace, stack: Stack, source: Path, kills: int, console: Console
) -> bool:
    """Kill runs over a short file."""
    write_rows(source, ROWS_OF_A_KILLED_RUN)
    good = survives_kills(workspace, stack, source, kills, console)
    return verdict(console, f"each row once after {kills} kills of each output's runs", good)


def verdict(console: Console, figure: str, passed: bool) -> bool:
    """Print a figure, and whether it is reached; return that."""
    console.print(f"{'OK   ' if passed else 'SHORT'} {figure}", style="bold")
    return passed


@contextmanager
def _scoring(workspace: Workspace, stack: Stack, source: Path) -> Iterator[None]:
    """Score during the block, and cancel it after the block."""
    run_id = start_over(workspace, stack, source)
    while process_of(stack, run_id) is None:
        time.sleep(_LOOK_SECONDS)
    time.sleep(_STARTED_SECONDS)
    try:
        yield
        if process_of(stack, run_id) is None:
            raise RuntimeError("the scoring ended before the load")
    finally:
        tidemill(workspace, stack, "jobs", "cancel", run_id)


@contextmanager
def _peak(stack: Stack, run_id: str) -> Iterator[list[int]]:
    """Yield a list whose element is the most memory of a run during the block, in bytes."""
    found, ended = [0], threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK_SECONDS):
            with suppress(psutil.NoSuchProcess):
                if (process := process_of(stack, run_id)) is not None:
                    found[0] = max(found[0], process.memory_info().rss)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
