"""A run of `score` in a process of its own, which a test may kill."""

import multiprocessing
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.plugins.job_runs import run_of
from tests.plugins.triton import CONTROL_KEY
from tidemill_core.domain.job_parameters import ScoreParameters
from tidemill_core.settings import Settings
from tidemill_core.storage.storage import open_storage
from tidemill_core.triton.control import TritonControl
from tidemill_jobs.scoring import score

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([__name__])  # so that a process starts within milliseconds


def start(
    settings: Settings, database: Path, triton: str, run_id: str, parameters: ScoreParameters
) -> BaseProcess:
    """Start a process that runs the job once."""
    process = _forks.Process(target=_run, args=(settings, database, triton, run_id, parameters))
    process.start()
    return process


def _run(
    settings: Settings, database: Path, triton: str, run_id: str, parameters: ScoreParameters
) -> None:
    storage = open_storage(f"sqlite:///{database}")
    with TritonControl(triton, CONTROL_KEY) as control:
        score.run(run_of(settings, storage, control, run_id=run_id, parameters=parameters))
