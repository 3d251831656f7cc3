"""A Ray cluster with one and two nodes, and with one that is killed: score, build, search.

    python -m bench.scale.ray [--rows 100000]

The cluster's nodes share this machine's cores with Triton and with the job, so the seconds show the
cost of the cluster rather than its gain. Exits with 1 if a row is lost, is there twice, or differs
from what the job writes without Ray, if a dataset version has another id, or if a trial is left.
"""

import argparse
import csv
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import chdir
from dataclasses import replace
from functools import partial
from pathlib import Path

import optuna
from rich.console import Console

from bench import end_on_sigterm
from bench.scoring.__main__ import verdict, write_rows
from bench.serving.workspace import EXAMPLE, TASK, Workspace, running_stack
from tests.plugins.job_runs import run_of
from tests.plugins.ray_cluster import RayCluster
from tests.unit.jobs.training.conftest import weather
from tidemill_core.clock import system_clock
from tidemill_core.dataset_copies import DatasetCopies
from tidemill_core.domain.job_parameters import ScoreParameters
from tidemill_core.settings import FilesSource, TaskSettings, load_settings
from tidemill_core.settings.folders import sqlite_url
from tidemill_core.settings.ray import RaySettings
from tidemill_core.storage.storage import open_storage
from tidemill_core.triton.control import TritonControl
from tidemill_jobs.context import JobContext, Progress
from tidemill_jobs.data.build import build_dataset
from tidemill_jobs.scoring import score
from tidemill_jobs.training.labeled_texts import TrainingData
from tidemill_jobs.training.search import SearchConfig
from tidemill_jobs.training.tracking import Untracked
from tidemill_jobs.training.train import TrainingConfig, train

SETTINGS = f"""\
[tasks.{TASK}]
sources = [{{ path = "{EXAMPLE}", label_column = "category" }}]
[tracking]
trackers = []
[monitoring]
max_p99_latency_ms = 10000  # other work may run; this does not measure the latency
"""
_FILES = 8
_TRIALS = 6
Modes = list[tuple[str, str, Progress]]
"""Names, addresses of the cluster, and what progress does."""


def main() -> int:
    """Run the benchmark; return 1 if a row is lost, doubled or different."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the file")
    rows: int = parser.parse_args().rows
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        (workspace.folder / "tidemill.toml").write_text(SETTINGS)
        source = workspace.folder / "in.csv"
        write_rows(source, rows)
        console.print("training the model")
        with running_stack(workspace, 1) as stack:
            console.print("starting the cluster")
            context = scoring_context(workspace, stack.triton_address)
            works: list[Callable[[Modes], bool]] = [
                lambda modes: scoring(context, source, modes, rows, console),
                lambda modes: preparation(workspace.folder, source, modes, console),
                lambda modes: searching(workspace.folder, modes, console),
            ]
            passed = [_on_a_cluster(work, console) for work in works]
    return 0 if all(passed) else 1


def _on_a_cluster(work: Callable[[Modes], bool], console: Console) -> bool:
    """Do work on a cluster of two nodes; return whether it is right, and a node was killed."""
    with RayCluster(2) as cluster:
        killed: list[bool] = []
        is_right = work(_modes(cluster, killed))
    return verdict(console, f"nodes killed meanwhile: {len(killed)}", len(killed) == 1) and is_right


def _modes(cluster: RayCluster, killed: list[bool]) -> Modes:
    """Return the ways to work; the third loses a node, so the fourth has one."""

    def kill(done: float, _doing: str) -> None:
        if done > 0.0 and not killed:
            killed.append(True)
            cluster.kill_node()

    def go_on(_done: float, _doing: str) -> None: ...

    return [
        ("without Ray", "", go_on),
        ("2 nodes", cluster.address, go_on),
        ("2 nodes, 1 killed", cluster.address, kill),
        ("1 node", cluster.address, go_on),
    ]


def scoring(context: JobContext, source: Path, modes: Modes, rows: int, console: Console) -> bool:
    """Score a file in each way, and compare the rows."""
    passed, expected = True, None
    for name, address, progress in modes:
        output = source.with_name("out.csv")
        found = score.run(
            replace(
                context,
                settings=context.settings.model_copy(update={"ray": RaySettings(address=address)}),
                progress=progress,
                parameters=ScoreParameters(str(source), str(output), overwrite=True),
            )
        )
        with output.open(newline="") as file:
            written = [tuple(row) for row in csv.reader(file)][1:]
        counts = Counter(row[0] for row in written)
        lost, doubled = rows - len(counts), sum(count - 1 for count in counts.values())
        expected = expected or written
        other = sum(one != two for one, two in zip(written, expected, strict=False))
        figure = f"score, {name}: {rows:,} rows in {found['seconds']:.1f} s"
        figure += f", lost {lost}, doubled {doubled}, different {other}"
        passed &= verdict(console, figure, not (lost or doubled or other))
    return passed


def preparation(folder: Path, source: Path, modes: Modes, console: Console) -> bool:
    """Build a dataset version in each way; its id names its rows."""
    files = divided(source)
    passed, expected = True, None
    for number, (name, address, progress) in enumerate(modes):
        begin = time.monotonic()
        version, rows = built(folder / f"built{number}", files, address, progress)
        seconds = time.monotonic() - begin
        expected = expected or version
        figure = f"build, {name}: {rows:,} rows of {len(files)} files in {seconds:.1f} s"
        figure += f", version {version}"
        passed &= verdict(console, figure, version == expected)
    return passed


def divided(source: Path) -> list[Path]:
    """Divide a file among several, since the rows of one file are one task up to 100,000."""
    with source.open(newline="") as file:
        _, *rows = csv.reader(file)
    files = [source.with_name(f"part{number}.csv") for number in range(_FILES)]
    for number, path in enumerate(files):
        with path.open("w", newline="") as file:
            # Labels repeat, as those of a task do.
            found = ((text, f"label{int(row_id) % 7}") for row_id, text in rows[number::_FILES])
            csv.writer(file).writerows([("text", "label"), *found])
    return files


def built(folder: Path, files: list[Path], address: str, progress: Progress) -> tuple[str, int]:
    """Build in a new workspace; report only the progress of the preparation."""
    folder.mkdir(exist_ok=True)
    settings = TaskSettings(
        sources=[FilesSource(path=each) for each in files], max_quarantine_share=1.0
    )

    def reported(done: float, doing: str) -> None:
        if doing == "cleaning and measuring texts":
            progress(done - 0.3, doing)

    storage = open_storage(sqlite_url(folder / "tidemill.db"))
    copies = DatasetCopies(folder / "datasets")
    found = build_dataset(
        TASK, settings, {}, folder, copies, storage, system_clock, reported, address
    ).version
    storage.database.close()
    return found.dataset_version, sum(found.outcome_counts.values())


def weather_data() -> TrainingData:
    """Return rows to search with."""
    return TrainingData(weather(200), weather(40, 200), weather(40, 240))


def searching(folder: Path, modes: Modes, console: Console) -> bool:
    """Search in each way; each trial must end once."""
    data, passed = weather_data(), True
    for number, (name, address, progress) in enumerate(modes):
        url = f"sqlite:///{folder}/optuna{number}.db"
        config = TrainingConfig(search=SearchConfig(_TRIALS, None, 1, url, "study", address))
        begin = time.monotonic()
        train(data, config, partial(_after, progress, 0.2), Untracked())
        seconds = time.monotonic() - begin
        trials = optuna.load_study(study_name="study", storage=url).trials
        left = sum(not each.state.is_finished() for each in trials)
        figure = f"search, {name}: {len(trials)} trials in {seconds:.1f} s, left over {left}"
        passed &= verdict(console, figure, len(trials) == _TRIALS and not left)
    return passed


def _after(progress: Progress, start: float, done: float, doing: str) -> None:
    progress(done - start, doing)


def scoring_context(workspace: Workspace, triton_address: str) -> JobContext:
    """Return a run over a workspace whose stack is running."""
    with chdir(workspace.folder):
        loaded = load_settings()
    settings = loaded.model_copy(
        update={"triton": loaded.triton.model_copy(update={"url": triton_address})}
    )
    return run_of(
        settings,
        open_storage(settings.effective_database_url),
        TritonControl(triton_address, ""),
        task=TASK,
    )


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
