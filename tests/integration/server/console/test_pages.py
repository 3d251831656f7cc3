"""Each page in a real browser."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.integration.server.console.conftest import faults

OpenPage = Callable[..., Page]
PAGES = {
    "/": "Loop",
}


@pytest.mark.parametrize("path", PAGES)
def test_page_is_accessible_and_fits(open_page: OpenPage, path: str) -> None:
    """A page fits into 400 px, and axe finds nothing serious in dark and light."""
    page = open_page(path, width=400, dark=True)

    assert page.locator("h1").inner_text() == PAGES[path]
    assert faults(page) == []
    page.emulate_media(color_scheme="light")
    assert faults(page) == []
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) <= 0
    assert len(page.content()) < 100_000


def test_loop_shows_the_state_and_follows_it(open_page: OpenPage) -> None:
    """The loop page has the champion, the accuracy with its source, and what runs now."""
    page = open_page("/")

    task = page.locator("#loop-support")
    assert "Version 2" in task.inner_text()
    assert "86.0 %" in task.inner_text()
    assert "from audits and feedback" in task.inner_text()
    assert "comparing 4,812 predictions" in task.inner_text()
    with page.expect_response("**/t/support/loop") as response:
        pass
    assert response.value.ok
    assert page.locator("#loop-support h2").inner_text() == "support"
