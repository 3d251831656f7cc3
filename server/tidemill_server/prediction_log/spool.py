"""Files for predictions that the database currently cannot accept.

    <state_dir>/spool/<time of the first>-<random>.jsonl      one prediction per line
                     /<the same>.damaged                      lines that cannot be replayed

All workers of a state directory share the folder. Each appends to its own file, which it keeps
locked (flock) until it is full or replayed. The kernel unlocks the files of a process that died, so
the next replay includes them, and a SIGKILL needs no cleanup.
"""

import contextlib
import fcntl
import json
import os
import time
import uuid
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tidemill_core.domain.prediction import Prediction, Score
from tidemill_core.durable import sync

SUFFIX = ".jsonl"
FILE_BYTES = 4 * 1024 * 1024
"""Size at which a file is full."""
_MEASURE_SECONDS = 1.0


class SpoolFull(OSError):
    """The spool has reached its bound."""


class Spool:
    """One worker's writer and measure of the spool, for one thread at a time.

    Args:
        folder: the folder that all workers share.
        max_bytes: bound on its size, give or take what all workers write within a second.

    Attributes:
        size_bytes: the size of all files in the folder at the last measurement.
        oldest: Unix time of the oldest prediction in it; None if it is empty.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._file: int | None = None
        self._path = folder
        self._file_bytes = 0
        self._measure_at = 0.0
        self.size_bytes = 0
        self.oldest: float | None = None

    def write(self, batch: Sequence[Prediction]) -> None:
        """Write predictions durably, all of them or none.

        Raises:
            SpoolFull: the spool has no room for them.
            OSError: they cannot be written to the disk.
        """
        if time.monotonic() >= self._measure_at:
            self.measure()
        data = b"".join(map(line_of, batch))
        if self.size_bytes + len(data) > self._max_bytes:
            raise SpoolFull(f"the spool has reached prediction_log.max_spool_mb in {self._folder}")
        if self._file is None:
            self._file = self._create(batch[0].predict_time.timestamp())
        try:
            _append(self._file, data)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._file_bytes)
                if not self._file_bytes:
                    self._path.unlink()
            self.seal()
            raise
        self._file_bytes += len(data)
        self.size_bytes += len(data)
        if self._file_bytes >= FILE_BYTES:
            self.seal()

    def seal(self) -> None:
        """Close the current file, so that it can be replayed."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def measure(self) -> None:
        """Measure the size of the folder, and the age of its oldest prediction."""
        self._measure_at = time.monotonic() + _MEASURE_SECONDS
        size_bytes, names = 0, []
        try:
            for entry in os.scandir(self._folder):
                with contextlib.suppress(FileNotFoundError):  # just replayed
                    size_bytes += entry.stat().st_size
                    names.append(entry.name)
        except OSError:  # `write` reports it
            return
        self.size_bytes = size_bytes
        waiting = [name for name in names if name.endswith(SUFFIX)]
        self.oldest = min(map(_time_of, waiting), default=None)

    def _create(self, first: float) -> int:
        self._path = path = self._folder / f"{first:.6f}-{uuid.uuid4().hex}{SUFFIX}"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            sync(self._folder)
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        self._file_bytes = 0
        return file


def _append(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
    os.fsync(file)
    # Removed, or replayed before it was locked: its content would be lost.
    if os.fstat(file).st_nlink == 0:
        raise FileNotFoundError("the spool's file is gone")


def _time_of(name: str) -> float:
    """Return the Unix time of a file's first prediction; now, if the name has none."""
    try:
        return float(name.partition("-")[0])
    except ValueError:
        return time.time()


def line_of(prediction: Prediction) -> bytes:
    """Return a prediction as a line of JSON."""
    values = prediction._asdict() | {
        "scores": [score._asdict() for score in prediction.scores],
        "attributes": dict(prediction.attributes),
        "predict_time": prediction.predict_time.isoformat(),
    }
    return json.dumps(values).encode() + b"\n"


def parse_line(line: bytes) -> Prediction:
    """Return the prediction of a line, also of one that the previous release wrote.

    Raises:
        ValueError: the line is damaged.
    """
    try:
        values = json.loads(line.decode())
        scores = tuple(Score(**score) for score in values.pop("scores"))
        predict_time = datetime.fromisoformat(values.pop("predict_time"))
        return Prediction(scores=scores, predict_time=predict_time, **values)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(str(error)) from error
