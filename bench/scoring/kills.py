"""Scorings that are killed at random moments and started again, for each kind of output."""

import math
import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from rich.console import Console

from bench.scoring.runs import process_of, start
from bench.serving.workspace import Stack, Workspace
from tests.integration.jobs.scoring.outputs import OUTPUTS, remove, rows_at
from tidemill.v1 import job_service_pb2 as pb
from tidemill_client import TidemillClient

ROWS = 20_000
_SEED = 7
_LOOK_SECONDS = 0.05


def survives_kills(
    workspace: Workspace, stack: Stack, source: Path, kills: int, console: Console
) -> bool:
    """Kill the runs of each kind of output this often; return whether no row suffered.

    Each output that appears must have each row of the source once, and each prediction of it must
    be stored once.
    """
    chance = random.Random(_SEED)  # noqa: S311 -- repeatable, and no secret
    good, logged = True, workspace.logged_rows()
    for output in OUTPUTS:
        place = output.format(folder=workspace.folder)
        killed = ended = 0
        longest = math.inf
        while killed < kills or ended < 2:
            # The first run is not killed, because it shows how long a run takes.
            after = chance.uniform(0.0, longest) if ended and killed < kills else math.inf
            begin = time.monotonic()
            if not _run(workspace, stack, source, place, after):
                killed += 1
                continue
            longest = min(longest, time.monotonic() - begin)
            ended, logged = ended + 1, logged + ROWS
            good &= _is_whole(workspace, place, logged)
            remove(place)
        console.print(f"{output.rpartition('/')[2]}: {killed} kills, {ended} outputs")
    return good


def _run(workspace: Workspace, stack: Stack, source: Path, place: str, kill_after: float) -> bool:
    """Score by the command, kill the run's process after some seconds, and say if it succeeded.

    Raises:
        RuntimeError: it failed by itself.
    """
    run_id = start(workspace, stack, source, place, "--log")
    kill_time = math.inf
    with TidemillClient(stack.grpc_address, timeout=60) as client:
        request = pb.GetJobRunRequest(run_id=run_id)
        while not (run := client.jobs.GetJobRun(request, timeout=60).job_run).HasField("end_time"):
            if (process := process_of(stack, run_id)) is not None:
                kill_time = min(kill_time, time.monotonic() + kill_after)
                if time.monotonic() >= kill_time:
                    process.kill()
            time.sleep(_LOOK_SECONDS)
    if run.error and not run.error.startswith("DIED"):
        raise RuntimeError(run.error)
    return not run.error


def _is_whole(workspace: Workspace, place: str, stored: int) -> bool:
    """Return whether an output has each row once, and `stored` predictions with its own exist."""
    rows = rows_at(place)
    with closing(sqlite3.connect(workspace.database)) as database:
        ids = {row[0] for row in database.execute("SELECT prediction_id FROM predictions")}
    return (
        [number for number, _, _ in rows] == [str(number) for number in range(ROWS)]
        and all(label for _, label, _ in rows)
        and {prediction_id for _, _, prediction_id in rows} <= ids
        and len(ids) == stored
    )
