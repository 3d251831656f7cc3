"""The table of held verdicts."""

from dataclasses import replace

from tests.contract.storage.values import NOW, later, prediction, verdict
from tidemill_core.domain.feedback import Feedback, FeedbackHold, HoldReason, HoldState
from tidemill_core.storage.accuracy_totals import AnsweredSpan, judged_totals
from tidemill_core.storage.database import Page
from tidemill_core.storage.feedback_holds import HoldFilter
from tidemill_core.storage.storage import Storage


def _hold(held: Feedback, reason: HoldReason = HoldReason.BURST) -> FeedbackHold:
    label = held.label or ""
    return FeedbackHold(held.feedback_id, held.task, held.source, label, reason, "why", NOW)


def test_what_is_held_does_not_count_until_it_is_released(storage: Storage) -> None:
    """A held or dropped verdict neither trains nor measures; the earlier one counts instead."""
    storage.predictions.add([prediction("p1", "t1"), prediction("p2", "t2")])
    span = AnsweredSpan("support", 1, NOW, later(1))
    kept, held = storage.feedback.add([verdict("p1", label="a"), verdict("p1", label="b")])
    [other] = storage.feedback.add([verdict("p2", label="b")])
    storage.feedback_holds.add([_hold(held), _hold(other)])
    assert storage.feedback.latest_verdicts("support") == [kept]
    assert storage.feedback.labeled_texts("support", None) == [("t1", "a")]
    assert judged_totals(storage.database, span, {})["card_arrival"].count == 1
    one = HoldFilter(feedback_ids=[held.feedback_id])
    assert storage.feedback_holds.resolve(one, HoldState.RELEASED, "ann", "fine", NOW) == 1
    rest = HoldFilter("support")
    assert storage.feedback_holds.resolve(rest, HoldState.DROPPED, "ann", "", NOW) == 1
    assert storage.feedback.latest_verdicts("support") == [held]
    assert judged_totals(storage.database, span, {})["card_arrival"].count == 1


def test_a_hold_is_written_once(storage: Storage) -> None:
    """A verdict that was released is not held again, and a decision is not taken twice."""
    [held] = storage.feedback.add([verdict()])
    storage.feedback_holds.add([_hold(held)])
    everything = HoldFilter()
    storage.feedback_holds.resolve(everything, HoldState.RELEASED, "ann", "fine", later(1))
    storage.feedback_holds.add([_hold(held, HoldReason.LIMIT)])
    assert storage.feedback_holds.resolve(everything, HoldState.DROPPED, "ben", "", NOW) == 0
    assert storage.feedback_holds.all_of("support") == [
        replace(
            _hold(held),
            state=HoldState.RELEASED,
            actor="ann",
            comment="fine",
            resolve_time=later(1),
        )
    ]


def test_holds_are_found_by_what_they_are(storage: Storage) -> None:
    """Pages and counts have the holds of a task, source, reason and state."""
    given = storage.feedback.add([verdict(f"p{n}", source=f"s{n}") for n in range(3)])
    reasons = (HoldReason.BURST, HoldReason.BURST, HoldReason.LIMIT)
    holds = [_hold(each, reason) for each, reason in zip(given, reasons, strict=True)]
    storage.feedback_holds.add(holds)
    assert storage.feedback_holds.count_held("support") == {"BURST": 2, "LIMIT": 1}
    assert storage.feedback_holds.count_held("arxiv") == {}

    def found(which: HoldFilter, state: HoldState | None = None) -> list[FeedbackHold]:
        return storage.feedback_holds.page(which, state, Page())[0]

    assert found(HoldFilter("support")) == holds[::-1]
    assert found(HoldFilter(source="s1")) == [holds[1]]
    assert found(HoldFilter(reason=HoldReason.LIMIT)) == [holds[2]]
    assert found(HoldFilter("arxiv")) == found(HoldFilter(), HoldState.DROPPED) == []
