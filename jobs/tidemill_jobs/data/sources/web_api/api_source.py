"""Items of a third party's API.

With `since_parameter` each read requests the items since the highest time seen, without it all
items. An item replaces an earlier one with the same key. The watermark moves after the last page: a
read that is cut off is repeated from its start.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from math import inf
from typing import Any

import httpx

from tidemill_core.domain.example import printable
from tidemill_core.errors import DataError
from tidemill_core.settings import HttpSource
from tidemill_jobs.data.sources.errors import SourceUnreadable, UnsupportedCursor, listed
from tidemill_jobs.data.sources.files.stored_file import without_secrets
from tidemill_jobs.data.sources.overlap import before
from tidemill_jobs.data.sources.raw_rows import (
    RawRow,
    Unreadable,
    checked,
    grouped,
    names_by_role,
    shown,
)
from tidemill_jobs.data.sources.source import WRONG_TYPE, Batch, Watermark
from tidemill_jobs.data.sources.times import as_time
from tidemill_jobs.data.sources.web_api.api_client import ApiClient, place
from tidemill_jobs.data.sources.web_api.pages import at, leads, pages

_MAX_SINCE = 200
_Rank = tuple[int, float, str]
_NO_RANK: _Rank = (0, 0.0, "")


class _Reading:
    """The state of one read of the API.

    Attributes:
        highest: the highest value so far, where the next read starts; None without one.
        may_go_on: whether the list may have more items than were read.
        fields: the items' fields.
        has_text: whether an item of this or an earlier read has the text's field.
    """

    def __init__(self, since: Any, is_time: bool) -> None:
        self._is_time = is_time
        self.highest: Any = None
        self.reach(since)
        self.may_go_on = False
        self.fields: dict[str, None] = {}
        self.has_text = self.highest is not None

    def reach(self, value: Any) -> None:
        """Update the highest value."""
        if _rank(value, self._is_time) > _rank(self.highest, self._is_time):
            self.highest = value


class WebApi:
    """A list of items that an API returns page by page; a `Source`."""

    def __init__(self, name: str, settings: HttpSource) -> None:
        self.name = name
        self.labeled = settings.label_field is not None
        self._settings = settings
        self._url = _parsed(settings.url)
        self.place = place(self._url)
        self._since_field = settings.since_field or settings.time_field
        self._since_is_time = self._since_field == settings.time_field

    def read(self, watermark: Watermark) -> Iterator[Batch]:
        """Yield the items that are new since the watermark.

        Raises:
            DataError: MISSING_ITEMS, MISSING_FIELD, ENDLESS_PAGES, FOREIGN_LINK, API_UNREACHABLE,
                API_OVERLOADED, API_BROKEN, API_DENIED, API_REFUSED, API_TOO_SLOW,
                SOURCE_MISSING, RESPONSE_TOO_LARGE or NOT_JSON; names the URL without its
                parameters.
            ConfigurationError: the variable with the token is not set.
        """
        reading = _Reading(watermark.get("since"), self._since_is_time)
        with closing(ApiClient(self._settings)) as client:
            for group, is_last in grouped(self._found_on(client, reading), _text):
                self._check_fields(reading)
                reached = {} if reading.highest is None else {"since": reading.highest}
                if not is_last or reading.may_go_on:
                    reached = dict(watermark)
                if group or reached != watermark:
                    yield _batch(group, reached)

    def _found_on(self, client: ApiClient, reading: _Reading) -> Iterator[RawRow | Unreadable]:
        """Yield the items of all pages."""
        settings = self._settings
        first = self._url
        if reading.highest is not None:
            first = first.copy_set_param(settings.since_parameter, self._since(reading.highest))
        for page in pages(client, settings, first):
            reading.may_go_on = page.may_go_on
            for item in page.items:
                reading.fields |= dict.fromkeys(item if isinstance(item, dict) else ())
                reading.has_text |= leads(item, settings.text_field)
                if settings.since_parameter and self._since_field:
                    reading.reach(at(item, self._since_field))
                yield self._found(item)

    def _since(self, highest: Any) -> str:
        """Return the value of `since_parameter`, given the highest value so far."""
        overlap = self._settings.overlap
        if not overlap:
            return str(highest)
        if not self._since_is_time and isinstance(highest, str) and highest.isdecimal():
            highest = int(highest)
        try:
            return str(before(highest, overlap, self._since_is_time))
        except TypeError as error:
            problem = f"{self._since_field!r} is {error}; overlap needs a number or a time"
            raise UnsupportedCursor(self.place, problem) from error

    def _check_fields(self, reading: _Reading) -> None:
        """Raise DataError if no item so far has the text's field."""
        if reading.fields and not reading.has_text:
            path, there = self._settings.text_field, listed(reading.fields)
            problem = f"no item has {path!r}; the fields are {there}; fix the source's text_field"
            raise DataError("MISSING_FIELD", f"{self.place}: {problem}")

    def _found(self, item: Any) -> RawRow | Unreadable:
        key = at(item, self._settings.key_field)
        if not isinstance(key, str | int):
            # A hash gives the item the same key in each read.
            key = hashlib.sha256(shown(item).encode(errors="backslashreplace")).hexdigest()[:16]
        key = printable(str(key))
        origin = f"api:{self._url.host}{self._url.path}#{key}"
        if not isinstance(item, dict):
            return Unreadable(origin, WRONG_TYPE, shown(item), key)
        paths = names_by_role(self._settings)
        return RawRow(origin, key, **{role: at(item, path) for role, path in paths.items()})


def _parsed(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
        if not parsed.host:
            raise ValueError("it has no host")
        return parsed
    except (httpx.InvalidURL, ValueError) as error:
        problem = f"it is not a URL ({error})"
        raise SourceUnreadable(without_secrets(url), problem, "fix the source's url") from error


def _batch(found: Sequence[RawRow | Unreadable], watermark: Watermark) -> Batch:
    piece = checked("", found)
    return Batch(piece.rows, piece.unreadable, watermark)


def _text(item: RawRow | Unreadable) -> object:
    if isinstance(item, Unreadable):
        return item.value
    return item.text if isinstance(item.text, str) else shown(item.text)


def _rank(value: Any, is_time: bool) -> _Rank:
    """Return a value's rank among the values of its kind: numbers, times, other words.

    The rank is `_NO_RANK` for a value that no request can use: an invalid time where times are
    expected, NaN or infinity, text that is not UTF-8 or very long. It is also `_NO_RANK` for a time
    in the future, because items before it would never be read.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_word = isinstance(value, str) and printable(value) == value
    if not (is_number or is_word) or len(str(value)) > _MAX_SINCE:
        return _NO_RANK
    if not is_time and (is_number or value.isdecimal()):
        number = value if is_number else int(value)
        return (1, number, "") if abs(number) < inf else _NO_RANK
    try:
        time = as_time(value)
    except ValueError:
        return _NO_RANK if is_time else (2, 0.0, value)
    return _NO_RANK if time is None or time > datetime.now(UTC) else (3, time.timestamp(), "")
