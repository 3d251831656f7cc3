"""Where rows are read and written: a file or URL, or a database's table as DATABASE#TABLE."""

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from tidemill_core.errors import ConfigurationError, DataError

_DATABASES = re.compile(
    r"(env:|(sqlite|postgres|postgresql|mysql|mariadb|mssql|oracle)(\+\w+)?://)"
)
FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
"""The format of a file with rows, by the end of its name."""
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
_QUERY = re.compile(r"\s*(select|with)\s", re.IGNORECASE)
_SHOWN = 60


class TableNotNamed(DataError):
    """A place in a database without the table."""

    def __init__(self, message: str) -> None:
        super().__init__("TABLE_NOT_NAMED", message)


class UnknownFormat(DataError):
    """A place that is written in no known format."""

    def __init__(self, message: str) -> None:
        super().__init__("UNKNOWN_FORMAT", message)


class PlaceIsPrivate(DataError):
    """A place that holds what callers of jobs must not read or write."""

    def __init__(self, place: str) -> None:
        problem = "is Tidemill's own: its state, its models or its settings; choose another place"
        super().__init__("PLACE_IS_PRIVATE", f"{place} {problem}")


@dataclass(frozen=True)
class PrivateFolders:
    """Tidemill's own folders, with keys and the data of all tasks.

    A caller who may run jobs for one task must not reach them.
    """

    folders: Sequence[Path]

    def check(self, path: str) -> None:
        """Raise PlaceIsPrivate for a local file in one of the folders."""
        real = Path(path).resolve()
        if any(real.is_relative_to(folder.resolve()) for folder in self.folders):
            raise PlaceIsPrivate(path)

    def check_database(self, url: str) -> None:
        """Raise PlaceIsPrivate for a database in one of the folders."""
        # Only the packages of the jobs have it.
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError):  # the reader reports it, and opens nothing
            return
        if parsed.get_backend_name() == "sqlite" and (path := parsed.database):
            # SQLAlchemy opens this path, and for a URI leaves its decoding to SQLite.
            self.check(os.path.abspath(path))  # noqa: PTH100 -- as SQLAlchemy, `..` before links
            if path.startswith("file:"):
                self.check(unquote(urlsplit(path).path))


@dataclass(frozen=True)
class DatabasePlace:
    """A table or a query of a database.

    Attributes:
        database: SQLAlchemy's URL without a password, or `env:` and the variable that has it.
        rows: the table, perhaps with its schema, or the query.
    """

    database: str
    rows: str

    @property
    def is_query(self) -> bool:
        """Whether the rows are those of a query."""
        return _QUERY.match(self.rows) is not None

    @property
    def shown(self) -> str:
        """The place for people; of a long query, the beginning."""
        rows = " ".join(self.rows.split())
        rows = rows if len(rows) <= _SHOWN else f"{rows[:_SHOWN]}…"
        return f"{self.database}#{rows}"

    @property
    def url(self) -> str:
        """SQLAlchemy's URL.

        Raises:
            ConfigurationError: the variable is not set.
            PlaceIsPrivate: the variable is one of Tidemill's settings.
        """
        if not self.database.startswith("env:"):
            return self.database
        variable = self.database.removeprefix("env:")
        if variable.upper().startswith("TIDEMILL_"):
            raise PlaceIsPrivate(self.database)
        if not (found := os.environ.get(variable, "")):
            problem = f"the environment variable {variable} of the jobs is not set"
            raise ConfigurationError(f"{problem}: set it to the database's URL")
        return found


def database_place(place: str) -> DatabasePlace | None:
    """Return the database that a place names; None if it is a file or another URL.

    Raises:
        TableNotNamed: it is a database without a table.
        DataError: CHAINED_URL for URLs that wrap others.
    """
    if "::" in place and "://" in place:
        problem = "has a URL inside a URL; give the URL of the file itself"
        raise DataError("CHAINED_URL", f"{place.partition('::')[0]}::… {problem}")
    if not _DATABASES.match(place):
        return None
    database, _, rows = place.partition("#")
    if not rows.strip():
        raise TableNotNamed(f"{database} names no table; write {database}#TABLE")
    return DatabasePlace(database, rows)


@dataclass(frozen=True)
class FileFormat:
    """The format of a file that is written, as the end of its name says.

    Attributes:
        format: `csv`, `jsonl` or `parquet`.
        suffix: such as `.tsv`.
        compression: one of COMPRESSIONS, or empty.
    """

    format: str
    suffix: str
    compression: str


def written_format(place: str) -> FileFormat:
    """Return the format of a file or URL to write.

    Raises:
        UnknownFormat: it is not one of them.
    """
    name = PurePosixPath(place.lower())
    compression = name.suffix if name.suffix in COMPRESSIONS else ""
    suffix = PurePosixPath(name.stem).suffix if compression else name.suffix
    found = FORMATS.get(suffix, "")
    if not found or (compression and found == "parquet"):
        known = ".csv, .tsv, .jsonl, .ndjson or .parquet; .gz, .bz2, .xz or .zst may follow"
        raise UnknownFormat(f"the output's name must end in {known} for CSV and JSON Lines")
    return FileFormat(found, suffix, compression)


def is_web(place: str) -> bool:
    """Return whether a place is a URL of a web server."""
    return place.lower().startswith(("http://", "https://"))


def with_literal_folders(pattern: str) -> str:
    """Return a glob with its existing folder escaped, such as one that is really named `[x]`.

    Args:
        pattern: an absolute path of this machine, as a glob.
    """
    for folder in PurePosixPath(pattern).parents:
        if Path(folder).is_dir():
            return glob.escape(str(folder)) + pattern[len(str(folder)) :]
    return pattern


def check_output(place: str) -> None:
    """Check that rows can be written to a place, as far as its name shows.

    Raises:
        TableNotNamed, UnknownFormat: the name is incomplete.
        DataError: CHAINED_URL or READ_ONLY_URL.
    """
    table = database_place(place)
    if is_web(place):
        problem = "a web server's files can only be read; name a file, a bucket or a table"
        raise DataError("READ_ONLY_URL", problem)
    if table is None:
        written_format(place)
    elif table.is_query:
        raise TableNotNamed("the output is a query; name a table: DATABASE#TABLE")
