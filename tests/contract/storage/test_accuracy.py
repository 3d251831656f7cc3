"""Audited predictions, and totals of confidences and verdicts."""

from dataclasses import replace
from datetime import timedelta

from tests.contract.storage.labeling import all_items, say
from tests.contract.storage.values import NOW, label_request, later, prediction, verdict
from tidemill_core.domain.labeling import LabelItemState, LabelReason
from tidemill_core.storage.accuracy_totals import (
    MAX_SAMPLE,
    AnsweredSpan,
    JudgedTotals,
    count_answers,
    count_unstored_verdicts,
    judged_totals,
    read_sample,
)
from tidemill_core.storage.audited_predictions import count_undecided_audits, read_audits
from tidemill_core.storage.storage import Storage

HOUR = NOW.replace(minute=0, second=0, microsecond=0)
SPAN = AnsweredSpan("support", 1, HOUR, HOUR + timedelta(hours=1))
YES: dict[str, object] = {"label": None, "correct": True}
NO: dict[str, object] = {"label": None, "correct": False}


def _queue(storage: Storage, *names: str, **changes: object) -> None:
    values = {"reason": LabelReason.AUDIT, "inclusion_probability": 0.01, **changes}
    requests = [label_request(f"text of {name}", origin=name, **values) for name in names]
    storage.label_items.add(requests, 1, NOW)


def test_answers_and_verdicts_are_counted_by_label(storage: Storage) -> None:
    """Each source's latest verdict on an answer of the span counts, as a share of the sources."""
    answers: dict[str, dict[str, object]] = {
        "p1": {},
        "p2": {"confidence": 0.5},
        "p3": {"label": "lost_card", "confidence": 1.0},
        "unjudged": {"confidence": 0.25},
    }
    elsewhere: dict[str, dict[str, object]] = {
        "shadow": {"method": "Shadow"},
        "before": {"predict_time": later(-3600)},
        "after": {"predict_time": later(3600)},
        "other version": {"model_version": 2},
        "other task": {"task": "arxiv"},
    }
    for name, values in (answers | elsewhere).items():
        storage.predictions.add([prediction(name, **values)])
    storage.feedback.add(
        [
            *(verdict(name, **YES) for name in elsewhere if name != "other task"),
            verdict("other task", task="arxiv", **YES),
            verdict("p1", **YES),
            verdict("p1", source="ben", **NO),
            verdict("p2", **NO),
            verdict("p2", label="card_arrival"),
            verdict("p3", label="card_arrival", create_time=later(10_000)),
        ]
    )
    assert count_answers(storage.database, SPAN, {}) == {"card_arrival": 3, "lost_card": 1}
    assert judged_totals(storage.database, SPAN, {}) == {
        "card_arrival": JudgedTotals(2, 1.5),
        "lost_card": JudgedTotals(1, 0.0),
    }
    sample = read_sample(storage.database, SPAN, 4, {})
    found = sorted(
        (each.confidence, each.said_right) for each in sample if each.said_right is not None
    )
    assert found == [(0.5, 1.0), (0.75, 0.5), (1.0, 0.0)]
    assert len(sample) == 4


def test_a_large_span_is_sampled(storage: Storage) -> None:
    """Of many predictions a bounded random share is read."""
    storage.predictions.add([prediction(f"p{number}") for number in range(2000)])
    # A span that says it has a hundred times the bound is sampled at about 1 %.
    sample = read_sample(storage.database, SPAN, 100 * MAX_SAMPLE, {})
    assert 5 <= len(sample) <= 60


def test_a_span_without_predictions(storage: Storage) -> None:
    """Nothing stored gives no counts, no sample and no verdict."""
    assert count_answers(storage.database, SPAN, {}) == {}
    assert judged_totals(storage.database, SPAN, {}) == {}
    assert read_sample(storage.database, SPAN, 0, {}) == []
    assert count_unstored_verdicts(storage.database, "support", 1, NOW) == 0


def test_verdicts_on_predictions_that_are_not_stored(storage: Storage) -> None:
    """They are counted once for each source, by the verdict's version and time."""
    storage.predictions.add([prediction("stored")])
    storage.feedback.add(
        [
            *(verdict("gone", label=label) for label in ("a", "b")),
            verdict("gone", source="ben"),
            verdict("stored"),
            verdict("old", create_time=later(-1)),
            verdict("other", model_version=2),
        ]
    )
    assert count_unstored_verdicts(storage.database, "support", 1, NOW) == 2


def test_audited_predictions(storage: Storage) -> None:
    """Decided audits of all versions count once per prediction, with what users said."""
    storage.predictions.add(
        [
            prediction("one", "text of one", label="old"),
            prediction("two", "text of two", model_version=2, text_hash="h"),
            *(prediction(name, f"text of {name}") for name in ("open", "uncertain", "unknown")),
            prediction("shadow", "text of shadow", method="Shadow"),
            prediction("before", "text of before", predict_time=later(-1)),
        ]
    )
    _queue(storage, "one", "two", "shadow", "before", "gone")
    _queue(storage, "uncertain", reason=LabelReason.UNCERTAIN)
    _queue(storage, "unknown", inclusion_probability=None)
    for item in all_items(storage):
        say(storage, item, "lost_card", "ana", 5)
    _queue(storage, "open")
    storage.feedback.add(
        [verdict("one", **YES), verdict("one", label="lost_card", source="ben"), verdict("two")]
    )
    renames = {"old": "lost_card"}
    one, two = sorted(
        read_audits(storage.database, "support", NOW, renames), key=lambda each: each.model_version
    )
    assert (one.predicted, one.label, one.is_right, one.said_right) == (*["lost_card"] * 2, True, 1)
    assert (one.attributes, one.text_length) == ({"channel": "mail"}, len("text of one"))
    assert (one.inclusion_probability, one.predict_time) == (0.01, NOW)
    assert (two.predicted, two.is_right, two.said_right) == ("card_arrival", False, 0.0)
    assert count_undecided_audits(storage.database, SPAN) == {LabelItemState.OPEN: 1}


def test_an_audited_text_covers_all_its_predictions(storage: Storage) -> None:
    """Two drawn predictions of one text share a label item, and both count."""
    storage.predictions.add([prediction(name, "one text") for name in ("p1", "p2")])
    for name in ("p1", "p2"):
        request = label_request("one text", reason=LabelReason.AUDIT, origin=name)
        storage.label_items.add([replace(request, inclusion_probability=0.5)], 1, NOW)
    assert count_undecided_audits(storage.database, SPAN) == {LabelItemState.OPEN: 2}
    [item] = all_items(storage)
    say(storage, item, "card_arrival", "ana")
    found = read_audits(storage.database, "support", NOW, {})
    assert [each.is_right for each in found] == [True, True]


def test_labels_are_compared_by_their_current_names(storage: Storage) -> None:
    """A verdict with the new name of the predicted label says right, and counts merge."""
    labels = ["old", "new", "one", "x"]
    storage.predictions.add([prediction(f"p{n}", label=label) for n, label in enumerate(labels)])
    given = ("new", "old", "two", "old")
    storage.feedback.add([verdict(f"p{n}", label=label) for n, label in enumerate(given)])
    renames = {"old": "new", "one": "merged", "two": "merged"}
    before = judged_totals(storage.database, SPAN, {})
    assert before == dict.fromkeys(labels, JudgedTotals(1, 0.0))
    merged = {"new": JudgedTotals(2, 2.0), "merged": JudgedTotals(1, 1), "x": JudgedTotals(1, 0)}
    assert judged_totals(storage.database, SPAN, renames) == merged
    assert count_answers(storage.database, SPAN, renames) == {"new": 2, "merged": 1, "x": 1}
    sample = read_sample(storage.database, SPAN, 4, renames)
    assert sorted(each.said_right or 0.0 for each in sample) == [0.0, 1.0, 1.0, 1.0]
