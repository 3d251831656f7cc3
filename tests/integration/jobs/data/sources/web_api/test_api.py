"""An API as a source: a real server, with and without faults."""

import gzip
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from structlog.testing import capture_logs

from tests.integration.jobs.data.sources.web_api.api import Answer, Api, Asked
from tests.plugins.proxy import proxied
from tests.unit.jobs.data.sources.landing import Landing
from tidemill_core.errors import ConfigurationError, DataError
from tidemill_core.settings import HttpSource
from tidemill_jobs.data.sources import open_source, raw_rows
from tidemill_jobs.data.sources.source import BATCH_ROWS, Source
from tidemill_jobs.data.sources.web_api import api_client
from tidemill_jobs.data.sources.web_api.api_client import ATTEMPTS, MAX_RESPONSE_BYTES

Declare = Callable[..., Source]


@pytest.fixture
def declare(server: Api) -> Declare:
    """Return a function that makes a source of the API, with settings by name."""

    def declared(**values: object) -> Source:
        settings = {"kind": "http", "url": server.url, "requests_per_second": 1e4, **values}
        return open_source(HttpSource.model_validate(settings))

    return declared


def _item(key: int, **values: object) -> dict[str, object]:
    return {"id": key, "text": f"text {key}", "label": "a", **values}


def _pages(*keys: list[int]) -> list[list[dict[str, object]]]:
    return [[_item(key) for key in page] for page in keys]


def _keys(landing: Landing) -> list[object]:
    return [row["key"] for row in landing.rows]


def test_an_answer_s_items_are_rows(api: Api, declare: Declare) -> None:
    """Dotted paths lead to the items and their fields; each row has its origin."""
    item = {
        "meta": {"n": 7},
        "body": {"de": "x"},
        "topic": True,
        "by": 3,
        "at": "2026-01-02T12:00Z",
    }
    api.answer = lambda _: Answer({"data": {"tickets": [item]}})
    source = declare(
        items="data.tickets",
        key_field="meta.n",
        text_field="body.de",
        label_field="topic",
        annotator_field="by",
        time_field="at",
    )
    landing = Landing()
    landing.read(source)
    (row,) = landing.rows
    assert (row["origin"], row["key"]) == ("api:127.0.0.1/v1/tickets#7", "7")
    assert (row["text"], row["label"], row["annotator"]) == ("x", "true", "3")
    assert row["time"] == datetime(2026, 1, 2, 12, tzinfo=UTC)


def test_an_api_on_this_machine_is_asked_past_any_proxy(
    api: Api, declare: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests to loopback do not use a proxy from the environment."""
    api.answer = lambda _: Answer([_item(1)])
    landing = Landing()
    with proxied(monkeypatch) as proxy:
        landing.read(declare())
        assert proxy.connections == 0
    assert _keys(landing) == ["1"]


def test_numbered_pages_end_with_an_empty_one(api: Api, declare: Declare) -> None:
    """Pages are requested by number; the URL keeps its other parameters."""
    pages = _pages([1, 2], [3], [])
    api.answer = lambda asked: Answer(pages[int(asked.parameters["p"])])
    source = declare(url=f"{api.url}?limit=2", pagination="page", page_parameter="p", first_page=0)
    landing = Landing()
    landing.read(source)
    assert _keys(landing) == ["1", "2", "3"]
    assert [asked.parameters for asked in api.asked] == [
        {"limit": "2", "p": str(page)} for page in range(3)
    ]


def test_cursors_are_followed(api: Api, declare: Declare) -> None:
    """Each answer's cursor requests the next page, until there is none."""
    pages = {"": (_pages([1])[0], "b c"), "b c": (_pages([2])[0], None)}

    def answer(asked: Asked) -> Answer:
        items, following = pages[asked.parameters.get("after", "")]
        return Answer({"items": items, "paging": {"next": following}})

    api.answer = answer
    source = declare(
        items="items", pagination="cursor", cursor_parameter="after", cursor_field="paging.next"
    )
    landing = Landing()
    landing.read(source)
    assert _keys(landing) == ["1", "2"]


def test_link_headers_are_followed(api: Api, declare: Declare) -> None:
    """A relative link to the next page is followed too."""

    def answer(asked: Asked) -> Answer:
        if asked.parameters:
            return Answer(_pages([2])[0], headers={"link": '<https://else/>; rel="prev"'})
        return Answer(_pages([1])[0], headers={"link": '<?page=2>; rel="next"'})

    api.answer = answer
    landing = Landing()
    landing.read(declare(pagination="link"))
    assert _keys(landing) == ["1", "2"]


def test_only_what_is_new_is_asked_for(api: Api, declare: Declare) -> None:
    """The next read starts at the highest time seen; changed items replace earlier ones."""
    items = [_item(1, at="2026-01-02T12:00:00Z"), _item(2, at="2026-01-02T11:30:00+01:00")]
    api.answer = lambda _: Answer(items)
    source, landing = declare(since_parameter="since", time_field="at"), Landing()
    landing.read(source)
    assert landing.watermark == {"since": "2026-01-02T12:00:00Z"}
    items[:] = [_item(1, text="changed", at="2026-01-02T12:00:00Z")]
    landing.read(source)
    assert [asked.parameters for asked in api.asked] == [{}, {"since": "2026-01-02T12:00:00Z"}]
    assert landing.texts == ["text 2", "changed"]
    items.clear()
    assert landing.read(source) == []


@pytest.mark.parametrize(
    ("values", "highest"), [([9, 10, 2], 10), (["b", "c", "a"], "c"), ([None, 3, True], 3)]
)
def test_since_may_be_of_any_kind(
    api: Api, declare: Declare, values: list[object], highest: object
) -> None:
    """Numbers are compared as numbers and words as words; other values do not count."""
    api.answer = lambda _: Answer([_item(n, seq=value) for n, value in enumerate(values)])
    landing = Landing()
    landing.read(declare(since_parameter="after", since_field="seq"))
    assert landing.watermark == {"since": highest}


_TIMES = {"since_parameter": "since", "time_field": "at"}
_SECOND_OF_JANUARY = "2026-01-02T12:00:00Z"


@pytest.mark.parametrize(
    ("settings", "value"),
    [
        (_TIMES, "2062-01-01T00:00:00Z"),
        (_TIMES, 2_900_000_000),
        (_TIMES, "0001-01-01T00:00:00+14:00"),
        (_TIMES, 10**400),
        ({**_TIMES, "since_field": "at", "time_field": ""}, "\ud800"),
        ({**_TIMES, "since_field": "at", "time_field": ""}, "z" * 70_000),
    ],
)
def test_a_value_that_cannot_be_right_hides_no_items(
    api: Api, declare: Declare, settings: dict[str, object], value: object
) -> None:
    """A future time, or a value no request can use, does not become the watermark."""
    api.answer = lambda _: Answer([_item(1, at=value), _item(2, at=_SECOND_OF_JANUARY)])
    settings = {name: value or None for name, value in settings.items()}
    source, landing = declare(**settings), Landing()
    landing.read(source)
    assert landing.watermark == {"since": _SECOND_OF_JANUARY}
    assert len(landing.rows) == 2
    landing.watermark = {"since": value}
    landing.read(source)
    assert api.asked[-1].parameters == {}


def test_items_without_text_cost_themselves_alone(api: Api, declare: Declare) -> None:
    """A null is a row without text; a read with only such items does not fail."""
    items = [_item(1, text=None, n=1)]
    api.answer = lambda _: Answer(items)
    source, landing = declare(since_parameter="after", since_field="n"), Landing()
    landing.read(source)
    items[:] = [{"id": 2, "n": 2}]
    landing.read(source)
    assert landing.texts == [None, None]
    assert landing.watermark == {"since": 2}


def test_many_long_texts_come_in_several_batches(
    api: Api, declare: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches are bounded in bytes too; the watermark moves with the last one."""
    monkeypatch.setattr(raw_rows, "BATCH_BYTES", 10_000)
    api.answer = lambda _: Answer([_item(n, text="x" * 4_000, n=n) for n in range(5)])
    landing = Landing()
    batches = landing.read(declare(since_parameter="after", since_field="n"))
    assert [len(batch.rows) for batch in batches] == [2, 2, 1]
    assert [batch.watermark for batch in batches] == [{}, {}, {"since": 4}]


def test_a_read_that_breaks_off_is_made_again(api: Api, declare: Declare) -> None:
    """After a failed read the watermark is unchanged, and items read again replace themselves."""
    broken = True

    def answer(asked: Asked) -> Answer:
        page = int(asked.parameters["page"])
        if page == 3 and broken:
            return Answer(b"", status=500)
        items = [_item(page * BATCH_ROWS + n, seq=-page) for n in range(55_000)]
        return Answer(items if page < 3 else [])

    api.answer = answer
    source, landing = declare(pagination="page", since_parameter="s", since_field="seq"), Landing()
    assert landing.try_to_read(source) == "API_BROKEN"
    assert (len(landing.rows), landing.watermark) == (BATCH_ROWS, {})
    broken = False
    landing.read(source)
    assert (len(landing.rows), landing.watermark) == (110_000, {"since": -1})


@pytest.mark.parametrize(
    ("auth", "header", "shown"),
    [("bearer", "Authorization", "Bearer hunter2"), ("header", "X-API-Key", "hunter2")],
)
def test_the_token_is_shown_to_the_api_alone(
    api: Api,
    declare: Declare,
    monkeypatch: pytest.MonkeyPatch,
    auth: str,
    header: str,
    shown: str,
) -> None:
    """Only the header has the token, no error or log; a missing variable is named."""
    values = {"auth": auth, "token_env": "SHOP_TOKEN", "url": f"{api.url}?key=hunter2"}
    source = declare(**values)
    with pytest.raises(ConfigurationError, match="SHOP_TOKEN"):
        Landing().read(source)
    monkeypatch.setenv("SHOP_TOKEN", "hunter2")
    for status in (401, 500):
        api.answer = lambda _, status=status: Answer({}, status=status)
        with capture_logs() as logged, pytest.raises(DataError) as caught:
            Landing().read(source)
        assert api.asked[-1].headers[header] == shown
        assert "hunter2" not in f"{caught.value}{logged}"


@pytest.mark.parametrize(
    "bad",
    [
        Answer(b"", status=429, headers={"retry-after": "0"}),
        Answer(b"", status=500),
        Answer(b"", status=503, headers={"retry-after": "soon"}),
        Answer(b'[{"id": 1', missing_bytes=5),
        Answer(b"not gzip", headers={"content-encoding": "gzip"}),
    ],
)
def test_a_passing_trouble_is_waited_out(api: Api, declare: Declare, bad: Answer) -> None:
    """Requests to an overloaded, broken or interrupted API are retried."""
    api.answer = lambda _: bad if len(api.asked) < ATTEMPTS else Answer([_item(1)])
    landing = Landing()
    landing.read(declare())
    assert _keys(landing) == ["1"]
    assert len(api.asked) == ATTEMPTS


@pytest.mark.parametrize(
    ("answer", "reason", "told", "requests"),
    [
        (Answer(b"", status=429), "API_OVERLOADED", "answered 429", ATTEMPTS),
        (
            Answer(b"", status=429, headers={"retry-after": "86400"}),
            "API_OVERLOADED",
            "asks callers to wait 86400 s",
            1,
        ),
        (Answer(b"", status=502), "API_BROKEN", "answered 502", ATTEMPTS),
        (Answer(b"", status=403), "API_DENIED", "token_env", 1),
        (Answer(b"", status=404), "SOURCE_MISSING", "answered 404", 1),
        (Answer(b"", status=400), "API_REFUSED", "answered 400", 1),
        (
            Answer(b"", status=301, headers={"location": "https://else/v2?key=x"}),
            "API_REFUSED",
            "redirects to https://else/v2;",
            1,
        ),
        (
            Answer(b"<html>Sign in</html>", headers={"content-type": "text/html"}),
            "NOT_JSON",
            "with text/html that is not complete JSON",
            1,
        ),
        (
            Answer(b'[{"id": 1, "te'),
            "NOT_JSON",
            "without a type that is not complete JSON and begins with '['",
            1,
        ),
        (Answer(b"\xff\xfe\xff"), "NOT_JSON", "begins with", 1),
        (Answer({"error": "none"}), "MISSING_ITEMS", "an object with the fields error", 1),
        (Answer("x"), "MISSING_ITEMS", "no list", 1),
        (
            Answer([{"id": 1, "body": "x"}]),
            "MISSING_FIELD",
            "no item has 'text'; the fields are id, body",
            1,
        ),
    ],
)
def test_an_api_that_cannot_be_read_is_named(
    api: Api, declare: Declare, answer: Answer, reason: str, told: str, requests: int
) -> None:
    """The error has its reason, URL and cure; permanent errors are not retried."""
    api.answer = lambda _: answer
    with pytest.raises(DataError, match=f"{api.url}") as caught:
        Landing().read(declare())
    assert (caught.value.reason, told in str(caught.value)) == (reason, True), str(caught.value)
    assert len(api.asked) == requests


@pytest.mark.usefixtures("api")
def test_an_api_that_is_away_is_named(declare: Declare) -> None:
    """An API that does not listen is named."""
    with pytest.raises(DataError, match=r"http://127\.0\.0\.1:1/ did not answer") as caught:
        Landing().read(declare(url="http://127.0.0.1:1/"))
    assert caught.value.reason == "API_UNREACHABLE"


def test_an_answer_has_a_bound_even_unpacked(api: Api, declare: Declare) -> None:
    """A small answer that decompresses to a huge one is refused before its end."""
    bomb = gzip.compress(b" " * (MAX_RESPONSE_BYTES + 1), compresslevel=1)
    api.answer = lambda _: Answer(bomb, headers={"content-encoding": "gzip"})
    with pytest.raises(DataError, match="64 MiB") as caught:
        Landing().read(declare())
    assert caught.value.reason == "RESPONSE_TOO_LARGE"


@pytest.mark.parametrize("following", ["c" * 70_000, "\ud800"])
def test_a_cursor_that_cannot_be_asked_for_is_told(
    api: Api, declare: Declare, following: str
) -> None:
    """An API's next page may be any value; an unusable one is an error."""
    api.answer = lambda _: Answer({"i": [_item(1)], "next_cursor": following})
    with pytest.raises(DataError, match=f"{api.url} names a next page") as caught:
        Landing().read(declare(pagination="cursor", items="i"))
    assert caught.value.reason == "API_REFUSED"


def test_an_answer_that_drips_has_an_end(
    api: Api, declare: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer fails if its bytes arrive in time but the whole takes too long."""
    monkeypatch.setattr(api_client, "ANSWER_SECONDS", 0.3)
    api.answer = lambda _: Answer([_item(1)], seconds_a_byte=0.02)
    with pytest.raises(DataError, match=f"{api.url} takes more than 0 s") as caught:
        Landing().read(declare(timeout_seconds=0.2))
    assert caught.value.reason == "API_TOO_SLOW"
    assert len(api.asked) == 1


def test_a_list_without_end_is_noticed(api: Api, declare: Declare) -> None:
    """An endless list stops at max_pages; the next read replaces its rows."""
    api.answer = lambda _: Answer([_item(len(api.asked))])
    assert Landing().try_to_read(declare(pagination="page", max_pages=7)) == "ENDLESS_PAGES"
    assert len(api.asked) == 7


def test_a_link_to_another_server_is_not_followed(api: Api, declare: Declare) -> None:
    """The token is not sent to another server."""
    link = {"link": '<https://else.example/?page=2>; rel="next"'}
    api.answer = lambda _: Answer([_item(1)], headers=link)
    with pytest.raises(DataError, match=r"links to https://else\.example/, another server"):
        Landing().read(declare(pagination="link"))


def test_items_that_cannot_be_read_are_told_of_once(api: Api, declare: Declare) -> None:
    """They have their key or one from their content, so repeated reads do not add up."""
    items = ["x", _item(1, text=5), {"text": "y", "id": None}, {"text": "z", "id": "\ud800"}]
    api.answer = lambda _: Answer(items)
    landing, source = Landing(), declare()
    for _ in range(2):
        landing.read(source)
        assert sorted(map(str, landing.texts)) == ["y", "z"]
        assert [rule for _, rule in landing.unreadable] == ["WRONG_TYPE", "WRONG_TYPE"]


@pytest.mark.parametrize("kind", ["seconds", "date"])
def test_retry_after_is_obeyed(server: Api, declare: Declare, kind: str) -> None:
    """The client waits as long as the API asks, in seconds or until a date."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    wait = {"retry-after": "1" if kind == "seconds" else date}
    answers = iter([Answer(b"", status=429, headers=wait)])
    server.answer = lambda _: next(answers, Answer([_item(1)]))
    begin = time.monotonic()
    landing = Landing()
    landing.read(declare())
    assert len(landing.rows) == 1
    assert time.monotonic() - begin >= 1.0


def test_requests_keep_their_distance(api: Api, declare: Declare) -> None:
    """No more requests are sent in a second than the setting allows."""
    pages = _pages([1], [2], [3], [])
    api.answer = lambda asked: Answer(pages[int(asked.parameters["page"]) - 1])
    begin = time.monotonic()
    Landing().read(declare(pagination="page", requests_per_second=10))
    assert time.monotonic() - begin >= 0.3
