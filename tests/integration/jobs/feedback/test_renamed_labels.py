"""What the jobs of the feedback stage make of labels that were renamed or merged."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from tests.contract.storage.values import prediction, verdict
from tests.integration.jobs.data.building import build
from tidemill_core.domain.labeling import LabelReason
from tidemill_core.settings import LabelNames
from tidemill_core.storage.database import Page
from tidemill_core.storage.jobs import RunRequest
from tidemill_jobs.context import JobContext
from tidemill_jobs.feedback import check, label_errors, label_requests

WORDS = {
    "a": ("refund", "money", "paid", "card"),
    "b": ("parcel", "lost", "late", "courier"),
    "c": ("login", "password", "reset", "account"),
}


@pytest.fixture
def renamed(context: JobContext) -> JobContext:
    """A run for the task once `b` is merged into `a`."""
    labels = LabelNames(rename={"b": "a"})
    task = context.task_settings.model_copy(update={"labels": labels})
    settings = context.settings.model_copy(update={"tasks": {context.task: task}})
    return replace(context, settings=settings)


def test_what_was_learned_by_an_old_name_is_not_new(
    context: JobContext, renamed: JobContext, source: Path
) -> None:
    """Neither a rename nor a verdict that repeats a label by another name starts a retraining."""
    source.write_text("text,label\nthe first,a\nthe second,b\nthe third,c\n")
    version = build(context).dataset_version
    now = context.clock()
    context.storage.jobs.enqueue(RunRequest("retrain", "support", "test"), now)
    claimed = context.storage.jobs.claim(now)
    assert claimed is not None
    context.storage.jobs.succeed(claimed.run_id, {"dataset_version": version}, now)
    given = {"the first": "b", "the second": "a", "the third": "b"}
    for number, (text, label) in enumerate(given.items()):
        context.storage.predictions.add([prediction(f"p{number}", text)])
        later = now + timedelta(seconds=1)
        context.storage.feedback.add([verdict(f"p{number}", label=label, create_time=later)])
    assert check.run(context)["new_examples"] == 3
    assert check.run(renamed)["new_examples"] == 1


def test_verdicts_that_name_merged_labels_agree(context: JobContext, renamed: JobContext) -> None:
    """People are asked about what still contradicts, by the labels' current names."""
    day_ago = context.clock() - timedelta(days=1)
    context.storage.predictions.add(
        [prediction(f"p{n}", f"text {n}", label="b", predict_time=day_ago) for n in range(4)]
    )
    context.storage.feedback.add(
        [
            *(verdict("p0", label=label, source=label) for label in "ab"),
            verdict("p1", label="a"),
            verdict("p1", label=None, correct=True, source="ben"),
            *(verdict("p2", label=label, source=label) for label in "bc"),
            verdict("p3", label="a"),
            verdict("p3", label=None, correct=False, source="ben"),
        ]
    )
    assert label_requests.run(renamed)["disagreements"] == 2
    items, _ = context.storage.label_items.page("", (), LabelReason.DISAGREEMENT, Page(), day_ago)
    assert {item.text: item.suggested_labels for item in items} == {
        "text 2": ("a", "c"),
        "text 3": ("a",),
    }


def test_labels_that_were_merged_are_not_suspected(
    context: JobContext, renamed: JobContext, source: Path
) -> None:
    """A version from before the rename is looked at by the labels' current names."""
    random = Random(1)

    def text(label: str, number: int) -> str:
        return " ".join([*random.sample(WORDS[label], 2), str(number)])

    rows = [f"{text('abc'[n % 3], n)},{'abc'[n % 3]}" for n in range(300)]
    wrong = [f"{text('a', n)},b" for n in range(300, 308)]
    source.write_text("\n".join(["text,label", *rows, *wrong]))
    exact = {"near_duplicate_similarity": 1.0}
    tasks = {context.task: context.task_settings.model_copy(update=exact)}
    build(replace(context, settings=context.settings.model_copy(update={"tasks": tasks})))

    def between_a_and_b(suspects: JobContext) -> bool:
        worst = label_errors.run(suspects)["worst"]
        return any({one["label"], one["suggested_label"]} == {"a", "b"} for one in worst)

    assert between_a_and_b(context)
    assert not between_a_and_b(renamed)
    assert all("b" not in one.values() for one in label_errors.run(renamed)["worst"])
