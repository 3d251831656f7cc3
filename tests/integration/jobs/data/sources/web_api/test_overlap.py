"""Items that appear late, at or below the watermark."""

import pytest

from tests.integration.jobs.data.sources.web_api.api import Answer, Api, Asked
from tests.integration.jobs.data.sources.web_api.items import Declare
from tests.unit.jobs.data.sources.landing import Landing
from tidemill_core.errors import DataError


def test_an_overlap_finds_items_that_appear_late(api: Api, declare: Declare) -> None:
    """An item at or below the highest time seen is found if it is within the overlap."""
    items = [{"id": 1, "text": "x", "label": "a", "at": "2026-01-02T12:00:00Z"}]

    def answer(asked: Asked) -> Answer:
        since = asked.parameters.get("since", "")
        return Answer({"items": [item for item in items if str(item["at"]) > since]})

    api.answer = answer
    values = {"since_parameter": "since", "time_field": "at", "overlap": 3600}
    landing, source = Landing(), declare(items="items", **values)
    landing.read(source)
    items += [
        {"id": 2, "text": "late", "label": "a", "at": "2026-01-02T11:30:00Z"},
        {"id": 3, "text": "too late", "label": "a", "at": "2026-01-02T10:30:00Z"},
    ]
    landing.read(source)
    assert api.asked[-1].parameters == {"since": "2026-01-02T11:00:00Z"}
    assert sorted(map(str, landing.texts)) == ["late", "x"]
    assert landing.watermark == {"since": "2026-01-02T12:00:00Z"}


@pytest.mark.parametrize(
    ("field", "highest", "asked"),
    [
        ("time_field", 1_700_000_000, "1699999940"),
        ("time_field", 1_700_000_000_000, "1699999940000"),
        ("time_field", "1700000000", "1699999940"),
        ("time_field", "20240301", "20240229"),
        ("time_field", 20240301000030, "20240229235930"),
        ("time_field", "2026-01-02 12:00:00.5+01:00", "2026-01-02 11:59:00.5+01:00"),
        ("time_field", "1700000000.5", "1699999940.5"),
        ("time_field", "20260102T120000Z", "20260102T115900Z"),
        ("time_field", "2026-01-02T12:00:00,123+01:00", "2026-01-02T11:59:00,123+01:00"),
        ("since_field", "2026-01-02T12", "2026-01-02T11"),
        ("since_field", 1_000, "940"),
        ("since_field", "1000", "940"),
    ],
)
def test_an_overlap_is_in_the_unit_of_what_is_asked(
    api: Api, declare: Declare, field: str, highest: object, asked: str
) -> None:
    """The overlap is in seconds before a time in any unit, and in units before a number."""
    api.answer = lambda _: Answer({"items": [{"id": 1, "text": "x", "at": highest}]})
    source = declare(
        items="items", since_parameter="since", overlap=60, label_field="", **{field: "at"}
    )
    landing = Landing()
    landing.read(source)
    landing.read(source)
    assert api.asked[-1].parameters == {"since": asked}


def test_an_overlap_before_a_word_is_refused(api: Api, declare: Declare) -> None:
    """A word has no value before it; the error names the valid types."""
    api.answer = lambda _: Answer({"items": [{"id": 1, "text": "x", "at": "abc"}]})
    source = declare(
        items="items", since_parameter="s", since_field="at", overlap=60, label_field=""
    )
    landing = Landing()
    landing.read(source)
    with pytest.raises(DataError, match="overlap needs a number or a time") as caught:
        landing.read(source)
    assert caught.value.reason == "UNSUPPORTED_CURSOR"
