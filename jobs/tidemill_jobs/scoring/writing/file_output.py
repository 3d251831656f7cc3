"""A file as the output, on any storage that fsspec knows."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from tidemill_core.durable import STAGED, sync
from tidemill_core.errors import DataError, TidemillError
from tidemill_core.row_places import PrivateFolders, written_format
from tidemill_jobs.data.sources.files.csv_lines import delimiter_of
from tidemill_jobs.data.sources.files.stored_file import file_system_of, without_secrets
from tidemill_jobs.scoring.writing.formats import (
    CsvWriter,
    JsonLinesWriter,
    ParquetWriter,
    Writer,
    compressed,
)
from tidemill_jobs.scoring.writing.output import OutputExists, Values, not_written, write_errors


class FileOutput:
    """A file; see `Output`."""

    def __init__(
        self, place: str, folder: Path, private: PrivateFolders, *, overwrite: bool
    ) -> None:
        self._shown = without_secrets(place)
        self._overwrite = overwrite
        self._format = written_format(place)
        with self._any_error():
            self._file_system, self._name = file_system_of(place)
        self._staged = folder / f"output{self._format.suffix}{self._format.compression}"
        # The same name in each run, so that a run removes what a killed one left.
        self._beside = str(PurePosixPath(self._name).parent / f"{STAGED}{folder.name}")
        self._delimiter = delimiter_of(place)
        self._writer: Writer | None = None
        if self._is_local:
            private.check(self._name)
            self._require_folder()
        if self.exists() and not overwrite:
            raise OutputExists(self._shown)

    def exists(self) -> bool:
        """Return whether something is at the output's place."""
        with self._any_error():
            return bool(self._file_system.exists(self._name))

    def write(self, rows: Values, schema: pa.Schema | None) -> None:
        """Add rows."""
        with write_errors(self._shown):
            self._writer = self._writer or self._begun()
            self._writer.write(rows, schema)

    def commit(self) -> None:
        """Make the output appear at its place."""
        with write_errors(self._shown):
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            sync(self._staged)
        if not self._overwrite and self.exists():
            raise OutputExists(self._shown)
        if self._is_local:
            with write_errors(self._shown):
                self._move()
            return
        with self._any_error():
            self._file_system.put_file(str(self._staged), self._beside)
            self._file_system.mv(self._beside, self._name)
        self._staged.unlink()

    def discard(self) -> None:
        """Remove what was not committed."""
        if self._writer is not None:
            with suppress(OSError, pa.ArrowException):
                self._writer.close()
        self._staged.unlink(missing_ok=True)

    @property
    def _is_local(self) -> bool:
        return isinstance(self._file_system, LocalFileSystem)

    def _begun(self) -> Writer:
        if self._format.format == "parquet":
            return ParquetWriter(self._staged)
        file = compressed(self._staged, self._format.compression)
        if self._format.format == "jsonl":
            return JsonLinesWriter(file)
        return CsvWriter(file, self._delimiter)

    def _require_folder(self) -> None:
        parent = Path(self._name).parent
        if not parent.is_dir() or Path(self._name).is_dir():
            problem = "is a folder" if parent.is_dir() else "its folder does not exist"
            raise DataError("OUTPUT_UNREACHABLE", f"{self._shown}: {problem}; fix the path")
        with write_errors(self._shown):
            Path(self._beside).touch()
            Path(self._beside).unlink()

    def _move(self) -> None:
        """Rename the file to its place; copy it beside the place first if the disk is another."""
        target, beside = Path(self._name), Path(self._beside)
        if self._staged.stat().st_dev == target.parent.stat().st_dev:
            self._staged.replace(target)
        else:
            try:
                shutil.copyfile(self._staged, beside)
                sync(beside)
                beside.replace(target)
            finally:
                beside.unlink(missing_ok=True)
            self._staged.unlink()
        sync(target.parent)

    @contextmanager
    def _any_error(self) -> Iterator[None]:
        """Convert errors of file systems such as `s3://`, which have their own classes."""
        try:
            yield
        except TidemillError:
            raise
        except Exception as error:
            detail = without_secrets(str(error)) or type(error).__name__
            raise not_written(self._shown, detail) from error
