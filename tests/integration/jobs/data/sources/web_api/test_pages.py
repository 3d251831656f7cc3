"""The ends of an API's list, for each way of pagination."""

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from tests.integration.jobs.data.sources.web_api.api import Answer, Api, Asked
from tests.unit.jobs.data.sources.landing import Landing
from tidemill_core.errors import DataError, TidemillError
from tidemill_core.settings import HttpSource
from tidemill_jobs.data.sources import open_source
from tidemill_jobs.data.sources.source import Source

Respond = Callable[[Asked], Answer]

_PAGES = [[1, 2], [3, 4], [5]]
_KEYS = ["1", "2", "3", "4", "5"]


def _source(api: Api, **values: object) -> Source:
    settings = {"kind": "http", "url": api.url, "requests_per_second": 1e4, "items": "items"}
    return open_source(HttpSource.model_validate({**settings, **values}))


def _landed(api: Api, **values: object) -> list[object]:
    landing = Landing()
    landing.read(_source(api, **values))
    return [row["key"] for row in landing.rows]


def _items(number: int) -> list[dict[str, object]]:
    return [{"id": key, "text": f"text {key}", "label": "a", "at": key} for key in _PAGES[number]]


def _numbered(end: Answer | None) -> Respond:
    """Answer pages 1 to 3, then the given answer; None is the last page again."""

    def respond(asked: Asked) -> Answer:
        number = int(asked.parameters["page"]) - 1
        if number >= len(_PAGES) and end is not None:
            return end
        return Answer({"items": _items(min(number, len(_PAGES) - 1))})

    return respond


_ENDS = {
    "empty": Answer({"items": []}),
    "null": Answer({"items": None}),
    "nothing": Answer(None),
    "an empty object": Answer({}),
    "an empty list": Answer([]),
    "no list": Answer({"total": 5}),
    "an empty object instead of the list": Answer({"items": {}}),
    "204": Answer(b"", status=204),
    "404": Answer({"error": "no such page"}, status=404),
    "404 as HTML": Answer(b"<html>not found</html>", status=404),
    "400": Answer({"error": "page out of range"}, status=400),
    "410": Answer(b"", status=410),
    "416": Answer(b"", status=416),
    "422": Answer(b"", status=422),
    "nothing at all": Answer(b" "),
    "the last page again": None,
}


@pytest.mark.parametrize("end", _ENDS.values(), ids=_ENDS)
def test_numbered_pages_end_in_any_way(api: Api, end: Answer | None) -> None:
    """All five items land, with one request after the last page, and the watermark moves."""
    api.answer = _numbered(end)
    landing, values = Landing(), {"since_parameter": "since", "since_field": "at"}
    landing.read(_source(api, pagination="page", **values))
    assert [row["key"] for row in landing.rows] == _KEYS
    assert (len(api.asked), landing.watermark) == (4, {"since": 5})


def _with_cursors(last: object, end: Answer | None = None, url: str = "") -> Respond:
    """Answer pages whose cursor is the next number, or a URL with it; the last has `last`."""

    def respond(asked: Asked) -> Answer:
        number = int(asked.parameters.get("cursor", "0"))
        if number >= len(_PAGES):
            return end or Answer({"items": []})
        is_last = number == len(_PAGES) - 1
        following = f"{url}{number + 1}" if url else number + 1
        return Answer({"items": _items(number), "next_cursor": last if is_last else following})

    return respond


@pytest.mark.parametrize("last", [None, False, 0, "", " ", "0", 2, "null", [], {}], ids=repr)
def test_cursors_end_in_any_way(api: Api, last: object) -> None:
    """Null, false, zero, an empty cursor and the page's own cursor end the list."""
    api.answer = _with_cursors(last)
    assert _landed(api, pagination="cursor") == _KEYS
    assert len(api.asked) == 3


@pytest.mark.parametrize("end", [name for name, end in _ENDS.items() if end is not None])
def test_a_cursor_may_lead_behind_the_last_page(api: Api, end: str) -> None:
    """All five items land; a named page that is refused does not move the watermark."""
    api.answer = _with_cursors(3, _ENDS[end])
    landing, values = Landing(), {"since_parameter": "since", "since_field": "at"}
    landing.read(_source(api, pagination="cursor", **values))
    assert [row["key"] for row in landing.rows] == _KEYS
    is_refused = end[0] == "4" or end == "nothing at all"
    assert landing.watermark == ({} if is_refused else {"since": 5})


@pytest.mark.parametrize(
    "url",
    [
        "{whole}?cursor=",
        "/v1/tickets?cursor=",
        "?cursor=",
        "tickets?cursor=",
        "/v1/tickets/?cursor=",
    ],
)
def test_the_next_page_may_be_a_url(api: Api, url: str) -> None:
    """A whole URL, or one relative to the page, is requested unchanged."""
    api.answer = _with_cursors(None, url=url.format(whole=api.url))
    assert _landed(api, pagination="cursor") == _KEYS
    assert [asked.parameters for asked in api.asked] == [{}, {"cursor": "1"}, {"cursor": "2"}]


@pytest.mark.parametrize(
    "url", ["https://else.example/v1?cursor=", "http://127.0.0.1:1/?cursor=", "https://127.0.0.1/?"]
)
def test_a_url_of_another_server_is_not_followed(api: Api, url: str) -> None:
    """Another host, port or scheme would receive the token, so it is an error."""
    api.answer = _with_cursors(None, url=url)
    with pytest.raises(DataError, match="another server") as caught:
        _landed(api, pagination="cursor")
    assert (caught.value.reason, len(api.asked)) == ("FOREIGN_LINK", 1)


@pytest.mark.parametrize("following", [True, 1.5, ["c"], {"page": 2}, "http://h:abc", "\ud800"])
def test_what_is_no_cursor_is_refused(api: Api, following: object) -> None:
    """The error names the URL; the client does not guess."""
    api.answer = lambda _: Answer({"items": _items(0), "next_cursor": following})
    with pytest.raises(DataError, match=f"{api.url} (has neither|names a next page)") as caught:
        _landed(api, pagination="cursor")
    assert caught.value.reason == "API_REFUSED"


@pytest.mark.parametrize("end", ["none", "itself", *(n for n, e in _ENDS.items() if e is not None)])
def test_links_end_in_any_way(api: Api, end: str) -> None:
    """The list ends without a link, with a link to the page itself, or to a missing page."""

    def answer(asked: Asked) -> Answer:
        number = int(asked.parameters.get("page", "0"))
        if number >= len(_PAGES):
            return _ENDS[end] or Answer({})
        is_last = number == len(_PAGES) - 1
        following = {"none": None, "itself": number}.get(end, number + 1)
        link = {"link": f'<?page={following if is_last else number + 1}>; rel="next"'}
        return Answer({"items": _items(number)}, headers={} if is_last and end == "none" else link)

    api.answer = answer
    assert _landed(api, pagination="link") == _KEYS


@pytest.mark.parametrize("pagination", ["page", "cursor", "link"])
@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_first_page_that_is_refused_is_an_error(api: Api, pagination: str, status: int) -> None:
    """A refusal ends the list only after a page with items."""
    api.answer = lambda _: Answer({"items": []}, status=status)
    with pytest.raises(DataError, match=f"{api.url} answered {status}"):
        _landed(api, pagination=pagination)


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_later_page_that_fails_is_an_error(api: Api, status: int) -> None:
    """An expired token or a broken server does not end the list."""
    api.answer = _numbered(Answer(b"", status=status))
    with pytest.raises(DataError, match=f"answered {status}"):
        _landed(api, pagination="page")


@pytest.mark.parametrize(
    ("values", "answer"),
    [
        ({"pagination": "page"}, Answer({"items": _items(0)})),
        ({"pagination": "cursor"}, Answer({"items": _items(0), "next_cursor": "c"})),
        (
            {"pagination": "link"},
            Answer({"items": _items(0)}, headers={"link": '</v1/tickets?p=2>; rel="next"'}),
        ),
    ],
)
def test_the_first_page_again_ends_the_list_and_is_logged(
    api: Api, values: dict[str, object], answer: Answer
) -> None:
    """The watermark does not move, because a parameter may be wrong."""
    api.answer = lambda _: answer
    landing = Landing()
    source = _source(api, **values, since_parameter="since", since_field="at")
    with capture_logs() as logged:
        landing.read(source)
    assert len(landing.rows) == 2
    assert (len(api.asked), landing.watermark) == (2, {})
    assert [entry["event"] for entry in logged] == ["source_gave_its_first_page_again"]


@pytest.mark.parametrize("pagination", ["page", "cursor"])
def test_the_first_page_behind_the_last_ends_the_list(api: Api, pagination: str) -> None:
    """All five items land, and no watermark moves."""

    def answer(_: Asked) -> Answer:
        number = (len(api.asked) - 1) % len(_PAGES)
        return Answer({"items": _items(number), "next_cursor": f"c{number}"})

    api.answer = answer
    landing, values = Landing(), {"since_parameter": "since", "since_field": "at"}
    landing.read(_source(api, pagination=pagination, **values))
    assert [row["key"] for row in landing.rows] == _KEYS
    assert (len(api.asked), landing.watermark) == (4, {})


def test_a_page_is_the_same_if_its_items_have_the_same_keys(api: Api) -> None:
    """Fields that change from answer to answer, such as an age, do not hide the end."""

    def answer(asked: Asked) -> Answer:
        number = min(int(asked.parameters["page"]), len(_PAGES)) - 1
        return Answer({"items": [{**item, "age": len(api.asked)} for item in _items(number)]})

    api.answer = answer
    assert _landed(api, pagination="page") == _KEYS


def test_a_problem_behind_a_page_is_an_error(api: Api) -> None:
    """An answer that reports a problem with status 200 is not the end of the list."""
    api.answer = _numbered(Answer({"error": "too many requests"}))
    with pytest.raises(DataError, match="no list at 'items'"):
        _landed(api, pagination="page")


@pytest.mark.parametrize("pagination", ["page", "cursor"])
def test_pages_that_go_round_are_an_error(api: Api, pagination: str) -> None:
    """A list that returns to a page other than its first one has no end."""

    def answer(_: Asked) -> Answer:
        number = 0 if len(api.asked) == 1 else 1 + len(api.asked) % 2
        return Answer({"items": _items(number), "next_cursor": f"c{number}"})

    api.answer = answer
    with pytest.raises(DataError, match="repeats an earlier page") as caught:
        _landed(api, pagination=pagination)
    assert (caught.value.reason, len(api.asked)) == ("ENDLESS_PAGES", 4)


@pytest.mark.parametrize("token", ["t\u00f6ken", "two\nlines"])
def test_a_token_that_no_header_may_have_is_named_by_its_variable(
    api: Api, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    """The error does not contain the token."""
    monkeypatch.setenv("SHOP_TOKEN", token)
    with pytest.raises(TidemillError, match="SHOP_TOKEN has a character") as caught:
        _landed(api, auth="bearer", token_env="SHOP_TOKEN")  # noqa: S106 -- a variable's name
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://bob:secret@h:abc/",
        "http://h\x01/",
        "http://xn--/",
        "http://a..b/",
        f"http://{'a' * 70}",
    ],
)
def test_a_url_that_is_none_is_reported(url: str) -> None:
    """An invalid URL raises our error, without its password."""
    with pytest.raises(DataError, match="fix the source's url") as caught:
        Landing().read(open_source(HttpSource(kind="http", url=url)))
    assert "secret" not in str(caught.value)
