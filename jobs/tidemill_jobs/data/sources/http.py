"""Items of a third party's API.

With `since_parameter` each read asks for what is new since the highest time seen, and without it
for everything; either way an item that is given again replaces the one before it, by its key. The
watermark moves when the last page is in: a read that is cut off is made again from where it began.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from math import isfinite
from typing import Any

import httpx

from tidemill_core.errors import DataError
from tidemill_core.settings import HttpSource
from tidemill_jobs.data.rows import printable
from tidemill_jobs.data.sources.api_client import ApiClient, Page, place
from tidemill_jobs.data.sources.found import Found, Unreadable, as_time, checked, shown
from tidemill_jobs.data.sources.pages import at, items, pages
from tidemill_jobs.data.sources.source import BATCH_ROWS, Batch, Watermark


class Http:
    """A list of items that an API gives page by page; a `Source`."""

    def __init__(self, name: str, settings: HttpSource) -> None:
        self.name = name
        self.labelled = settings.label_field is not None
        self._settings = settings
        self._url = httpx.URL(settings.url)
        self._since_field = settings.since_field or settings.time_field

    def read(self, watermark: Watermark) -> Iterator[Batch]:
        """What is new since the watermark.

        Raises:
            DataError: MISSING_ITEMS, MISSING_FIELD, ENDLESS_PAGES, FOREIGN_LINK, API_UNREACHABLE,
                API_OVERLOADED, API_BROKEN, API_DENIED, API_REFUSED, SOURCE_MISSING,
                RESPONSE_TOO_LARGE or NOT_JSON; names the URL without its parameters.
            ConfigurationError: the variable with the token is not set.
        """
        highest, waiting = watermark.get("since"), list[Found | Unreadable]()
        with closing(ApiClient(self._settings)) as client:
            for page in pages(client, self._settings, self._first_url(highest)):
                new = items(page, self._settings)
                self._check_fields(page, new)
                waiting += map(self._found, new)
                if self._settings.since_parameter:
                    highest = max([highest, *map(self._since, new)], key=_rank)
                while len(waiting) > BATCH_ROWS:
                    yield _batch(waiting[:BATCH_ROWS], watermark)
                    waiting = waiting[BATCH_ROWS:]
        reached = {} if highest is None else {"since": highest}
        if waiting or reached != watermark:
            yield _batch(waiting, reached)

    def _first_url(self, since: Any) -> httpx.URL:
        if since is None:
            return self._url
        return self._url.copy_set_param(self._settings.since_parameter, str(since))

    def _since(self, item: Any) -> Any:
        return at(item, self._since_field) if self._since_field else None

    def _check_fields(self, page: Page, new: Sequence[Any]) -> None:
        """Whether any item has a text at all."""
        objects = [item for item in new if isinstance(item, dict)]
        path = self._settings.text_field
        if objects and all(at(item, path) is None for item in objects):
            there = ", ".join(dict.fromkeys(name for item in objects for name in item))
            told = f"no item has {path!r}; there are {there}; mend the source's text_field"
            raise DataError("MISSING_FIELD", f"{place(page.url)}: {told}")

    def _found(self, item: Any) -> Found | Unreadable:
        settings, key = self._settings, at(item, self._settings.key_field)
        if not isinstance(key, str | int):
            # The same item gets the same key when it is read again.
            key = hashlib.sha256(shown(item).encode(errors="backslashreplace")).hexdigest()[:16]
        key = printable(str(key))
        origin = f"api:{self._url.host}{self._url.path}#{key}"
        if not isinstance(item, dict):
            return Unreadable(origin, "WRONG_TYPE", shown(item), key)
        paths = (
            settings.text_field,
            settings.label_field,
            settings.annotator_field,
            settings.time_field,
        )
        return Found(origin, key, *(at(item, path) if path else None for path in paths))


def _batch(found: Sequence[Found | Unreadable], watermark: Watermark) -> Batch:
    piece = checked("", found)
    return Batch(piece.rows, piece.unreadable, watermark)


def _rank(value: Any) -> tuple[int, float, str]:
    """Where a value stands among those of its kind: numbers, times, other words."""
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        return 1, value, ""
    if not isinstance(value, str):
        return 0, 0.0, ""
    try:
        time = as_time(value)
    except ValueError:
        return 2, 0.0, value
    return (0, 0.0, "") if time is None else (3, time.timestamp(), "")
