"""Why a source cannot be used, where more than one place says so. All are a `DataError`.

Each message names the place, what is wrong and what to do.
"""

from collections.abc import Iterable
from itertools import islice

from tidemill_core.domain.example import printable
from tidemill_core.errors import DataError

_NAMES = 20


def listed(names: Iterable[str]) -> str:
    """The names of columns or fields as an error may show them: not too many, and as UTF-8."""
    some = [printable(name) for name in islice(names, _NAMES + 1)]
    return ", ".join([*some[:_NAMES], "and others"] if len(some) > _NAMES else some)


class SourceMissing(DataError):
    """Nothing is where the source should be."""

    def __init__(self, told: str, cure: str) -> None:
        super().__init__("SOURCE_MISSING", f"{told}; {cure}")


class SourceUnreadable(DataError):
    """The source is there and cannot be read."""

    def __init__(
        self, place: str, detail: object, cure: str = "fix it, and the next run reads on"
    ) -> None:
        super().__init__("SOURCE_UNREADABLE", f"{place} cannot be read: {detail}; {cure}")


class EmptyFile(DataError):
    """A file has no content."""

    def __init__(self, place: str) -> None:
        super().__init__("EMPTY_FILE", f"{place} is empty; remove it, or fill it")


class NotUtf8(DataError):
    """A file is not UTF-8 where that matters for all its rows."""

    def __init__(self, place: str, told: str) -> None:
        super().__init__("NOT_UTF8", f"{place} {told}; save the file as UTF-8")


class MissingColumn(DataError):
    """A column that the settings name is not there."""

    def __init__(
        self, place: str, name: str, there: Iterable[str], cure: str | None = None
    ) -> None:
        cure = cure or "fix the name in the source's settings, or the data"
        told = f"{place}: no column {name!r} among {listed(there)}; {cure}"
        super().__init__("MISSING_COLUMN", told)


class AmbiguousColumn(DataError):
    """Several columns have the name that the settings give."""

    def __init__(self, place: str, name: str) -> None:
        told = f"{place}: several columns {name!r}; rename all but one of them"
        super().__init__("AMBIGUOUS_COLUMN", told)


class NoRows(DataError):
    """A source has had no row so far."""

    def __init__(self, place: str) -> None:
        super().__init__("NO_ROWS", f"{place} holds no rows; fill it, or fix the source's settings")


class UnsupportedCursor(DataError):
    """What says where to read on has no type that can say it."""

    def __init__(self, place: str, told: str) -> None:
        super().__init__("UNSUPPORTED_CURSOR", f"{place}: {told}")


class CursorWentBack(DataError):
    """A database has rows, or had some, where its cursor says that all were read."""

    def __init__(self, place: str, told: str, cure: str) -> None:
        super().__init__("CURSOR_WENT_BACK", f"{place}: {told}; {cure}")


class ApiRefused(DataError):
    """An API does not take what it is asked."""

    def __init__(self, place: str, told: str, cure: str) -> None:
        super().__init__("API_REFUSED", f"{place} {told}; {cure}")
