"""An API as a source: a real server, with and without faults."""

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from tests.integration.jobs.data.sources.web_api.api import Answer, Api, Asked
from tests.integration.jobs.data.sources.web_api.items import Declare, item_of, keys_of, pages_of
from tests.plugins.proxy import proxied
from tests.unit.jobs.data.sources.landing import Landing
from tidemill_core.errors import ConfigurationError, DataError
from tidemill_jobs.data.sources import raw_rows


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
    api.answer = lambda _: Answer([item_of(1)])
    landing = Landing()
    with proxied(monkeypatch) as proxy:
        landing.read(declare())
        assert proxy.connections == 0
    assert keys_of(landing) == ["1"]


def test_numbered_pages_end_with_an_empty_one(api: Api, declare: Declare) -> None:
    """Pages are requested by number; the URL keeps its other parameters."""
    pages = pages_of([1, 2], [3], [])
    api.answer = lambda asked: Answer(pages[int(asked.parameters["p"])])
    source = declare(url=f"{api.url}?limit=2", pagination="page", page_parameter="p", first_page=0)
    landing = Landing()
    landing.read(source)
    assert keys_of(landing) == ["1", "2", "3"]
    assert [asked.parameters for asked in api.asked] == [
        {"limit": "2", "p": str(page)} for page in range(3)
    ]


def test_cursors_are_followed(api: Api, declare: Declare) -> None:
    """Each answer's cursor requests the next page, until there is none."""
    pages = {"": (pages_of([1])[0], "b c"), "b c": (pages_of([2])[0], None)}

    def answer(asked: Asked) -> Answer:
        items, following = pages[asked.parameters.get("after", "")]
        return Answer({"items": items, "paging": {"next": following}})

    api.answer = answer
    source = declare(
        items="items", pagination="cursor", cursor_parameter="after", cursor_field="paging.next"
    )
    landing = Landing()
    landing.read(source)
    assert keys_of(landing) == ["1", "2"]


def test_link_headers_are_followed(api: Api, declare: Declare) -> None:
    """A relative link to the next page is followed too."""

    def answer(asked: Asked) -> Answer:
        if asked.parameters:
            return Answer(pages_of([2])[0], headers={"link": '<https://else/>; rel="prev"'})
        return Answer(pages_of([1])[0], headers={"link": '<?page=2>; rel="next"'})

    api.answer = answer
    landing = Landing()
    landing.read(declare(pagination="link"))
    assert keys_of(landing) == ["1", "2"]


def test_only_what_is_new_is_asked_for(api: Api, declare: Declare) -> None:
    """The next read starts at the highest time seen; changed items replace earlier ones."""
    items = [item_of(1, at="2026-01-02T12:00:00Z"), item_of(2, at="2026-01-02T11:30:00+01:00")]
    api.answer = lambda _: Answer(items)
    source, landing = declare(since_parameter="since", time_field="at"), Landing()
    landing.read(source)
    assert landing.watermark == {"since": "2026-01-02T12:00:00Z"}
    items[:] = [item_of(1, text="changed", at="2026-01-02T12:00:00Z")]
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
    api.answer = lambda _: Answer([item_of(n, seq=value) for n, value in enumerate(values)])
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
    api.answer = lambda _: Answer([item_of(1, at=value), item_of(2, at=_SECOND_OF_JANUARY)])
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
    items = [item_of(1, text=None, n=1)]
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
    api.answer = lambda _: Answer([item_of(n, text="x" * 4_000, n=n) for n in range(5)])
    landing = Landing()
    batches = landing.read(declare(since_parameter="after", since_field="n"))
    assert [len(batch.rows) for batch in batches] == [2, 2, 1]
    assert [batch.watermark for batch in batches] == [{}, {}, {"since": 4}]


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
