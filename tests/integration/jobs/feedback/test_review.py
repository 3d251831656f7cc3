"""The review of feedback, on a real database."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tests.contract.storage.values import judgement, prediction, verdict
from tests.integration.jobs.conftest import NOW
from tests.integration.jobs.data.building import build
from tidemill_core.domain.feedback import Feedback, FeedbackHold, HoldReason, HoldState
from tidemill_core.domain.labeling import LabelReason, LabelRequest
from tidemill_core.domain.report import Report, ReportVerdict
from tidemill_core.settings import FeedbackSettings
from tidemill_core.storage.database import Page
from tidemill_core.storage.feedback_holds import HoldFilter
from tidemill_jobs.context import JobContext
from tidemill_jobs.feedback.check import run
from tidemill_jobs.feedback.review import PEOPLE, QUORUM, review_feedback

YESTERDAY = NOW - timedelta(days=1)
LABELS = [f"label {n}" for n in range(10)]


def _say(context: JobContext, names: Iterable[str], confidence: float, **said: object) -> None:
    """Store predictions of label 0, and a verdict on each."""
    names = list(names)
    made = [
        prediction(name, f"text of {name}", label="label 0", confidence=confidence)
        for name in names
    ]
    context.storage.predictions.add(made)
    context.storage.feedback.add(
        [verdict(name, **({"create_time": YESTERDAY} | said)) for name in names]
    )


def _crowd(context: JobContext) -> None:
    """Ten users correct doubtful predictions to every label."""
    for user in range(10):
        for label in LABELS[1:]:
            _say(context, [f"{user} {label}"], 0.4, source=f"user {user}", label=label)


def _attack(context: JobContext, each: int = 20) -> None:
    """Three sources correct confident predictions to label 1."""
    for number in range(3):
        names = [f"bad {number} {n}" for n in range(each)]
        _say(context, names, 0.95, source=f"bad {number}", label="label 1")


def _held(context: JobContext) -> list[FeedbackHold]:
    return [e for e in context.storage.feedback_holds.all_of("support") if e.state == "HELD"]


def _reports(context: JobContext) -> list[Report]:
    return context.storage.reports.page("support", "feedback", Page())[0]


def _label(context: JobContext, name: str, label: str) -> None:
    """Let a person label the text of a prediction."""
    items = context.storage.label_items
    text = f"text of {name}"
    asked = LabelRequest("support", text, LabelReason.AUDIT, YESTERDAY, origin=name)
    items.add([asked], 1, YESTERDAY)
    waiting, _ = items.page("support", (), None, Page(1), YESTERDAY)
    items.submit("support", judgement(waiting[0].label_item_id, label=label), {})


def test_an_attack_is_held_and_named(context: JobContext) -> None:
    """What three sources push does not train; the report and an alert say who, what and why."""
    _crowd(context)
    _attack(context)
    assert run(context)["held_verdicts"] == 60
    assert {(each.source[:3], each.label, each.reason) for each in _held(context)} == {
        ("bad", "label 1", HoldReason.BURST)
    }
    assert len(context.storage.feedback.latest_verdicts("support")) == 90
    [report] = _reports(context)
    assert report.verdict is ReportVerdict.ALERT
    [attack] = report.details["attacks"]
    assert (attack["label"], attack["count"]) == ("label 1", 60)
    assert attack["sources"] == ["bad 0", "bad 1", "bad 2"]
    assert "3 sources: 60 of 60 corrections (100%) give the label 'label 1'" in attack["why"]
    [alert] = context.storage.alerts.page("support", False, True, Page())[0]
    assert (alert.kind, alert.message) == ("feedback", report.summary)


def test_an_attack_is_not_reported_every_minute(context: JobContext) -> None:
    """A repeated review holds nothing twice; what is new is reported after an hour."""
    _crowd(context)
    _attack(context)
    review_feedback(context)
    assert review_feedback(context) == 60
    more = replace(context, clock=lambda: NOW + timedelta(minutes=30))
    _say(context, ["one more"], 0.95, source="bad 1", label="label 1")
    assert review_feedback(more) == 61
    assert len(_reports(context)) == 1
    review_feedback(replace(context, clock=lambda: NOW + timedelta(hours=2)))
    assert [each.details["held_count"] for each in _reports(context)] == [61, 60]


def test_a_person_has_the_last_word(context: JobContext) -> None:
    """What was released counts, is never held again, and clears its sources for that label."""
    _crowd(context)
    _attack(context)
    review_feedback(context)
    which = HoldFilter("support", source="bad 1")
    context.storage.feedback_holds.resolve(which, HoldState.RELEASED, "ann", "a new team", NOW)
    _say(context, ["another"], 0.95, source="bad 1", label="label 1")
    assert review_feedback(context) == 40
    which = HoldFilter("support")
    context.storage.feedback_holds.resolve(which, HoldState.DROPPED, "ann", "spam", NOW)
    assert run(context)["held_verdicts"] == 0
    assert _reports(context)[0].verdict is ReportVerdict.OK
    assert context.storage.alerts.page("support", False, True, Page())[0] == []


def test_a_build_does_not_learn_what_is_held(context: JobContext, source: Path) -> None:
    """A build reviews the feedback itself: no check has to run before it."""
    source.write_text("text,label\n" + "".join(f"example {n},label {n % 2}\n" for n in range(9)))
    _crowd(context)
    _attack(context)
    version = build(context)
    assert version.label_source_counts["feedback"] <= 90
    assert len(_held(context)) == 60


def test_a_source_that_people_contradict_is_held(context: JobContext) -> None:
    """Five of its verdicts were checked and wrong: the unchecked ones are held, and it is named."""
    _say(context, [f"p{n}" for n in range(8)], 0.5, source="ann", label="label 2")
    for number in range(5):
        _label(context, f"p{number}", "label 3")
    review_feedback(context)
    assert {(each.reason, each.source) for each in _held(context)} == {
        (HoldReason.REPUTATION, "ann")
    }
    assert len(_held(context)) == 3
    dropped = [e for e in context.storage.feedback_holds.all_of("support") if e.actor == PEOPLE]
    assert [each.state for each in dropped] == [HoldState.DROPPED] * 5
    [source] = _reports(context)[0].details["sources"]
    assert (source["source"], source["wrong_count"], source["agreement"]) == ("ann", 5, 0.4)


def test_contradictions_wait_for_people_or_a_quorum(context: JobContext) -> None:
    """Two sources that contradict each other both wait; people, or more sources, settle it."""
    for name in ("p1", "p2"):
        _say(context, [name], 0.5, source="ann", label="label 2")
        _say(context, [name], 0.5, source="ben", label="label 3")
    review_feedback(context)
    assert len(_held(context)) == 4
    assert _reports(context) == []
    _label(context, "p1", "label 3")
    for source in ("cal", "dan"):
        _say(context, ["p2"], 0.5, source=source, label="label 2")
    review_feedback(context)
    counted = context.storage.feedback.latest_verdicts("support")
    found = {(each.prediction_id, each.source) for each in counted}
    assert found == {("p1", "ben"), ("p2", "ann"), ("p2", "cal"), ("p2", "dan")}
    actors = {each.actor for each in context.storage.feedback_holds.all_of("support")}
    assert actors == {PEOPLE, QUORUM, ""}


def test_who_takes_a_verdict_back_contradicts_no_one(context: JobContext) -> None:
    """A source's later verdict replaces the earlier one, and the other source's counts again."""
    _say(context, ["p1"], 0.5, source="ann", label="label 2")
    _say(context, ["p1"], 0.5, source="ben", label="label 3")
    review_feedback(context)
    _say(context, ["p1"], 0.5, source="ben", label="label 2")
    review_feedback(context)
    labels = [each.label for each in context.storage.feedback.latest_verdicts("support")]
    assert labels == ["label 2", "label 2"]


def test_a_suspicious_verdict_does_not_hold_up_an_honest_one(context: JobContext) -> None:
    """An honest verdict waited only because of one that turned out to be part of an attack."""
    _say(context, ["bad 0 0"], 0.95, source="ann", label="label 5")
    _say(context, ["bad 0 0"], 0.95, source="bad 0", label="label 1")
    review_feedback(context)
    assert len(_held(context)) == 2
    _crowd(context)
    _attack(context)
    review_feedback(context)
    assert {each.source for each in _held(context)} == {"bad 0", "bad 1", "bad 2"}


def _limited(context: JobContext, **changes: object) -> JobContext:
    section = FeedbackSettings(max_source_verdicts_per_day=5, **changes)
    settings = context.settings.model_copy(update={"feedback": section})
    return replace(context, settings=settings)


def test_a_named_source_has_a_daily_limit(context: JobContext) -> None:
    """More than its limit is held; feedback without a source, or from a trusted one, is not."""
    for source in ("ann", "", "app"):
        _say(context, [f"{source} {n}" for n in range(8)], 0.5, source=source, label="label 2")
    review_feedback(_limited(context, trust={"app": 1.0}))
    assert [(each.source, each.reason) for each in _held(context)] == [
        ("ann", HoldReason.LIMIT)
    ] * 3


def test_the_only_source_has_no_limit(context: JobContext) -> None:
    """An application that sends everything is not slowed down."""
    _say(context, [f"p{n}" for n in range(50)], 0.9, source="app", label="label 2")
    assert review_feedback(_limited(context)) == 0


def test_late_and_repeated_feedback_is_reviewed_once(context: JobContext) -> None:
    """A verdict long after its prediction, or sent twice, is one verdict."""
    sent: list[Feedback] = []
    for _ in range(3):
        _say(context, ["p1"], 0.5, source="ann", label="label 2", create_time=NOW)
        sent += context.storage.feedback.latest_verdicts("support")
    assert len({each.feedback_id for each in sent}) == 1
    assert review_feedback(context) == 0
    assert review_feedback(replace(context, task="support")) == 0
