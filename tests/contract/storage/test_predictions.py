"""The table of predictions."""

from datetime import UTC, timedelta, timezone

import pytest
from sqlalchemy.exc import IntegrityError

from tests.contract.storage.values import NOW, change, later, prediction, validated, verdict
from tidemill_core.domain.prediction import SHADOW_METHOD, Score
from tidemill_core.domain.traffic import Traffic
from tidemill_core.storage.predictions import PredictionWindow, Span
from tidemill_core.storage.storage import Storage

WINDOW = PredictionWindow("support", 1, NOW)


def test_reads_back_what_was_written(storage: Storage) -> None:
    """A prediction comes back equal, including scores and attributes."""
    given = prediction("p1", text="wo ist 我的 карта? 🎉 %_'\"")
    storage.predictions.add([given])
    assert storage.predictions.get("p1") == given


def test_a_value_that_cannot_be_stored_writes_nothing(storage: Storage) -> None:
    """A row that the schema forbids is an error; it is not skipped silently."""
    broken = prediction("p1", label=None)
    with pytest.raises(IntegrityError):
        storage.predictions.add([prediction("p2"), broken])
    assert storage.predictions.get("p2") is None


def test_a_batch_larger_than_a_statement(storage: Storage) -> None:
    """Many rows come back equal, whatever their number."""
    given = [prediction(f"p{n}", "t" * n, scores=(Score('"l"', 1 / (n + 3)),)) for n in range(250)]
    storage.predictions.add(given)
    assert [storage.predictions.get(each.prediction_id) for each in given] == given


def test_hashes_of_texts(storage: Storage) -> None:
    """A hash comes back with its prediction, and by id if there is one."""
    hashed = prediction("p1", text="", text_hash="ab" * 32)
    storage.predictions.add([hashed, prediction("p2")])
    assert storage.predictions.get("p1") == hashed
    assert storage.predictions.text_hashes(["p1", "p2", "p3"]) == {"p1": "ab" * 32}


def test_texts_expire(storage: Storage) -> None:
    """A task's texts and hashes older than a time are removed in bounded batches; rows stay."""
    old = [prediction(f"old{n}", predict_time=later(n - 5)) for n in range(4)]
    hashed = prediction("hashed", "", text_hash="h", predict_time=later(-1))
    kept = [prediction("edge"), prediction("other", task="arxiv", predict_time=later(-9))]
    storage.predictions.add([*old, hashed, *kept])
    assert [storage.predictions.expire_texts("support", NOW, 3) for _ in range(3)] == [3, 2, 0]
    expired = [storage.predictions.get(each.prediction_id) for each in (*old, hashed)]
    assert expired == [each._replace(text="", text_hash="") for each in (*old, hashed)]
    assert [storage.predictions.get(each.prediction_id) for each in kept] == kept


def test_unknown_id_is_none(storage: Storage) -> None:
    """An unknown id gives None."""
    assert storage.predictions.get("p1") is None


def test_nothing_to_write(storage: Storage) -> None:
    """An empty batch writes nothing and does not fail."""
    storage.predictions.add([])
    assert storage.prediction_counts.of_window("support", 1, NOW) == {}


def test_repeats_leave_the_first(storage: Storage) -> None:
    """A repeated id changes nothing, and the rest of its batch is written."""
    first = prediction("p1", text="first")
    storage.predictions.add([first])
    storage.predictions.add([prediction("p1", text="second"), prediction("p2")])
    assert storage.predictions.get("p1") == first
    assert storage.predictions.get("p2") == prediction("p2")


def test_repeats_within_a_batch(storage: Storage) -> None:
    """An id that occurs twice in one batch is written once."""
    storage.predictions.add([prediction("p1", text="first"), prediction("p1", text="second")])
    found = storage.predictions.get("p1")
    assert found is not None
    assert found.text == "first"


def test_times_come_back_in_utc(storage: Storage) -> None:
    """A time in another zone comes back as the same time in UTC."""
    india = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    storage.predictions.add([prediction("p1", predict_time=india)])
    found = storage.predictions.get("p1")
    assert found is not None
    assert found.predict_time == NOW
    assert found.predict_time.tzinfo is UTC


@pytest.mark.parametrize("count", [0, 1, 500, 501, 1201])
def test_texts_and_labels_of_many(storage: Storage, count: int) -> None:
    """Texts and labels come back for any number of ids, without unknown ids."""
    ids = [f"p{number}" for number in range(count)]
    storage.predictions.add([prediction(id_, text=f"text of {id_}") for id_ in ids])
    found = storage.predictions.texts_and_labels([*ids, "missing"])
    assert found == {id_: (f"text of {id_}", "card_arrival") for id_ in ids}


@pytest.mark.parametrize(
    ("count", "percentiles"),
    [(1, [0.0, 0.0]), (2, [0.0, 1.0]), (100, [49.0, 98.0]), (101, [50.0, 99.0])],
)
def test_latencies_of_a_window(storage: Storage, count: int, percentiles: list[float]) -> None:
    """A percentile is the smallest latency that at least that percentage does not exceed."""
    storage.predictions.add(
        [prediction(f"p{n}", latency_ms=float(n * 7 % count)) for n in range(count)]
    )
    storage.predictions.add([prediction("batch", latency_ms=1e6, method="BatchPredict")])
    methods = ("Predict", "StreamPredict")
    found = storage.predictions.latency_percentiles(WINDOW, methods, (50, 99))
    assert found == (count, percentiles)
    assert storage.predictions.latency_percentiles(WINDOW, ("Shadow",), (50, 99)) == (0, [])


def test_the_answers_of_a_span(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers with a text come from the start (inclusive) to the end, once, oldest first."""
    monkeypatch.setattr("tidemill_core.storage.predictions._IDS_A_READ", 2)
    times = {"late": 10, "c": 2, "b": 1, "a": 1, "d": 9, "early": -1, "first": 0}
    storage.predictions.add([prediction(name, predict_time=later(s)) for name, s in times.items()])
    others = {"task": "arxiv"}, {"text": ""}, {"method": SHADOW_METHOD}
    storage.predictions.add([prediction(f"x{n}", **other) for n, other in enumerate(others)])
    span = Span("support", NOW, later(10))
    assert list(storage.predictions.ids(span)) == ["first", "a", "b", "c", "d"]
    assert list(storage.predictions.ids(Span("support", NOW, NOW))) == []


def test_the_least_confident_answers_of_a_span(storage: Storage) -> None:
    """At most `limit` answers come back, the least confident first."""
    confidences = {"a": 0.9, "b": 0.1, "c": 0.5, "d": 0.2}
    made = [prediction(name, confidence=value) for name, value in confidences.items()]
    storage.predictions.add([*made, prediction("shadow", confidence=0.0, method=SHADOW_METHOD)])
    found = storage.predictions.least_confident(Span("support", NOW, later(1)), 3)
    assert found == [made[1], made[3], made[2]]


def test_the_newest_texts_of_a_span(storage: Storage) -> None:
    """At most `limit` texts come back, the newest first, without those of shadows."""
    made = [
        prediction(name, text=f"text {name}", predict_time=later(seconds))
        for seconds, name in enumerate("abc")
    ]
    storage.predictions.add([*made, prediction("shadow", method=SHADOW_METHOD)])
    span = Span("support", NOW, later(60))
    assert storage.predictions.recent_texts(span, 2) == ["text c", "text b"]


def test_ids_are_complete_over_pages(storage: Storage) -> None:
    """Each comes once and in order, also where a page ends between answers of one time."""
    made = [prediction(f"p{n:04d}", predict_time=later(n // 4000)) for n in range(5500)]
    storage.predictions.add(made)
    found = list(storage.predictions.ids(Span("support", NOW, later(60))))
    assert found == [each.prediction_id for each in made]


def test_confident_answers_that_no_verdict_is_about(storage: Storage) -> None:
    """Sure answers with a text come back, always the same ones; judged and doubtful ones do not."""
    made = [prediction(f"p{n}", predict_time=later(n)) for n in range(4)]
    doubtful: list[dict[str, object]] = [{"confidence": 0.69}, {"abstained": True}, {"text": ""}]
    others = [*doubtful, {"method": SHADOW_METHOD}, {"task": "arxiv"}, {"predict_time": later(-1)}]
    storage.predictions.add([*made, *(prediction(f"x{n}", **o) for n, o in enumerate(others))])
    storage.feedback.add([verdict("p3", label=None, correct=False)])
    find = storage.prediction_samples.unjudged
    assert {each.prediction_id for each in find("support", NOW, 0.7, 9)} == {"p0", "p1", "p2"}
    assert len(some := find("support", NOW, 0.7, 2)) == 2
    assert find("support", NOW, 0.7, 2) == some


def test_a_smaller_sample_of_unjudged_answers_is_the_beginning_of_a_larger_one(
    storage: Storage,
) -> None:
    """Whether the indexed rows are enough or not, the answers with the smallest keys come."""
    storage.predictions.add([prediction(f"p{number}") for number in range(300)])
    find = storage.prediction_samples.unjudged
    everything = find("support", NOW, 0.0, 500)
    assert len({each.prediction_id for each in everything}) == 300
    for limit in (1, 2, 100):
        assert find("support", NOW, 0.0, limit) == everything[:limit]


def test_answers_of_a_version_that_was_rolled_back_teach_nothing(storage: Storage) -> None:
    """A version that leaves the traffic takes its answers along."""
    for version in (1, 2):
        validated(storage)
        storage.predictions.add([prediction(f"p{version}", model_version=version)])
    storage.models.promote("support", 1, change())
    storage.models.set_traffic("support", Traffic(shadows=(2,)), change())
    find = storage.prediction_samples.unjudged
    assert {each.prediction_id for each in find("support", NOW, 0.7, 9)} == {"p1", "p2"}
    storage.models.set_traffic("support", Traffic(), change())
    assert {each.prediction_id for each in find("support", NOW, 0.7, 9)} == {"p1"}
