"""The Link header of an API's page, in all its forms."""

import pytest

from tests.integration.jobs.data.sources.web_api.api import Answer, Api, Asked
from tests.integration.jobs.data.sources.web_api.items import Declare, keys_of, pages_of
from tests.unit.jobs.data.sources.landing import Landing

_PAGES = pages_of([1, 2], [3, 4], [5])


@pytest.mark.parametrize(
    "header",
    [
        '<{url}>; rel="next last"',
        "<{url}>;rel=next",
        '<{url}>; title="a, <b>; c"; REL="Next"',
        '</v1/tickets?page=1>; rel="prev", <{url}>; rel="next"; type=x, </x>; rel="last"',
        '<{url};v=1,2>; rel="next"',
        "<{url}> ; rel = 'next'",
    ],
)
def test_a_link_header_is_read_in_all_its_forms(api: Api, declare: Declare, header: str) -> None:
    """Several relations, their case, parameters and signs within a URL lose no page."""

    def answer(asked: Asked) -> Answer:
        number = int(asked.parameters.get("page", "0")[:1])
        link = header.format(url=f"/v1/tickets?page={number + 1}")
        return Answer(_PAGES[number], headers={"link": link} if number < 2 else {})

    api.answer = answer
    landing = Landing()
    landing.read(declare(pagination="link"))
    assert keys_of(landing) == ["1", "2", "3", "4", "5"]
