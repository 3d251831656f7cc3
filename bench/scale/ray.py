"""A Ray cluster with one and two nodes, and with one that is killed: score, prepare, search.

    python -m bench.scale.ray [--rows 100000]

The cluster's nodes share this machine's cores with Triton and with the job, so the seconds show the
cost of the cluster rather than its gain. Exits with 1 if a row is lost, is there twice, or differs
from what the job writes without Ray.
"""

import argparse
import csv
import sys
import tempfile
import time
from collections import Counter
from contextlib import chdir
from dataclasses import replace
from functools import partial
from pathlib import Path

import optuna
import polars as pl
from rich.console import Console

from bench.scoring.__main__ import verdict, write_rows
from bench.serving.workspace import EXAMPLE, TASK, Workspace, running_stack
from tests.plugins.ray_cluster import RayCluster
from tests.unit.jobs.training.conftest import weather
from tidemill_core.clock import system_clock
from tidemill_core.domain.job_parameters import ScoreParameters
from tidemill_core.model_repository import ModelRepository
from tidemill_core.settings import FilesSource, load_settings
from tidemill_core.settings.ray import RaySettings
from tidemill_core.storage.storage import open_storage
from tidemill_core.triton.control import TritonControl
from tidemill_jobs.cluster import mapping
from tidemill_jobs.context import JobContext, Progress
from tidemill_jobs.data.landing.intake import Intake, Segment
from tidemill_jobs.data.preparing.clean import Cleaning
from tidemill_jobs.data.preparing.prepare import PreparedCache
from tidemill_jobs.data.sources import open_source
from tidemill_jobs.scoring import score
from tidemill_jobs.training.labeled_texts import TrainingData
from tidemill_jobs.training.search import SearchConfig
from tidemill_jobs.training.tracking import Untracked
from tidemill_jobs.training.train import TrainingConfig, train

_SETTINGS = f"""\
[tasks.{TASK}]
sources = [{{ path = "{EXAMPLE}", label_column = "category" }}]
[tracking]
trackers = []
"""
_LONGEST = 10_000
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
        (workspace.folder / "tidemill.toml").write_text(_SETTINGS)
        source = workspace.folder / "in.csv"
        write_rows(source, rows)
        console.print("training the model")
        with running_stack(workspace, 1) as stack:
            console.print("starting the cluster")
            context = _context(workspace, stack.triton_address)
            with RayCluster(2) as cluster:
                scored = scoring(context, source, _modes(cluster), rows, console)
            with RayCluster(2) as cluster:
                prepared = preparation(workspace.folder, source, _modes(cluster), console)
            with RayCluster(2) as cluster:
                searched = searching(workspace.folder, _modes(cluster), console)
    return 0 if scored and prepared and searched else 1


def _modes(cluster: RayCluster) -> Modes:
    """Return the ways to work; the third loses a node, so the fourth has one."""
    killed: list[float] = []

    def kill(done: float, _doing: str) -> None:
        if done > 0.0 and not killed:
            killed.append(time.monotonic())
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
    """Prepare the rows in each way, and compare the prepared rows."""
    intake = Intake(folder / "intake", frozenset())
    declared = open_source(FilesSource(path=source, text_column="text", label_column="id"))
    segments = intake.land(declared, lambda _done, _doing: None)
    passed, expected = True, None
    for number, (name, address, progress) in enumerate(modes):
        begin = time.monotonic()
        found = _prepared(folder / f"prepared{number}", segments, address, progress)
        seconds = time.monotonic() - begin
        expected = found if expected is None else expected
        figure = f"prepare, {name}: {len(found):,} rows in {seconds:.1f} s"
        passed &= verdict(console, figure, found.equals(expected))
    return passed


def _prepared(
    folder: Path, segments: list[Segment], address: str, progress: Progress
) -> pl.DataFrame:
    with mapping(address) as mapped:
        prepared = PreparedCache(folder, Cleaning(_LONGEST)).prepare(
            segments, lambda done, doing: progress(done - 0.3, doing), mapped
        )
    return pl.concat(pl.read_parquet(each.path) for each in prepared)


def searching(folder: Path, modes: Modes, console: Console) -> bool:
    """Search in each way; each trial must end once."""
    data = TrainingData(weather(200), weather(40, 200), weather(40, 240))
    passed = True
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


def _context(workspace: Workspace, triton_address: str) -> JobContext:
    with chdir(workspace.folder):
        loaded = load_settings()
    settings = loaded.model_copy(
        update={"triton": loaded.triton.model_copy(update={"url": triton_address})}
    )
    return JobContext(
        task=TASK,
        run_id="bench",
        settings=settings,
        storage=open_storage(settings.effective_database_url),
        repository=ModelRepository(settings.model_repository),
        triton=TritonControl(triton_address, ""),
        clock=system_clock,
        progress=lambda _done, _doing: None,
    )


if __name__ == "__main__":
    sys.exit(main())
