"""The job `score` killed at any moment, repeated, and with a full disk."""

import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.jobs.scoring.conftest import Bench
from tests.integration.jobs.scoring.killing import start
from tests.integration.jobs.scoring.outputs import OUTPUTS, remove, rows_at
from tests.integration.server.front import Workspace
from tests.integration.server.models import WORDS
from tests.plugins import small_disk
from tests.plugins.triton import RunningTriton
from tidemill_core.domain.job import SCORE, Trigger
from tidemill_core.domain.job_parameters import ScoreParameters
from tidemill_core.errors import TidemillError
from tidemill_core.storage.jobs import RunRequest
from tidemill_jobs.context import Progress, RunCanceled
from tidemill_jobs.scoring.chunks import CHUNK_ROWS

ROWS = 4 * CHUNK_ROWS + 7
KILLED_ROWS = 2 * CHUNK_ROWS + 7
KILLS = 3


def write_rows(path: Path, rows: int = ROWS) -> None:
    """Write rows with an id each."""
    with path.open("w") as file:
        file.write("id,text\n")
        file.writelines(f"{n},{WORDS[n % 9]} {WORDS[n // 9 % 9]} {n}\n" for n in range(rows))


def ids_of(path: Path) -> list[str]:
    """Return the ids of an output's rows, all of which have a prediction."""
    lines = path.read_text().splitlines()[1:]
    assert all(line.split(",")[2] for line in lines)
    return [line.partition(",")[0] for line in lines]


@pytest.mark.parametrize("output", OUTPUTS)
def test_kills(bench: Bench, workspace: Workspace, triton: RunningTriton, output: str) -> None:
    """Whenever a run is killed, the next one ends with each row once, or there is no output."""
    write_rows(bench.folder / "in.csv", KILLED_ROWS)
    place = output.format(folder=bench.folder)
    asked = ScoreParameters(str(bench.folder / "in.csv"), place, log_predictions=True)
    jobs, clock = workspace.storage.jobs, bench.context.clock
    logged, chance = workspace.stored_ids(), random.Random(7)
    before, kills, ended = len(logged), 0, 0
    while kills < KILLS or not ended:
        jobs.enqueue(RunRequest(SCORE, "support", Trigger.RPC, parameters=asked), clock())
        run = jobs.claim(clock())
        assert run is not None
        where = (bench.context.settings, workspace.database, triton.grpc_address)
        process = start(*where, run.run_id, asked)
        process.join(chance.uniform(0.0, 0.4) if kills < KILLS else None)
        process.kill()
        process.join()
        if process.exitcode == 0:
            ended += 1
            jobs.succeed(run.run_id, {}, clock())
            assert [row[0] for row in rows_at(place)] == [str(n) for n in range(KILLED_ROWS)]
            assert all(label for _, label, _ in rows_at(place))
            logged |= {row[2] for row in rows_at(place)}
            assert len(logged) == before + ended * KILLED_ROWS
            assert workspace.stored_ids() == logged
            remove(place)
            continue
        kills += 1
        jobs.fail(run.run_id, "DIED", clock())
        assert len(rows_at(place)) in (0, KILLED_ROWS)
    left = {path.name for path in bench.folder.iterdir()}
    assert left <= {"var", "in.csv", "out.db"}


def test_a_canceled_run_goes_on_where_it_ended(bench: Bench) -> None:
    """Only chunks without kept answers are asked again, and those whose rows have changed."""
    write_rows(bench.folder / "in.csv")
    canceled = replace(bench, context=replace(bench.context, progress=_cancel_at(0.5)))
    with pytest.raises(RunCanceled):
        canceled.score("in.csv", "out.csv")
    assert not (bench.folder / "out.csv").exists()
    content = (bench.folder / "in.csv").read_text()
    (bench.folder / "in.csv").write_text(content.replace(" 5\n", " 6\n", 1))
    result = bench.score("in.csv", "out.csv")
    assert 0 < result["kept_rows"] < ROWS
    assert result["kept_rows"] % CHUNK_ROWS == 0
    assert ids_of(bench.folder / "out.csv") == [str(n) for n in range(ROWS)]
    with pytest.raises(TidemillError, match="exists already"):
        bench.score("in.csv", "out.csv")
    again = bench.score("in.csv", "out.csv", overwrite=True)
    assert again["kept_rows"] == 0


def test_a_run_that_died_after_its_output_appeared(bench: Bench, workspace: Workspace) -> None:
    """The next run has its result; after a run that succeeded, the output is in the way."""
    write_rows(bench.folder / "in.csv", 3)
    jobs, clock = workspace.storage.jobs, bench.context.clock
    for died in (True, False):
        output = f"out-{died}.csv"
        asked = ScoreParameters(str(bench.folder / "in.csv"), output)
        jobs.enqueue(RunRequest(SCORE, "support", Trigger.RPC, parameters=asked), clock())
        run = jobs.claim(clock())
        assert run is not None
        named = replace(bench, context=replace(bench.context, run_id=run.run_id))
        result = named.score("in.csv", output)
        if died:
            jobs.fail(run.run_id, "DIED", clock())
            assert bench.score("in.csv", output) == result
        else:
            jobs.succeed(run.run_id, result, clock())
            with pytest.raises(TidemillError, match="exists already"):
                bench.score("in.csv", output)
        assert len(ids_of(bench.folder / output)) == 3


def test_a_full_disk_leaves_no_half_output(bench: Bench) -> None:
    """A run that finds the disk full says so; with room again, it ends."""
    write_rows(bench.folder / "in.csv", CHUNK_ROWS)
    with small_disk.mounted(bench.folder / "small"):
        output = bench.folder / "small" / "out.csv"
        small_disk.fill(output.parent)
        (output.parent / "filler-1").unlink()  # the output's name fits, its rows do not
        with pytest.raises(TidemillError, match="No space left"):
            bench.score("in.csv", str(output))
        assert list(output.parent.glob("*out*")) == list(output.parent.glob(".*")) == []
        small_disk.clear(output.parent)
        assert bench.score("in.csv", str(output))["kept_rows"] == CHUNK_ROWS
        assert len(ids_of(output)) == CHUNK_ROWS


def test_a_full_disk_leaves_no_half_table(bench: Bench) -> None:
    """The database says why it has no room; its tables stay, and the next run ends."""
    write_rows(bench.folder / "in.csv", 3)
    small = bench.folder / "small"
    with small_disk.mounted(small), closing(sqlite3.connect(small / "out.db")) as database:
        database.execute("CREATE TABLE earlier (id TEXT)")
        small_disk.fill(small)
        (small / "filler-1").unlink()  # the name of the database's journal fits
        with pytest.raises(TidemillError, match="database or disk is full"):
            bench.score("in.csv", f"sqlite:///{small}/out.db#scored")
        small_disk.clear(small)
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("earlier",)]
        bench.score("in.csv", f"sqlite:///{small}/out.db#scored")
        assert database.execute("SELECT count(*) FROM scored").fetchone() == (3,)


def _cancel_at(share: float) -> Progress:
    def progress(done: float, _doing: str) -> None:
        if done >= share:
            raise RunCanceled

    return progress
