"""Errors that several sources raise.

Each message names the place, the problem and the cure.
"""

from collections.abc import Iterable
from itertools import islice

from tidemill_core.domain.example import printable
from tidemill_core.errors import DataError
from tidemill_jobs.data.sources.source import NOT_UTF8

_NAMES = 20


def listed(names: Iterable[str]) -> str:
    """Return the first names of columns or fields as valid UTF-8, for an error message."""
    some = [printable(name) for name in islice(names, _NAMES + 1)]
    return ", ".join([*some[:_NAMES], "and others"] if len(some) > _NAMES else some)


class SourceMissing(DataError):
    """The source does not exist."""

    def __init__(self, problem: str, cure: str) -> None:
        super().__init__("SOURCE_MISSING", f"{problem}; {cure}")


class SourceUnreadable(DataError):
    """The source exists, but cannot be read."""

    def __init__(
        self, place: str, detail: object, cure: str = "fix it; the next run reads it"
    ) -> None:
        super().__init__("SOURCE_UNREADABLE", f"{place} cannot be read: {detail}; {cure}")


class EmptyFile(DataError):
    """A file is empty."""

    def __init__(self, place: str) -> None:
        super().__init__("EMPTY_FILE", f"{place} is empty; add rows, or remove it")


class NotUtf8(DataError):
    """A file, or its header, is not UTF-8."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(NOT_UTF8, f"{place} {problem}; save the file as UTF-8")


class MissingColumn(DataError):
    """A column that the settings name is missing."""

    def __init__(
        self, place: str, name: str, there: Iterable[str], cure: str | None = None
    ) -> None:
        cure = cure or "name a column that exists, or fix the data"
        problem = f"{place}: no column {name!r}; it has: {listed(there)}; {cure}"
        super().__init__("MISSING_COLUMN", problem)


class AmbiguousColumn(DataError):
    """Several columns have the name that the settings give."""

    def __init__(self, place: str, name: str) -> None:
        problem = f"{place}: several columns {name!r}; rename all but one of them"
        super().__init__("AMBIGUOUS_COLUMN", problem)


class NoRows(DataError):
    """A source never had a row."""

    def __init__(self, place: str) -> None:
        super().__init__("NO_ROWS", f"{place} has no rows; add some, or name another place")


class UnsupportedCursor(DataError):
    """A cursor has a type or value that cannot mark a position."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__("UNSUPPORTED_CURSOR", f"{place}: {problem}")


class CursorWentBack(DataError):
    """A database gained or lost rows before the cursor, where all rows were read."""

    def __init__(self, place: str, problem: str, cure: str) -> None:
        super().__init__("CURSOR_WENT_BACK", f"{place}: {problem}; {cure}")


class ApiRefused(DataError):
    """An API refuses a request."""

    def __init__(self, place: str, problem: str, cure: str) -> None:
        super().__init__("API_REFUSED", f"{place} {problem}; {cure}")
