"""The job `queue_labels`, on a real database with real predictions."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from tests.contract.storage.values import judgement, prediction, verdict
from tests.integration.jobs.conftest import NOW
from tidemill_core.domain.feedback import FeedbackHold, HoldReason
from tidemill_core.domain.labeling import LabelItem, LabelReason
from tidemill_core.domain.prediction import Score
from tidemill_core.domain.report import Report, ReportVerdict
from tidemill_core.settings import LabelingSettings
from tidemill_core.storage.database import Page
from tidemill_core.storage.jobs import RunRequest
from tidemill_jobs.context import JobContext, RunCanceled
from tidemill_jobs.feedback.label_requests import SETTLING, allowance, run

YESTERDAY = NOW - timedelta(days=1)
Labeling = Callable[..., JobContext]


@pytest.fixture
def labeling(context: JobContext) -> Labeling:
    """Return a run with these settings of `[labeling]`; by default it queues nothing."""

    def make(**changes: object) -> JobContext:
        nothing = {"audit_share": 0.0, "uncertain_per_run": 0, "budget": 1e6}
        section = LabelingSettings(**(nothing | changes))
        return replace(context, settings=context.settings.model_copy(update={"labeling": section}))

    return make


def _predict(context: JobContext, names: Sequence[str], time: datetime, **changes: object) -> None:
    context.storage.predictions.add(
        [prediction(name, f"text of {name}", predict_time=time, **changes) for name in names]
    )


def _queued(context: JobContext) -> list[LabelItem]:
    """Return the waiting items, oldest first."""
    return context.storage.label_items.page("", (), None, Page(1000), NOW)[0][::-1]


def _texts(context: JobContext) -> list[str]:
    return [item.text.removeprefix("text of ") for item in _queued(context)]


def _succeed(context: JobContext, time: datetime) -> None:
    """Run the job as the runner does, at a time."""
    jobs = context.storage.jobs
    queued = jobs.enqueue(RunRequest("queue_labels", context.task, "test"), time)
    jobs.claim(time)
    jobs.succeed(queued.run_id, run(replace(context, clock=lambda: time)), time)


def test_audits_are_a_share_whatever_the_model_says(labeling: Labeling) -> None:
    """About a tenth of the predictions is chosen, confident and doubtful ones alike."""
    context = labeling(audit_share=0.1, judgements=2)
    sure, doubtful = ([f"{kind}{n}" for n in range(1500)] for kind in ("sure", "doubtful"))
    _predict(context, sure, YESTERDAY, confidence=0.99)
    _predict(context, doubtful, YESTERDAY, confidence=0.2, label="b")
    result = run(context)
    found = _queued(context)
    assert result["audits"] == len(found)
    for kind in ("sure", "doubtful"):
        # Five standard deviations of a binomial of 1,500 and 0.1 are 58.
        assert abs(sum(kind in item.text for item in found) - 150) < 58
    assert {(item.reason, item.inclusion_probability, item.suggested_labels) for item in found} == {
        (LabelReason.AUDIT, 0.1, ())
    }
    assert {item.judgements_wanted for item in found} == {2}
    assert run(context)["audits"] == 0


def test_an_audit_says_how_many_predictions_it_stands_for(labeling: Labeling) -> None:
    """An audit has its probability among all predictions, and the number with the same text."""
    context = labeling(audit_share=0.5)
    task = context.task_settings.model_copy(update={"log_sample": 0.1})
    settings = context.settings.model_copy(update={"tasks": {"support": task}})
    context = replace(context, settings=settings)
    same = [prediction(f"p{n}", "a text", predict_time=YESTERDAY) for n in range(400)]
    context.storage.predictions.add(same)
    assert run(context)["audits"] == 1
    [item] = _queued(context)
    assert item.inclusion_probability == 0.05
    # Five standard deviations of a binomial of 400 and 0.5 are 50.
    assert abs(item.origin_count - 200) < 50


def test_audits_cannot_be_foreseen_without_the_key(labeling: Labeling, context: JobContext) -> None:
    """Another installation chooses other predictions."""
    names = [f"p{n}" for n in range(200)]
    _predict(context, names, YESTERDAY)
    first = labeling(audit_share=0.5)
    run(first)
    chosen = set(_texts(context))
    context.storage.label_items.expire_texts("support", NOW, 1000)
    (context.settings.state_dir / "text_hash_key").unlink()
    run(first)
    again = {item.text.removeprefix("text of ") for item in _queued(context) if item.text}
    assert 0 < len(again - chosen) < 100


def test_all_predictions_with_a_text_can_be_audited(labeling: Labeling) -> None:
    """A share of 1 takes all answers to callers, without shadows and texts that are not stored."""
    context = labeling(audit_share=1.0)
    _predict(context, ["a", "b"], YESTERDAY)
    context.storage.predictions.add(
        [
            prediction("hashed", "", predict_time=YESTERDAY, text_hash="0" * 64),
            prediction("shadow", "text", predict_time=YESTERDAY, method="Shadow"),
            prediction("other", "text", predict_time=YESTERDAY, task="arxiv"),
        ]
    )
    assert run(context)["audits"] == 2
    assert _texts(context) == ["a", "b"]


def test_the_least_confident_are_asked_about(labeling: Labeling) -> None:
    """The number of items is the setting's, each with its predicted label, and each text once."""
    context = labeling(uncertain_per_run=3)
    for confidence in (0.9, 0.3, 0.1, 0.2):
        name = f"p{confidence}"
        _predict(context, [name], YESTERDAY, confidence=confidence, label=f"label {confidence}")
    same = prediction("same", "TEXT of p0.1", predict_time=YESTERDAY, confidence=0.15)
    context.storage.predictions.add([same])
    assert run(context)["uncertain"] == 2
    assert _texts(context) == ["p0.1", "p0.2"]
    assert [item.suggested_labels for item in _queued(context)] == [("label 0.1",), ("label 0.2",)]


def test_each_prediction_is_looked_at_once(labeling: Labeling) -> None:
    """A run starts where the last successful one ended; young predictions wait for the next."""
    context = labeling(uncertain_per_run=10)
    _predict(context, ["old"], YESTERDAY, confidence=0.5)
    _succeed(context, YESTERDAY + timedelta(hours=1))
    edge = NOW - SETTLING
    _predict(context, ["new"], edge - timedelta(seconds=1))
    _predict(context, ["young"], edge)
    _succeed(context, NOW)
    assert _texts(context) == ["old", "new"]
    _succeed(context, NOW + timedelta(days=1))
    assert _texts(context) == ["old", "new", "young"]


def test_what_was_labelled_is_not_asked_again_by_a_repeated_run(labeling: Labeling) -> None:
    """After a failed run the next one repeats its span without duplicate requests."""
    context = labeling(uncertain_per_run=10, audit_share=1.0)
    _predict(context, ["a"], YESTERDAY)
    run(context)
    for item in _queued(context):
        context.storage.label_items.submit("support", judgement(item.label_item_id), {})
    assert run(context).items() >= {"audits": 0, "uncertain": 0}.items()


@pytest.mark.parametrize(
    ("verdicts", "suggested"),
    [
        ([{"label": "a"}, {"label": "b"}], ("a", "b")),
        ([{"label": "a"}, {"correct": True}], ("a", "card_arrival")),
        ([{"correct": True}, {"correct": False}], ("card_arrival",)),
        ([{"label": "card_arrival"}, {"correct": False}], ("card_arrival",)),
        ([{"label": "a"}, {"correct": False}], None),
        ([{"label": "card_arrival"}, {"correct": True}], None),
        ([{"correct": False}, {"correct": False}], None),
        ([{"label": "a"}], None),
    ],
)
def test_contradicting_verdicts_are_asked_about(
    labeling: Labeling, verdicts: list[dict[str, object]], suggested: tuple[str, ...] | None
) -> None:
    """Sources disagree if they name different labels, or if one denies what another says."""
    context = labeling()
    _predict(context, ["p1"], YESTERDAY)
    for source, words in enumerate(verdicts):
        given = {"label": None, "source": f"source {source}", "create_time": NOW, **words}
        context.storage.feedback.add([verdict("p1", **given)])
    run(context)
    found = [(item.reason, item.suggested_labels) for item in _queued(context)]
    assert found == ([] if suggested is None else [(LabelReason.DISAGREEMENT, suggested)])


def test_a_source_that_changed_its_mind_does_not_contradict_itself(labeling: Labeling) -> None:
    """Only its latest verdict counts; one on a prediction that is not stored queues nothing."""
    context = labeling()
    _predict(context, ["p1"], YESTERDAY)
    context.storage.feedback.add([verdict("p1", label="a"), verdict("p1", label="b")])
    context.storage.feedback.add([verdict("p2", label="a"), verdict("p2", source="ben", label="b")])
    assert run(context)["disagreements"] == 0


def test_a_cancelled_run_can_be_repeated(labeling: Labeling) -> None:
    """The items that it queued stay; the next run adds the rest."""
    context = labeling(audit_share=1.0)
    _predict(context, [f"p{n}" for n in range(501)], YESTERDAY)
    told: list[str] = []

    def cancel(_done: float, doing: str) -> None:
        told.append(doing)
        if len(told) == 2:
            raise RunCanceled

    with pytest.raises(RunCanceled):
        run(replace(context, progress=cancel))
    assert told[1] == "looked at 500 predictions"
    assert run(context)["audits"] == 1


@pytest.mark.parametrize(("budget", "share"), [(40.0, 0.02), (4000.0, 0.1)])
def test_the_audit_is_right_within_the_budget(
    labeling: Labeling, budget: float, share: float
) -> None:
    """If audits would take more than half of it, fewer are drawn, and they say how likely."""
    context = labeling(audit_share=0.1, budget=budget)
    _predict(context, [f"p{n}" for n in range(1000)], YESTERDAY)
    result = run(context)
    assert result["audit_share"] == share
    found = _queued(context)
    assert {item.inclusion_probability for item in found} == {share}
    # Five standard deviations of a binomial of 1,000 and the share.
    assert abs(len(found) - 1000 * share) < 5 * (1000 * share * (1 - share)) ** 0.5


def test_the_budget_is_spent_on_each_choice_in_turn(labeling: Labeling) -> None:
    """Contradictions, held feedback, disputed answers, new topics and uncertain ones share it."""
    context = labeling(uncertain_per_run=50, budget=6)
    storage = context.storage
    _predict(context, [f"doubtful {n}" for n in range(9)], YESTERDAY, confidence=0.3)
    _predict(context, ["said", "pushed", "disputed", "topic"], YESTERDAY, confidence=0.9)
    shadow = prediction(
        "copy", "text of disputed", method="Shadow", label="b", predict_time=YESTERDAY
    )
    storage.predictions.add([shadow])
    storage.feedback.add([verdict("said", label=label, source=label) for label in ("a", "b")])
    [bad] = storage.feedback.add([verdict("pushed", source="mallory", label="c")])
    hold = FeedbackHold(bad.feedback_id, "support", "mallory", "c", HoldReason.BURST, "why", NOW)
    storage.feedback_holds.add([hold])
    topics = {"new_topics": [{"terms": ["x"], "example_prediction_ids": ["topic", "gone"]}]}
    report = Report("r", "support", "drift", 1, ReportVerdict.ALERT, "new", topics, "run", NOW)
    storage.reports.add(report)
    result = run(context)
    names = ("disagreements", "held", "disputed", "new_topics", "uncertain")
    assert [result[name] for name in names] == [1, 1, 1, 1, 2]
    found = {item.text.removeprefix("text of "): item for item in _queued(context)}
    assert found["pushed"].reason is LabelReason.SUSPECTED_ERROR
    assert found["pushed"].suggested_labels == ("card_arrival", "c")
    assert found["disputed"].suggested_labels == ("card_arrival", "b")
    assert found["topic"].reason is LabelReason.NEW_TOPIC
    assert len(found) == 6


def test_the_smallest_margin_is_the_most_uncertain(labeling: Labeling) -> None:
    """Two labels that are almost equally likely come before one that is a little likelier."""
    context = labeling(uncertain_per_run=1)
    close = (Score("a", 0.49), Score("b", 0.48))
    clear = (Score("a", 0.45), Score("b", 0.05))
    _predict(context, ["clear"], YESTERDAY, confidence=0.45, scores=clear)
    _predict(context, ["close"], YESTERDAY, confidence=0.49, scores=close)
    run(context)
    assert _texts(context) == ["close"]


def test_a_run_before_the_first_predictions_spends_no_budget(labeling: Labeling) -> None:
    """The first run with predictions has a day's budget, also a minute after an empty run."""
    context = labeling(uncertain_per_run=50, budget=6)
    _succeed(context, NOW - timedelta(minutes=2))
    _predict(context, ["a", "b"], NOW - timedelta(seconds=90))
    assert run(context)["uncertain"] == 2


def test_the_first_span_has_no_beginning(labeling: Labeling) -> None:
    """The result shows no time before the first predictions, and the next span follows the last."""
    context = labeling(uncertain_per_run=50)
    assert not {"since", "until"} & set(run(context))
    _predict(context, ["a"], YESTERDAY)
    until = (NOW - SETTLING).isoformat()
    first = run(context)
    assert (first.get("since"), first["until"]) == (None, until)
    _succeed(context, NOW)
    assert run(context)["since"] == until


def test_a_budget_adds_up_over_days() -> None:
    """Fractions are not lost, a missed night is made up for, and the first run has one day."""
    days = [NOW + timedelta(days=n) for n in range(11)]
    spans = pairwise(days)
    assert sum(allowance(1.2, since, until) for since, until in spans) in (11, 12, 13)
    assert allowance(50, NOW, NOW + timedelta(days=3)) == 150
    assert allowance(50, datetime(2000, 1, 1, tzinfo=UTC), NOW) == 50
