"""What a backup has.

It is a tar file with `database.db` (SQLite, whatever the workspace's database is), the files
of the state directory below `state/`, the models below `models/`, and, at its end, `backup.json`
with what it is and the SHA-256 of each file. Rows are read as of one moment and files after it.
Published versions of datasets and models never change, so each row has its files.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from tidemill_core.counted import counted
from tidemill_core.dataset_copies import DATASETS

FORMAT = 1
DATABASE, STATE, MODELS, DESCRIPTION = "database.db", "state", "models", "backup.json"
OnProgress = Callable[[float, str], None]
"""A function of the fraction done, in [0, 1], and the current step."""


@dataclass(frozen=True)
class Backup:
    """What a backup has.

    Attributes:
        tidemill_version: the release that wrote it.
        create_time: when, in ISO 8601.
        row_counts: rows by table.
        files: the SHA-256 of each other file, by its path in the backup.
    """

    tidemill_version: str
    create_time: str
    row_counts: dict[str, int]
    files: dict[str, str]

    @property
    def tasks(self) -> set[str]:
        """The tasks that have dataset versions."""
        paths = (PurePosixPath(name).parts for name in self.files)
        return {parts[2] for parts in paths if parts[:2] == (STATE, DATASETS) and len(parts) > 3}


class RowProgress:
    """Reports copied rows as half of the work.

    Args:
        total: the number of rows to copy.
        start: the fraction of the work that is done before.
        on_progress: where to report.
    """

    def __init__(self, total: int, start: float, on_progress: OnProgress) -> None:
        self._total, self._start, self._on_progress = max(total, 1), start, on_progress
        self._done = 0

    def __call__(self, count: int) -> None:
        """Report more rows."""
        self._done += count
        fraction = self._start + 0.5 * min(1.0, self._done / self._total)
        self._on_progress(fraction, counted(self._done, "row"))
