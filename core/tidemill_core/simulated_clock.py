"""The clock of a replay: its time stands still until the replay sets it."""

import mmap
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMES = struct.Struct("=qqq")
"""In microseconds since 1970: the time, the time for which the jobs are asked to do what is due,
and the time for which they have done it."""
_MICROSECOND = timedelta(microseconds=1)


class SimulatedClock:
    """A `Clock` that the processes of a replay share through a file in memory.

    A read costs no system call.

    Args:
        path: the file, as `create` makes it.
    """

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _TIMES.size)

    @classmethod
    def create(cls, path: Path, time: datetime) -> "SimulatedClock":
        """Create the file of a clock that stands at `time`."""
        path.write_bytes(_TIMES.pack(_microseconds(time), 0, 0))
        return cls(path)

    def __call__(self) -> datetime:
        """Return the time."""
        return self._time(0)

    def set(self, time: datetime) -> None:
        """Set the time."""
        self._set(0, time)

    def ask_jobs(self) -> None:
        """Ask the jobs to do all that is due now."""
        self._set(1, self())

    @property
    def asked(self) -> bool:
        """Whether the jobs are asked to do what is due, and have not done it yet."""
        return self._time(1) != self._time(2)

    def settle(self) -> None:
        """Report that the jobs have done all that was due; the time stood still meanwhile."""
        self._set(2, self._time(1))

    def _time(self, place: int) -> datetime:
        microseconds: int = _TIMES.unpack_from(self._shared)[place]
        return _EPOCH + microseconds * _MICROSECOND

    def _set(self, place: int, time: datetime) -> None:
        struct.pack_into("=q", self._shared, 8 * place, _microseconds(time))


def _microseconds(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND
