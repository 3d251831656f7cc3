"""Files as a source: the rows that are new since the last read.

For each file the watermark has how far it was read and the SHA-256 of that part. A file whose stamp
is unchanged is not opened. If a file still begins with that part, reading continues after it;
otherwise it was rewritten, and its new rows replace the old ones. A file that vanished, or one of
many that is empty now, keeps its rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tidemill_core.settings import FilesSource
from tidemill_jobs.data.sources.errors import EmptyFile, NoRows
from tidemill_jobs.data.sources.files.progress import FileProgress, FileStep, new_rows
from tidemill_jobs.data.sources.files.stored_file import stored_files, without_secrets
from tidemill_jobs.data.sources.raw_rows import joined
from tidemill_jobs.data.sources.source import BATCH_BYTES, BATCH_ROWS, Batch, Watermark


class Files:
    """A file, a folder or a glob; a `Source`."""

    def __init__(self, name: str, settings: FilesSource) -> None:
        self.name = name
        self.place = without_secrets(settings.path)
        self.labeled = settings.label_column != ""
        self._settings = settings

    def read(self, watermark: Watermark) -> Iterator[Batch]:
        """Yield the new rows of the files, in the order of their names.

        Raises:
            DataError: SOURCE_MISSING, SOURCE_UNREADABLE, EMPTY_FILE, NOT_UTF8, BROKEN_HEADER,
                MISSING_COLUMN, AMBIGUOUS_COLUMN or WRONG_COLUMN_TYPE; names the file, and the
                line and column if there is one. NO_ROWS: all files are empty.
        """
        files: dict[str, Any] = dict(watermark.get("files", {}))
        waiting: list[FileStep] = []
        for step in self._steps(files):
            if _is_full(waiting, step):
                yield _batch(waiting, files)
                waiting = []
            waiting.append(step)
        if waiting:
            yield _batch(waiting, files)
        if not any(progress["rows"] or progress["tail"] for progress in files.values()):
            raise NoRows(self.place)

    def _steps(self, files: Mapping[str, Any]) -> Iterator[FileStep]:
        format_set = self._settings.format is not None
        cure = "fix the path" if format_set else "fix the path, or set the format of its files"
        for file in stored_files(self._settings.path, format_set, cure):
            before = FileProgress(**files.get(file.part, {}))
            if file.stamp and file.stamp == before.stamp:
                continue
            try:
                yield from new_rows(file, before, self._settings)
            except EmptyFile:
                # One of many files may be new, or about to be written again.
                if file.is_named:
                    raise


def _is_full(waiting: Sequence[FileStep], step: FileStep) -> bool:
    """Return whether the waiting steps fill a batch, so that another does not fit."""
    rows = sum(len(other.piece) for other in [*waiting, step])
    size = sum(other.piece.rows.estimated_size() for other in [*waiting, step])
    return bool(waiting) and (rows > BATCH_ROWS or size > BATCH_BYTES)


def _batch(steps: Sequence[FileStep], files: dict[str, Any]) -> Batch:
    """Return the steps as one batch; update the progress of the files."""
    piece = joined([step.piece for step in steps])
    files |= {step.part: asdict(step.progress) for step in steps}
    replaced = frozenset[str]().union(*(step.replaced for step in steps))
    return Batch(piece.rows, piece.unreadable, {"files": dict(files)}, replaced)
