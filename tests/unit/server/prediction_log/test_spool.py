"""The spool's files: written by several workers, replayed by any of them."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.contract.storage.values import NOW, later, prediction
from tests.plugins.small_disk import clear, fill, mounted
from tidemill_core.domain.prediction import Prediction
from tidemill_core.errors import InvalidArgument, StorageUnavailable
from tidemill_server.prediction_log import spool as spool_module
from tidemill_server.prediction_log.replay import replay
from tidemill_server.prediction_log.spool import Spool, SpoolFull

PLENTY = 10**9
WRITER = """
import sys, time
from pathlib import Path
from tests.contract.storage.values import prediction
from tidemill_server.prediction_log.spool import Spool
Spool(Path(sys.argv[1]), 10**9).write([prediction("theirs")])
print("written", flush=True)
time.sleep(60)
"""


class Database:
    """A store that refuses texts with a NUL, and everything while it is away."""

    def __init__(self) -> None:
        self.rows: list[Prediction] = []
        self.is_away = False

    def add(self, batch: Sequence[Prediction]) -> None:
        """Store all or nothing."""
        if self.is_away:
            raise StorageUnavailable("away")
        if any(each.text == "\0" for each in batch):
            raise InvalidArgument("INVALID_VALUE", "request", "a NUL")
        self.rows += batch

    @property
    def ids(self) -> list[str]:
        """Return the ids in the order written."""
        return [each.prediction_id for each in self.rows]


def bring_back(folder: Path, database: Database) -> int:
    """Replay everything, and return how many predictions were counted."""
    counted: list[int] = []
    replay(folder, database.add, counted.append, lambda: False)
    return sum(counted)


def test_what_is_written_is_replayed_once(tmp_path: Path) -> None:
    """Rows come back equal and oldest first, and their file is removed."""
    spool, database = Spool(tmp_path, PLENTY), Database()
    rows = [prediction(f"p{n}", "\u2028 ü\n", text_hash="h" * n) for n in range(3)]
    for row in rows:
        spool.write([row])
    assert len(list(tmp_path.iterdir())) == 1
    spool.seal()
    assert bring_back(tmp_path, database) == 3
    assert database.rows == rows
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_written_is_left_alone(tmp_path: Path) -> None:
    """An open file is not replayed until it is sealed; other files are."""
    mine, theirs, database = Spool(tmp_path, PLENTY), Spool(tmp_path, PLENTY), Database()
    mine.write([prediction("mine")])
    theirs.write([prediction("theirs")])
    theirs.seal()
    bring_back(tmp_path, database)
    assert database.ids == ["theirs"]
    mine.write([prediction("mine too")])
    mine.seal()
    bring_back(tmp_path, database)
    assert database.ids == ["theirs", "mine", "mine too"]


def test_a_file_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    """A SIGKILL unlocks the process's file, and no acknowledged row is lost."""
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    root = str(Path(__file__).parents[4])
    writer = subprocess.Popen(
        command, stdout=subprocess.PIPE, cwd=root, env=os.environ | {"PYTHONPATH": root}
    )
    database = Database()
    with writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        bring_back(tmp_path, database)
        assert database.ids == []
        writer.send_signal(signal.SIGKILL)
    bring_back(tmp_path, database)
    assert database.ids == ["theirs"]


def test_what_cannot_be_read_or_stored_is_set_aside(tmp_path: Path) -> None:
    """Broken lines and refused rows are quarantined; all others are stored."""
    spool, database = Spool(tmp_path, PLENTY), Database()
    good = [prediction(f"p{n}") for n in range(7)]
    spool.write([*good[:3], prediction("refused", "\0"), *good[3:]])
    spool.seal()
    (path,) = tmp_path.iterdir()
    with path.open("ab") as file:
        file.write(b'words\n[]\n{"scores": []}\n\xff\xfe\n{"prediction_id": "cut')
    bring_back(tmp_path, database)
    assert sorted(database.ids) == [each.prediction_id for each in good]
    (aside,) = tmp_path.iterdir()
    assert aside.suffix == ".damaged"
    assert len(aside.read_bytes().split(b"\n")) == 6
    bring_back(tmp_path, database)
    assert list(tmp_path.iterdir()) == [aside]


def test_a_file_stays_until_its_bad_lines_are_aside(tmp_path: Path) -> None:
    """A file is not removed if its bad lines cannot be quarantined."""
    spool, database = Spool(tmp_path, PLENTY), Database()
    spool.write([prediction("refused", "\0")])
    spool.seal()
    (path,) = tmp_path.iterdir()
    path.with_suffix(".damaged").mkdir()
    with pytest.raises(IsADirectoryError):
        bring_back(tmp_path, database)
    assert path.exists()


def test_files_stay_while_the_database_is_away(tmp_path: Path) -> None:
    """A replay that fails raises the error, and leaves the file for the next one."""
    spool, database = Spool(tmp_path, PLENTY), Database()
    spool.write([prediction("p1")])
    spool.seal()
    database.is_away = True
    with pytest.raises(StorageUnavailable):
        bring_back(tmp_path, database)
    database.is_away = False
    assert bring_back(tmp_path, database) == 1
    assert database.ids == ["p1"]


def test_the_release_before_is_read(tmp_path: Path) -> None:
    """A file of version 0.1.0, whose rows have no hash, is replayed."""
    line = (
        '{"prediction_id": "old", "task": "support", "model_version": 1, "text": "t", '
        '"label": "l", "confidence": 0.5, "scores": [{"label": "l", "score": 0.5}], '
        '"abstained": false, "method": "Predict", "request_id": "", "routing_key": "", '
        '"attributes": {"a": "b"}, "propensity": 1.0, "latency_ms": 1.0, '
        '"predict_time": "2026-03-01T12:00:00.123456+00:00"}\n'
    )
    (tmp_path / "1772366400.000000-0.jsonl").write_text(line)
    database = Database()
    bring_back(tmp_path, database)
    assert [(each.prediction_id, each.predict_time) for each in database.rows] == [("old", NOW)]


def test_the_bound_is_of_all_workers_together(tmp_path: Path) -> None:
    """Files of other workers count; at the bound writes fail until a replay makes room."""
    first = Spool(tmp_path, PLENTY)
    first.write([prediction("p1")])
    (path,) = tmp_path.iterdir()
    second = Spool(tmp_path, path.stat().st_size + 10)
    with pytest.raises(SpoolFull, match="max_spool_mb"):
        second.write([prediction("p2")])
    assert list(tmp_path.iterdir()) == [path]
    first.seal()
    bring_back(tmp_path, Database())
    second.measure()
    second.write([prediction("p2")])
    second.seal()


def test_the_spool_knows_its_size_and_age(tmp_path: Path) -> None:
    """The size covers all files, the age is the oldest prediction's; if empty it has none."""
    spool = Spool(tmp_path, PLENTY)
    spool.measure()
    assert (spool.size_bytes, spool.oldest) == (0, None)
    for seconds in (5, 0):
        spool.write([prediction("p", predict_time=later(seconds))])
        spool.seal()
    (tmp_path / "x.damaged").write_bytes(b"12345")
    spool.measure()
    assert spool.size_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert spool.oldest == pytest.approx(NOW.timestamp(), abs=1e-5)


def test_a_full_file_is_sealed(tmp_path: Path) -> None:
    """A long outage creates files of a bounded size, each ready for replay."""
    spool, database = Spool(tmp_path, PLENTY), Database()
    long = prediction("long", "x" * spool_module.FILE_BYTES)
    spool.write([long])
    spool.write([prediction("next")])
    bring_back(tmp_path, database)
    assert database.ids == ["long"]
    spool.seal()


def test_a_file_that_was_removed_is_noticed(tmp_path: Path) -> None:
    """Writing to a removed file is an error."""
    spool, database = Spool(tmp_path, PLENTY), Database()
    spool.write([prediction("p1")])
    (path,) = tmp_path.iterdir()
    path.unlink()
    with pytest.raises(FileNotFoundError):
        spool.write([prediction("p2")])
    spool.write([prediction("p2")])
    spool.seal()
    bring_back(tmp_path, database)
    assert database.ids == ["p2"]


def test_a_full_disk_leaves_no_empty_files(tmp_path: Path) -> None:
    """Failed writes are repeated; once there is room, the rows come back once."""
    with mounted(tmp_path / "disk"):
        folder, database = tmp_path / "disk", Database()
        spool = Spool(folder, PLENTY)
        (folder / "filler-0").touch()
        reserved = [folder / f"reserved-{number}" for number in range(10)]
        for path in reserved:  # room for the files' names, but not for their content
            path.touch()
        fill(folder)
        for path in reserved:
            path.unlink()
        for _ in range(20):
            with pytest.raises(OSError, match="space"):
                spool.write([prediction("p", "a text")])
        assert not list(folder.glob("*.jsonl"))
        clear(folder)
        spool.write([prediction("p", "a text")])
        spool.seal()
        assert bring_back(folder, database) == 1
        assert database.ids == ["p"]
