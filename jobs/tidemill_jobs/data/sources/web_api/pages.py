"""From one page of an API to the next, and how it is noticed that there is no end."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import structlog

from tidemill_core.errors import DataError
from tidemill_core.settings import HttpSource
from tidemill_jobs.data.sources.errors import ApiRefused, listed
from tidemill_jobs.data.sources.raw_rows import shown
from tidemill_jobs.data.sources.web_api.api_client import ApiClient, ApiPage, place

_log = structlog.get_logger()

_SECOND = 2
_NO_CURSORS = (None, "0", 0)  # and so False and 0.0
_LINK = re.compile(r"https?://|/[^?]*\?|\?", re.IGNORECASE)
_CURE = "fix the source's pagination and its names"


@dataclass(frozen=True)
class Listed:
    """The items of one page.

    Attributes:
        items: as they are in the answer.
        may_go_on: whether the list may have items behind the last page after all: the API named
            another page and then refused it, or its second page was its first again.
    """

    items: list[Any]
    may_go_on: bool = False


def pages(client: ApiClient, settings: HttpSource, first: httpx.URL) -> Iterator[Listed]:
    """All pages, in their order.

    The list ends with a page that names no other, with an empty one where pages have numbers, with
    one that is the page before again, and behind a page with items where the API answers NOT_THERE.

    Args:
        client: asks for them.
        settings: how the next one is found.
        first: the first page, without the page's number.

    Raises:
        DataError: API_REFUSED, ENDLESS_PAGES, FOREIGN_LINK or MISSING_ITEMS; and those of
            `ApiClient.get`.
    """
    url, seen, before = first, set[str](), ""
    if settings.pagination == "page":
        url = first.copy_set_param(settings.page_parameter, settings.first_page)
    for count in range(1, settings.max_pages + 1):
        page = client.get(url, may_be_missing=bool(before))
        if page is None:
            yield Listed([], may_go_on=settings.pagination != "page")
            return
        found = items(page, settings)
        mark = _digest(found) if found else ""
        if mark and mark == before:
            if count == _SECOND:
                _log.warning("source_second_page_is_the_first", url=place(url))
            yield Listed([], may_go_on=count == _SECOND)
            return
        following = _next(page, found, settings, first, count)
        if {mark, str(following)} & seen:
            raise _endless(url, "it gives a page or cursor that it gave before")
        yield Listed(found)
        if following is None or following == url:
            return
        seen |= {mark, str(url)} - {""}
        url, before = following, mark
    raise _endless(url, f"it has more than max_pages = {settings.max_pages} pages")


def items(page: ApiPage, settings: HttpSource) -> list[Any]:
    """The page's items; null, where the list or the answer should be, is none of them.

    Raises:
        DataError: MISSING_ITEMS; names the URL.
    """
    found = page.content if settings.items is None else at(page.content, settings.items)
    if isinstance(found, list):
        return found
    is_null = leads(page.content, settings.items) if settings.items else page.content is None
    if (found is None and is_null) or page.content is None:
        return []
    where = f"at {settings.items!r}" if settings.items else "as the answer"
    there = f"an object of {listed(page.content)}" if isinstance(page.content, dict) else "JSON"
    raise DataError(
        "MISSING_ITEMS", f"{place(page.url)}: no list {where}, but {there}; fix the source's items"
    )


def at(content: Any, path: str) -> Any:
    """What stands at a dotted path; None where it leads nowhere."""
    for name in path.split("."):
        if not isinstance(content, dict):
            return None
        content = content.get(name)
    return content


def leads(content: Any, path: str) -> bool:
    """Whether a dotted path leads somewhere, if only to a null."""
    parent, _, name = path.rpartition(".")
    holder = at(content, parent) if parent else content
    return isinstance(holder, dict) and name in holder


def _next(
    page: ApiPage, found: Sequence[Any], settings: HttpSource, first: httpx.URL, count: int
) -> httpx.URL | None:
    """What to ask for next; None behind the last page."""
    if settings.pagination == "page" and found:
        return first.copy_set_param(settings.page_parameter, settings.first_page + count)
    try:
        if settings.pagination == "cursor":
            return _behind_cursor(page, settings, first)
        if settings.pagination == "link" and page.next_url:
            return _linked(page, page.next_url, first)
    except (httpx.InvalidURL, ValueError) as error:
        told = "gives a next page that no URL can ask for"
        raise ApiRefused(place(page.url), told, _CURE) from error
    return None


def _behind_cursor(page: ApiPage, settings: HttpSource, first: httpx.URL) -> httpx.URL | None:
    cursor = at(page.content, settings.cursor_field)
    if cursor in _NO_CURSORS or (isinstance(cursor, str) and not cursor.strip()):
        return None
    if isinstance(cursor, bool) or not isinstance(cursor, str | int):
        told = f"gives at {settings.cursor_field!r} neither text nor a whole number"
        raise ApiRefused(place(page.url), told, "fix the source's cursor_field")
    if _LINK.match(str(cursor)):
        return _linked(page, str(cursor), first)
    return first.copy_set_param(settings.cursor_parameter, str(cursor))


def _linked(page: ApiPage, link: str, first: httpx.URL) -> httpx.URL:
    url = page.url.join(link)
    if (url.scheme, url.netloc) != (first.scheme, first.netloc):
        told = f"links to {place(url)}, another server, which must not see the token"
        raise DataError("FOREIGN_LINK", f"{place(page.url)} {told}; fix the source's url")
    return url


def _digest(content: object) -> str:
    return hashlib.sha256(shown(content).encode(errors="backslashreplace")).hexdigest()


def _endless(url: httpx.URL, told: str) -> DataError:
    cure = f"{_CURE}, or raise max_pages"
    return DataError("ENDLESS_PAGES", f"{place(url)} has no last page: {told}; {cure}")
