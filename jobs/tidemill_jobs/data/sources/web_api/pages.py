"""From one page of an API to the next, and how it is noticed that there is no end."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import httpx

from tidemill_core.errors import DataError
from tidemill_core.settings import HttpSource
from tidemill_jobs.data.sources.web_api.api_client import ApiClient, Page, place


def pages(client: ApiClient, settings: HttpSource, first: httpx.URL) -> Iterator[Page]:
    """All pages, in their order.

    Args:
        client: asks for them.
        settings: how the next one is found.
        first: the first page, without the page's number.

    Raises:
        DataError: API_REFUSED, ENDLESS_PAGES, FOREIGN_LINK or MISSING_ITEMS; and those of
            `ApiClient.get`.
    """
    url = first
    if settings.pagination == "page":
        url = first.copy_set_param(settings.page_parameter, settings.first_page)
    seen: set[str] = set()
    for count in range(1, settings.max_pages + 1):
        page = client.get(url)
        try:
            following = _next(page, settings, first, count)
        except (httpx.InvalidURL, UnicodeError) as error:
            told = "gives a next page that no URL can ask for; mend the source's pagination"
            raise DataError("API_REFUSED", f"{place(page.url)} {told} and its names") from error
        if following is None:
            yield page
            return
        # Numbers always go on; there it is a page's content that must not come again.
        mark = _digest(page.content) if settings.pagination == "page" else str(following)
        if mark in seen:
            raise _endless(page, "it gives a page or cursor that it gave before")
        seen.add(mark)
        yield page
        url = following
    raise _endless(page, f"it has more than max_pages = {settings.max_pages} pages")


def items(page: Page, settings: HttpSource) -> list[Any]:
    """The page's items.

    Raises:
        DataError: MISSING_ITEMS; names the URL.
    """
    found = page.content if settings.items is None else at(page.content, settings.items)
    if isinstance(found, list):
        return found
    where = f"at {settings.items!r}" if settings.items else "as the answer"
    there = f"an object of {', '.join(page.content)}" if isinstance(page.content, dict) else "JSON"
    raise DataError(
        "MISSING_ITEMS", f"{place(page.url)}: no list {where}, but {there}; mend the source's items"
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


def _next(page: Page, settings: HttpSource, first: httpx.URL, count: int) -> httpx.URL | None:
    """What to ask for next; None behind the last page."""
    if settings.pagination == "page" and items(page, settings):
        return first.copy_set_param(settings.page_parameter, settings.first_page + count)
    if settings.pagination == "cursor":
        cursor = at(page.content, settings.cursor_field)
        if cursor is not None and cursor != "":
            return first.copy_set_param(settings.cursor_parameter, str(cursor))
    if settings.pagination == "link" and page.next_url:
        url = page.url.join(page.next_url)
        if (url.scheme, url.netloc) != (first.scheme, first.netloc):
            told = f"links to {place(url)}, another server, which must not see the token"
            raise DataError("FOREIGN_LINK", f"{place(page.url)} {told}; mend the source's url")
        return url
    return None


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _endless(page: Page, told: str) -> DataError:
    cure = "mend the source's pagination and its names, or raise max_pages"
    return DataError("ENDLESS_PAGES", f"{place(page.url)} has no last page: {told}; {cure}")
