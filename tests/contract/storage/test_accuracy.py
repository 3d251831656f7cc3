"""Audited predictions, and totals of confidences and verdicts."""

from dataclasses import replace

from tests.contract.storage.labeling import all_items, say
from tests.contract.storage.values import NOW, label_request, later, prediction, verdict
from tidemill_core.domain.labeling import LabelItemState, LabelReason
from tidemill_core.storage.accuracy_totals import (
    AnsweredSpan,
    LabelTotals,
    Totals,
    count_unstored_verdicts,
    read_totals,
)
from tidemill_core.storage.audited_predictions import count_undecided_audits, read_audits
from tidemill_core.storage.storage import Storage

SPAN = AnsweredSpan("support", 1, NOW, later(60))
YES: dict[str, object] = {"label": None, "correct": True}
NO: dict[str, object] = {"label": None, "correct": False}


def _queue(storage: Storage, *names: str, **changes: object) -> None:
    values = {"reason": LabelReason.AUDIT, "inclusion_probability": 0.01, **changes}
    requests = [label_request(f"text of {name}", origin=name, **values) for name in names]
    storage.label_items.add(requests, 1, NOW)


def test_totals_add_up_by_label(storage: Storage) -> None:
    """Each source's latest verdict on an answer of the span counts, as a share of the sources."""
    answers: dict[str, dict[str, object]] = {
        "p1": {},
        "p2": {"confidence": 0.5},
        "p3": {"label": "lost_card", "confidence": 1.0},
        "unjudged": {"confidence": 0.25},
    }
    elsewhere: dict[str, dict[str, object]] = {
        "shadow": {"method": "Shadow"},
        "before": {"predict_time": later(-1)},
        "after": {"predict_time": later(60)},
        "other version": {"model_version": 2},
        "other task": {"task": "arxiv"},
    }
    for name, values in (answers | elsewhere).items():
        storage.predictions.add([prediction(name, **values)])
    storage.feedback.add(
        [
            *(verdict(name, **YES) for name in elsewhere),
            verdict("p1", **YES),
            verdict("p1", source="ben", **NO),
            verdict("p2", **NO),
            verdict("p2", label="card_arrival"),
            verdict("p3", label="card_arrival", create_time=later(10_000)),
        ]
    )
    found = read_totals(storage.database, SPAN, {})
    assert found.answered == {
        "card_arrival": LabelTotals(3, 1.5, 0.75**2 + 0.5**2 + 0.25**2),
        "lost_card": LabelTotals(1, 1.0, 1.0),
    }
    assert found.judged == {
        "card_arrival": LabelTotals(2, 1.25, 0.75**2 + 0.5**2, 1.5, 1.25),
        "lost_card": LabelTotals(1, 1.0, 1.0),
    }
    twice = Totals.merged([found, found])
    assert twice.judged["card_arrival"] == LabelTotals(4, 2.5, 2 * (0.75**2 + 0.5**2), 3.0, 2.5)


def test_a_span_without_predictions_has_no_totals(storage: Storage) -> None:
    """Nothing stored gives empty totals, and no verdict."""
    assert read_totals(storage.database, SPAN, {}) == Totals({}, {})
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
    """A verdict with the new name of the predicted label says right, and totals merge."""
    labels = ["old", "new", "one", "x"]
    storage.predictions.add([prediction(f"p{n}", label=label) for n, label in enumerate(labels)])
    given = ("new", "old", "two", "old")
    storage.feedback.add([verdict(f"p{n}", label=label) for n, label in enumerate(given)])
    renames = {"old": "new", "one": "merged", "two": "merged"}
    before, now = (read_totals(storage.database, SPAN, names).judged for names in ({}, renames))
    assert {label: totals.said_right for label, totals in before.items()} == dict.fromkeys(
        labels, 0.0
    )
    assert {label: (t.count, t.said_right) for label, t in now.items()} == {
        "new": (2, 2.0),
        "merged": (1, 1.0),
        "x": (1, 0.0),
    }
