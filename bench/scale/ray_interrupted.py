"""Jobs on a Ray cluster that are interrupted: when they end, what they leave, and what they keep.

    python -m bench.scale.ray_interrupted [--rows 40000]

A scoring, a build and a search run on a cluster of two nodes, each in a process of its own. Each is
ended in the middle by SIGINT (Ctrl-C), started again, ended by SIGTERM (as `tidemill up` ends its
jobs when it stops), and started again. Exits with 1 if a process takes longer than 5 s to end, a
task is left on the cluster after 15 s, or a job cannot go on.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import psutil
from rich.console import Console

from bench import end_on_sigterm
from bench.scale.ray import SETTINGS, built, divided, scoring_context, weather_data
from bench.scoring.__main__ import verdict, write_rows
from bench.serving.workspace import Workspace, running_stack
from tests.plugins.ray_cluster import RayCluster
from tidemill_core.domain.job_parameters import ScoreParameters
from tidemill_core.settings.ray import RaySettings
from tidemill_jobs.scoring import score
from tidemill_jobs.training.search import SearchConfig
from tidemill_jobs.training.tracking import Untracked
from tidemill_jobs.training.train import TrainingConfig, train

_END_SECONDS, _LEFT_SECONDS = 5.0, 15.0
_TRIALS = 12


def main() -> int:
    """Run the benchmark; return 1 if a job ends late, leaves tasks or cannot go on."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=40_000, help="rows of the file")
    parser.add_argument("--job", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        name, *places = options.job
        _JOBS[name](*places)
        return 0
    console = Console()
    with tempfile.TemporaryDirectory() as name:
        workspace = Workspace(Path(name))
        (workspace.folder / "tidemill.toml").write_text(SETTINGS)
        write_rows(workspace.folder / "in.csv", options.rows)
        divided(workspace.folder / "in.csv")
        with running_stack(workspace, 1) as stack, RayCluster(2) as cluster:
            places = (name, cluster.address, stack.triton_address)
            passed = [_interrupted(job, places, console) for job in _JOBS]
    return 0 if all(passed) else 1


def _interrupted(job: str, places: tuple[str, ...], console: Console) -> bool:
    """End a job twice, and let the third process end it."""
    passed = True
    for number in (signal.SIGINT, signal.SIGTERM):
        process = _started(job, places)
        _line(process, "half")
        begin = time.monotonic()
        process.send_signal(number)
        process.wait(60)
        ended = time.monotonic() - begin
        while (busy := _busy()) and time.monotonic() - begin < _LEFT_SECONDS:
            time.sleep(0.1)
        figure = f"{job}, {number.name}: ended after {ended:.1f} s, tasks left {busy} "
        figure += f"after {time.monotonic() - begin:.1f} s"
        passed &= verdict(console, figure, ended < _END_SECONDS and not busy)
    process = _started(job, places)
    kept = _line(process, "kept")
    return verdict(console, f"{job}, started again: {kept}", process.wait() == 0) and passed


def _started(job: str, places: tuple[str, ...]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "bench.scale.ray_interrupted", "--job", job, *places]
    return subprocess.Popen(  # noqa: S603 -- our own words
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def _line(process: "subprocess.Popen[str]", start: str) -> str:
    for line in process.stdout or ():
        if line.startswith(start):
            return line.strip()
    raise RuntimeError(f"the job ended with {process.wait()} before it said {start!r}")


def _busy() -> int:
    """Return how many processes of Ray run a task."""
    names = (" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"]))
    return sum(name.startswith("ray::_guarded") for name in names)


def _reported(start: float) -> Callable[[float, str], None]:
    """Return a progress that says when a part of the work is done."""

    def report(done: float, _doing: str) -> None:
        if done > start:
            print("half", flush=True)

    return report


def _score(folder: str, address: str, triton_address: str) -> None:
    context = scoring_context(Workspace(Path(folder)), triton_address)
    found = score.run(
        replace(
            context,
            settings=context.settings.model_copy(update={"ray": RaySettings(address=address)}),
            progress=_reported(0.3),
            parameters=ScoreParameters(f"{folder}/in.csv", f"{folder}/out.csv"),
        )
    )
    print(f"kept {found['kept_rows']:,} of {found['rows']:,} rows", flush=True)


def _build(folder: str, address: str, _triton_address: str) -> None:
    files = sorted(Path(folder).glob("part*.csv"))
    state = Path(folder) / "built"
    kept = len(list(state.glob("prepared/*/*/*/*.parquet")))
    built(state, files, address, _reported(0.1))
    print(f"kept {kept} of {len(files)} prepared files", flush=True)


def _search(folder: str, address: str, _triton_address: str) -> None:
    url = f"sqlite:///{folder}/optuna.db"
    kept = 0
    if Path(folder, "optuna.db").exists():
        states = [each.state for each in optuna.load_study(study_name="s", storage=url).trials]
        kept = states.count(optuna.trial.TrialState.COMPLETE)
    config = TrainingConfig(search=SearchConfig(_TRIALS, None, 1, url, "s", address))
    train(weather_data(), config, _reported(0.3), Untracked())
    print(f"kept {kept} of {_TRIALS} trials", flush=True)


_JOBS: dict[str, Callable[[str, str, str], None]] = {
    "score": _score,
    "build": _build,
    "search": _search,
}


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
