"""Pagination: the way from one page of an API to the next, and the detection of endless lists."""

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

_NO_CURSORS = ("", "0", "null", "none", "false")
_LINK = re.compile(r"https?://|[^\s?]*\?[^\s?=]+=", re.IGNORECASE)
_PROBLEMS = {"error", "errors", "message", "detail"}
_CURE = "fix the source's pagination and its names"


@dataclass(frozen=True)
class Listed:
    """The items of one page.

    Attributes:
        items: the items, as in the answer.
        may_go_on: whether the list may have more items than the API gave: it named another page and
            then refused it, or gave its first page again.
    """

    items: list[Any]
    may_go_on: bool = False


def pages(client: ApiClient, settings: HttpSource, first: httpx.URL) -> Iterator[Listed]:
    """Yield all pages in order.

    The list ends with a page that names no next one, with an empty page if pages have numbers, with
    the items of the page before or of the first page, or after a page with items if the API answers
    NOT_THERE. `first` is the first page's URL, without the page's number.

    Raises:
        DataError: API_REFUSED, ENDLESS_PAGES, FOREIGN_LINK or MISSING_ITEMS; or an error of
            `ApiClient.get`.
    """
    url, seen, before, start = first, set[str](), "", ""
    if settings.pagination == "page":
        url = first.copy_set_param(settings.page_parameter, settings.first_page)
    for count in range(1, settings.max_pages + 1):
        page = client.get(url, may_be_missing=bool(before))
        if page is None:
            yield Listed([], may_go_on=settings.pagination != "page")
            return
        found = items(page, settings, may_be_empty=bool(before))
        mark = _digest(found, settings.key_field) if found else ""
        if mark and mark in (before, start):
            if mark == start:
                _log.warning("source_gave_its_first_page_again", url=place(url))
            yield Listed([], may_go_on=mark == start)
            return
        following = _next(page, found, settings, first, count)
        if {mark, str(following)} & seen:
            raise _endless(url, "it repeats an earlier page or cursor")
        yield Listed(found)
        if following is None or following == url:
            return
        seen |= {mark, str(url)} - {""}
        url, before, start = following, mark, start or mark
    raise _endless(url, f"it has more pages than max_pages = {settings.max_pages}")


def items(page: ApiPage, settings: HttpSource, may_be_empty: bool) -> list[Any]:
    """Return the page's items; null instead of the list or the answer means no items.

    Args:
        page: the page.
        settings: where its items are.
        may_be_empty: whether the page may come after the last one: then an object or a list without
            items has none, unless the object reports a problem.

    Raises:
        DataError: MISSING_ITEMS; names the URL.
    """
    found = page.content if settings.items is None else at(page.content, settings.items)
    if isinstance(found, list):
        return found
    is_null = leads(page.content, settings.items) if settings.items else page.content is None
    if (found is None and is_null) or page.content is None:
        return []
    if may_be_empty and (not page.content or (not found and _has_no_problem(page.content))):
        return []
    where = f" at {settings.items!r}" if settings.items else ""
    is_object = isinstance(page.content, dict)
    kind = f"an object with the fields {listed(page.content)}" if is_object else "no object"
    problem = f"no list{where}; the answer is {kind}; fix the source's items"
    raise DataError("MISSING_ITEMS", f"{place(page.url)}: {problem}")


def at(content: Any, path: str) -> Any:
    """Return the value at a dotted path; None if there is none."""
    for name in path.split("."):
        if not isinstance(content, dict):
            return None
        content = content.get(name)
    return content


def leads(content: Any, path: str) -> bool:
    """Return whether there is a value at a dotted path; null is one."""
    parent, _, name = path.rpartition(".")
    holder = at(content, parent) if parent else content
    return isinstance(holder, dict) and name in holder


def _has_no_problem(content: Any) -> bool:
    return isinstance(content, dict) and not _PROBLEMS & content.keys()


def _next(
    page: ApiPage, found: Sequence[Any], settings: HttpSource, first: httpx.URL, count: int
) -> httpx.URL | None:
    """Return the next page's URL; None after the last page."""
    if settings.pagination == "page" and found:
        return first.copy_set_param(settings.page_parameter, settings.first_page + count)
    try:
        if settings.pagination == "cursor":
            return _behind_cursor(page, settings, first)
        if settings.pagination == "link" and page.next_url:
            return _linked(page, page.next_url, first)
    except (httpx.InvalidURL, ValueError) as error:
        raise ApiRefused(place(page.url), "names a next page with an invalid URL", _CURE) from error
    return None


def _behind_cursor(page: ApiPage, settings: HttpSource, first: httpx.URL) -> httpx.URL | None:
    cursor = at(page.content, settings.cursor_field)
    if not cursor or str(cursor).strip().lower() in _NO_CURSORS:
        return None
    if isinstance(cursor, bool) or not isinstance(cursor, str | int):
        problem = f"has neither text nor a whole number at {settings.cursor_field!r}"
        raise ApiRefused(place(page.url), problem, "fix the source's cursor_field")
    is_below = first.path != "/" and str(cursor).startswith(f"{first.path.rstrip('/')}/")
    if is_below or _LINK.match(str(cursor)):
        return _linked(page, str(cursor), first)
    return first.copy_set_param(settings.cursor_parameter, str(cursor))


def _linked(page: ApiPage, link: str, first: httpx.URL) -> httpx.URL:
    url = page.url.join(link)
    if (url.scheme, url.netloc) != (first.scheme, first.netloc):
        problem = f"links to {place(url)}, another server, which must not see the token"
        raise DataError("FOREIGN_LINK", f"{place(page.url)} {problem}; fix the source's url")
    return url


def _digest(found: Sequence[Any], key_field: str) -> str:
    """Return a digest of the items' keys, or of whole items where one has no key."""
    keys = [at(item, key_field) for item in found]
    content = shown(found if None in keys else keys)
    return hashlib.sha256(content.encode(errors="backslashreplace")).hexdigest()


def _endless(url: httpx.URL, problem: str) -> DataError:
    cure = f"{_CURE}, or raise max_pages"
    return DataError("ENDLESS_PAGES", f"{place(url)} has no last page: {problem}; {cure}")
