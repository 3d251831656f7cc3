"""The links of a paged HTTP API."""

import time

import pytest

from tidemill_jobs.data.sources.web_api.api_client import next_link


@pytest.mark.parametrize(
    ("header", "url"),
    [
        ('<https://h/?a=1;b>; rel="next"', "https://h/?a=1;b"),
        ('<?p=1>; rel=prev, <?p=3>; title="a, b"; rel="last next"', "?p=3"),
        ("<?p=1>; rel=prev", ""),
        ("", ""),
    ],
)
def test_the_next_page_is_found(header: str, url: str) -> None:
    """Among several links and parameters, the one with the relation `next` counts."""
    assert next_link(header) == url


def test_a_damaged_header_costs_no_time() -> None:
    """The time grows with the length of a header, and not with its square."""
    begin = time.monotonic()
    assert next_link("<" * 100_000) == ""
    assert time.monotonic() - begin < 1
