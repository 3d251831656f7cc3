"""The job `check_feedback`, on a real database."""

import shutil
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.contract.storage.values import judgement, prediction, preference, verdict
from tests.integration.jobs.data.building import build
from tidemill_core.domain.feedback import Feedback
from tidemill_core.domain.job import JobRun, JobRunState
from tidemill_core.domain.labeling import LabelReason, LabelRequest
from tidemill_core.domain.pause import ReleasePause
from tidemill_core.domain.split import Split, content_hash, split_of
from tidemill_core.settings import FeedbackSettings, TaskSettings
from tidemill_core.storage.database import Page
from tidemill_core.storage.jobs import RunRequest
from tidemill_jobs.context import JobContext
from tidemill_jobs.feedback.check import run

RETRAIN_AFTER = 3
Give = Callable[[int, datetime], None]


@pytest.fixture
def checking(context: JobContext) -> JobContext:
    """A run that needs three new labeled examples."""
    enough = FeedbackSettings(retrain_after=RETRAIN_AFTER)
    return replace(context, settings=context.settings.model_copy(update={"feedback": enough}))


@pytest.fixture
def give(context: JobContext) -> Give:
    """Store a number of confirmations at a time, each on its own prediction."""
    stored = 0

    def store(number: int, time: datetime) -> None:
        nonlocal stored
        for _ in range(number):
            stored += 1
            yes = Feedback(
                feedback_id=f"f{stored}",
                prediction_id=f"p{stored}",
                task="support",
                model_version=1,
                correct=True,
                label=None,
                source="user",
                comment="",
                request_id="",
                create_time=time,
            )
            context.storage.feedback.add([yes])
            text = f"where is card number {stored}?"
            context.storage.predictions.add([prediction(yes.prediction_id, text)])

    return store


def _say(context: JobContext, *said: tuple[str, str]) -> None:
    """Store predictions of texts, and the label that a user gave each."""
    for text, label in said:
        one = prediction(uuid.uuid4().hex, text)
        context.storage.predictions.add([one])
        context.storage.feedback.add(
            [verdict(one.prediction_id, label=label, create_time=context.clock())]
        )


def _retrain(context: JobContext, start: datetime) -> JobRun:
    """Return a retraining that is running."""
    context.storage.jobs.enqueue(RunRequest("retrain", "support", "test"), start)
    claimed = context.storage.jobs.claim(start)
    assert claimed is not None
    return claimed


def test_too_few_examples_start_nothing(checking: JobContext, give: Give) -> None:
    """One below the threshold is only counted."""
    give(RETRAIN_AFTER - 1, checking.clock())
    result = dict(run(checking))
    assert str(result.pop("reviewed")).endswith(", label none, release none")
    assert result == {
        "new_examples": RETRAIN_AFTER - 1,
        "retrain_after": RETRAIN_AFTER,
        "held_verdicts": 0,
        "decision": "TOO_FEW",
        "reason": "",
        "retrain_run_id": "",
    }


def test_enough_examples_start_a_retraining(checking: JobContext, give: Give) -> None:
    """At the threshold a retraining is queued, with its trigger."""
    give(RETRAIN_AFTER, checking.clock())
    result = run(checking)
    assert result["decision"] == "STARTED"
    queued = checking.storage.jobs.get(result["retrain_run_id"])
    assert (queued.job, queued.task, queued.trigger, queued.state, queued.reason) == (
        "retrain",
        "support",
        "check_feedback",
        JobRunState.QUEUED,
        "3 new trusted examples (feedback.retrain_after is 3)",
    )


def test_a_retraining_that_waits_is_enough(checking: JobContext, give: Give) -> None:
    """A second check does not queue a second retraining."""
    give(RETRAIN_AFTER, checking.clock())
    started = run(checking)
    again = run(checking)
    assert again["decision"] == "UNDER_WAY"
    assert again["retrain_run_id"] == started["retrain_run_id"]


def test_a_retraining_that_runs_is_enough(checking: JobContext, give: Give) -> None:
    """Nothing is queued behind a running retraining."""
    give(RETRAIN_AFTER, checking.clock())
    running = _retrain(checking, checking.clock())
    result = run(checking)
    assert (result["decision"], result["retrain_run_id"]) == ("UNDER_WAY", running.run_id)


def test_what_a_version_learnt_from_is_not_new(checking: JobContext, give: Give) -> None:
    """Only feedback since the last successful retraining began is counted."""
    start = checking.clock() - timedelta(hours=5)
    give(RETRAIN_AFTER, start - timedelta(seconds=1))
    learnt = _retrain(checking, start)
    checking.storage.jobs.succeed(learnt.run_id, {}, start + timedelta(hours=1))
    give(2, start + timedelta(minutes=30))
    assert run(checking)["new_examples"] == 2
    give(1, start + timedelta(hours=2))
    assert run(checking)["decision"] == "STARTED"


@pytest.mark.parametrize(
    ("minutes_ago", "decision"), [(0, "RESTING"), (59, "RESTING"), (60, "STARTED")]
)
def test_a_failed_retraining_is_not_repeated_at_once(
    checking: JobContext, give: Give, minutes_ago: int, decision: str
) -> None:
    """After a failure the next retraining waits for an hour; what it counts stays."""
    end = checking.clock() - timedelta(minutes=minutes_ago)
    failed = _retrain(checking, end - timedelta(minutes=1))
    checking.storage.jobs.fail(failed.run_id, "OUT_OF_MEMORY: too big", end)
    give(RETRAIN_AFTER, end - timedelta(minutes=2))
    result = run(checking)
    assert (result["decision"], result["new_examples"]) == (decision, RETRAIN_AFTER)


def test_a_cancelled_retraining_is_not_started_again_at_once(
    checking: JobContext, give: Give
) -> None:
    """After a cancellation the next retraining waits, so no one has to cancel it every minute."""
    give(RETRAIN_AFTER, checking.clock())
    started = run(checking)
    end = checking.clock()
    checking.storage.jobs.cancel(started["retrain_run_id"], end)
    result = run(checking)
    assert (result["decision"], result["retrain_run_id"]) == ("RESTING", started["retrain_run_id"])
    until = f"{end + timedelta(hours=1):%H:%M}"
    told = f"; it rests until {until} UTC, because the last retraining was canceled"
    assert result["reason"] == started["reason"] + told


def test_a_failure_that_was_made_good_is_forgotten(checking: JobContext, give: Give) -> None:
    """After a failure and a success the next retraining starts at once."""
    now = checking.clock()
    failed = _retrain(checking, now - timedelta(minutes=40))
    checking.storage.jobs.fail(failed.run_id, "X: y", now - timedelta(minutes=30))
    learnt = _retrain(checking, now - timedelta(minutes=20))
    checking.storage.jobs.succeed(learnt.run_id, {}, now - timedelta(minutes=10))
    give(RETRAIN_AFTER, now)
    assert run(checking)["decision"] == "STARTED"


def test_a_text_counts_once_however_often_it_was_judged(checking: JobContext) -> None:
    """Twenty-five verdicts on one text, in any spelling that is the same to a build, count once."""
    spellings = ("where is my card?", "Where is my  CARD? ", "where is my card?\n")
    _say(checking, *((spellings[number % 3], f"label {number % 2}") for number in range(25)))
    _say(checking, ("another text", "a"))
    result = run(checking)
    assert (result["new_examples"], result["decision"]) == (2, "TOO_FEW")


def test_a_text_that_a_build_would_quarantine_does_not_count(checking: JobContext) -> None:
    """A text that is blank or too long for the task does not count."""
    longest = checking.task_settings.max_text_length
    _say(checking, ("x" * (longest + 1), "a"), (" \t ", "a"), ("x" * longest, "a"))
    assert run(checking)["new_examples"] == 1


def test_a_held_out_text_does_not_count(checking: JobContext) -> None:
    """Feedback trains and never judges, so it teaches nothing about a text that is held out."""
    texts = [f"text {number}" for number in range(200)]
    train = [text for text in texts if split_of(content_hash(text)) is Split.TRAIN]
    assert len(train) < len(texts)
    _say(checking, *((text, "a") for text in texts))
    assert run(checking)["new_examples"] == len(train)


def test_what_the_last_retraining_learned_is_not_new(checking: JobContext, source: Path) -> None:
    """A text of its dataset counts only with another label; without the dataset, any counts."""
    source.write_text("text,label\nwhere is my card?,a\nhow do I pay?,b\n")
    dataset = build(checking)
    start = checking.clock() - timedelta(hours=5)
    learned = _retrain(checking, start)
    result = {"dataset_version": dataset.dataset_version}
    checking.storage.jobs.succeed(learned.run_id, result, start + timedelta(hours=1))
    _say(checking, ("WHERE is my card?", "a"), ("how do I pay?", " b "))
    assert run(checking)["new_examples"] == 0
    _say(checking, ("how do I pay?", "a"), ("a new one", "a"))
    assert run(checking)["new_examples"] == 2
    shutil.rmtree(dataset.uri)
    assert run(checking)["new_examples"] == 3


def test_a_paused_task_is_not_retrained(checking: JobContext, give: Give) -> None:
    """Enough examples start nothing while releases are paused."""
    give(RETRAIN_AFTER, checking.clock())
    pause = ReleasePause("support", "ann", "", checking.clock())
    checking.storage.pauses.pause(pause)
    assert run(checking)["decision"] == "PAUSED"
    checking.storage.pauses.resume("support")
    assert run(checking)["decision"] == "STARTED"


def test_texts_that_people_labeled_are_examples_too(checking: JobContext) -> None:
    """A text that feedback and people labeled counts once; their labels add to the others."""
    texts = [text for n in range(20) if split_of(content_hash(text := f"t{n}")) is Split.TRAIN]
    asked = [
        LabelRequest("support", text, LabelReason.AUDIT, checking.clock()) for text in texts[:3]
    ]
    checking.storage.label_items.add(asked, 1, checking.clock())
    items, _ = checking.storage.label_items.page("support", (), None, Page(), checking.clock())
    for item in items:
        said = judgement(item.label_item_id, label="a", create_time=checking.clock())
        checking.storage.label_items.submit("support", said, {})
    _say(checking, (texts[0], "a"))
    result = run(checking)
    assert (result["new_examples"], result["decision"]) == (3, "STARTED")


def test_new_preference_pairs_start_a_retraining(checking: JobContext) -> None:
    """A task of the kind preference counts pairs, each once, since its last retraining."""
    task = TaskSettings(kind="preference")
    settings = checking.settings.model_copy(update={"tasks": {"support": task}})
    context = replace(checking, settings=settings)
    now = checking.clock()
    for number in range(RETRAIN_AFTER - 1):
        for annotator in ("ann", "ben"):
            pair = preference(prompt=f"q{number}", annotator=annotator, create_time=now)
            context.storage.preferences.add(pair)
    assert run(context)["new_examples"] == RETRAIN_AFTER - 1
    context.storage.preferences.add(preference(prompt="another", create_time=now))
    assert run(context)["decision"] == "STARTED"
