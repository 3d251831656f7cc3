"""An API that fails, for a while or for good, and one that sends what it should not."""

import gzip
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import count

import pytest

from tests.integration.jobs.data.sources.web_api.api import Answer, Api, Asked
from tests.integration.jobs.data.sources.web_api.items import Declare, item_of, keys_of, pages_of
from tests.unit.jobs.data.sources.landing import Landing
from tidemill_core.errors import DataError
from tidemill_jobs.data.sources.source import BATCH_ROWS
from tidemill_jobs.data.sources.web_api import api_client
from tidemill_jobs.data.sources.web_api.api_client import ATTEMPTS, MAX_RESPONSE_BYTES


def test_a_read_that_breaks_off_is_made_again(api: Api, declare: Declare) -> None:
    """After a failed read the watermark is unchanged, and items read again replace themselves."""
    broken = True

    def answer(asked: Asked) -> Answer:
        page = int(asked.parameters["page"])
        if page == 3 and broken:
            return Answer(b"", status=500)
        items = [item_of(page * BATCH_ROWS + n, seq=-page) for n in range(55_000)]
        return Answer(items if page < 3 else [])

    api.answer = answer
    source, landing = declare(pagination="page", since_parameter="s", since_field="seq"), Landing()
    assert landing.try_to_read(source) == "API_BROKEN"
    assert (len(landing.rows), landing.watermark) == (BATCH_ROWS, {})
    broken = False
    landing.read(source)
    assert (len(landing.rows), landing.watermark) == (110_000, {"since": -1})


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
    api.answer = lambda _: bad if len(api.asked) < ATTEMPTS else Answer([item_of(1)])
    landing = Landing()
    landing.read(declare())
    assert keys_of(landing) == ["1"]
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
def test_a_cursor_that_cannot_be_asked_for_is_reported(
    api: Api, declare: Declare, following: str
) -> None:
    """An API's next page may be any value; an unusable one is an error."""
    api.answer = lambda _: Answer({"i": [item_of(1)], "next_cursor": following})
    with pytest.raises(DataError, match=f"{api.url} names a next page") as caught:
        Landing().read(declare(pagination="cursor", items="i"))
    assert caught.value.reason == "API_REFUSED"


def test_an_answer_that_drips_has_an_end(
    api: Api, declare: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer fails if its bytes arrive in time but the whole takes too long."""
    monkeypatch.setattr(api_client, "ANSWER_SECONDS", 0.3)
    api.answer = lambda _: Answer([item_of(1)], seconds_a_byte=0.02)
    with pytest.raises(DataError, match=f"{api.url} takes more than 0 s") as caught:
        Landing().read(declare(timeout_seconds=0.2))
    assert caught.value.reason == "API_TOO_SLOW"
    assert len(api.asked) == 1


def test_a_list_without_end_is_noticed(api: Api, declare: Declare) -> None:
    """An endless list stops at max_pages; the next read replaces its rows."""
    api.answer = lambda _: Answer([item_of(len(api.asked))])
    assert Landing().try_to_read(declare(pagination="page", max_pages=7)) == "ENDLESS_PAGES"
    assert len(api.asked) == 7


def test_a_link_to_another_server_is_not_followed(api: Api, declare: Declare) -> None:
    """The token is not sent to another server."""
    link = {"link": '<https://else.example/?page=2>; rel="next"'}
    api.answer = lambda _: Answer([item_of(1)], headers=link)
    with pytest.raises(DataError, match=r"links to https://else\.example/, another server"):
        Landing().read(declare(pagination="link"))


def test_items_that_cannot_be_read_are_reported_once(api: Api, declare: Declare) -> None:
    """They have their key or one from their content, so repeated reads do not add up."""
    items = ["x", item_of(1, text=5), {"text": "y", "id": None}, {"text": "z", "id": "\ud800"}]
    api.answer = lambda _: Answer(items)
    landing, source = Landing(), declare()
    for _ in range(2):
        landing.read(source)
        assert sorted(map(str, landing.texts)) == ["y", "z"]
        assert [rule for _, rule in landing.unreadable] == ["WRONG_TYPE", "WRONG_TYPE"]


@pytest.mark.parametrize("kind", ["seconds", "date"])
def test_retry_after_is_obeyed(server: Api, declare: Declare, kind: str) -> None:
    """The client waits as long as the API asks, in seconds or until a date."""
    first = count()

    def answer(_: object) -> Answer:
        if next(first):
            return Answer([item_of(1)])
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
        wait = {"retry-after": "1" if kind == "seconds" else date}
        return Answer(b"", status=429, headers=wait)

    server.answer = answer
    begin = time.monotonic()
    landing = Landing()
    landing.read(declare())
    assert len(landing.rows) == 1
    assert time.monotonic() - begin >= 1.0


def test_requests_keep_their_distance(api: Api, declare: Declare) -> None:
    """No more requests are sent in a second than the setting allows."""
    pages = pages_of([1], [2], [3], [])
    api.answer = lambda asked: Answer(pages[int(asked.parameters["page"]) - 1])
    begin = time.monotonic()
    Landing().read(declare(pagination="page", requests_per_second=10))
    assert time.monotonic() - begin >= 0.3
