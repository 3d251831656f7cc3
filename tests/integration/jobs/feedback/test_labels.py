"""People's labels, as examples and in a dataset version."""

from pathlib import Path

import polars as pl
import pytest

from tests.contract.storage.values import judgement, label_request
from tests.integration.jobs.conftest import NOW
from tidemill_core.domain.example import Example, LabelSource
from tidemill_core.domain.labeling import LabelReason
from tidemill_core.storage.database import Page
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.build import run
from tidemill_jobs.feedback.labels import label_examples


def _label(context: JobContext, text: str, reason: LabelReason, *said: tuple[str, str]) -> str:
    """Queue a text, judge it, and return the item's id."""
    items = context.storage.label_items
    items.add([label_request(text, reason=reason)], len(said), NOW)
    [item], _ = items.page("support", (), None, Page(1), NOW)
    for annotator, label in said:
        items.submit("support", judgement(item.label_item_id, label, annotator=annotator), {})
    return item.label_item_id


@pytest.mark.parametrize("reason", LabelReason)
def test_what_people_decided_is_an_example(context: JobContext, reason: LabelReason) -> None:
    """The example names all annotators, and judges models only if it was chosen at random."""
    item_id = _label(context, "a text", reason, ("ben", "b"), ("ana", "a"), ("cleo", "b"))
    _label(context, "undecided", LabelReason.AUDIT, ("ana", "a"), ("ben", "b"))
    assert label_examples(context.storage, "arxiv") == ()
    assert label_examples(context.storage, "support") == (
        Example(
            "a text",
            "b",
            LabelSource.HUMAN,
            item_id,
            key=item_id,
            annotator="ana, ben, cleo",
            time=context.storage.label_items.decided("support")[0].resolve_time,
            judges=reason is LabelReason.AUDIT,
        ),
    )


def test_people_are_believed_before_the_source(context: JobContext, source: Path) -> None:
    """A dataset version has the label that people gave, and their names."""
    source.write_text("text,label\nmy card,a\nmy cash,b\nmy loan,b\n")
    _label(context, "My card", LabelReason.SUSPECTED_ERROR, ("ana", "b"))
    _label(context, "my fee", LabelReason.UNCERTAIN, ("ben", "a"))
    result = run(context)
    assert (result["rows_in"], result["label_source_counts"]) == (5, {"human": 2, "source": 2})
    [version], _ = context.storage.datasets.page("support", Page())
    assert version.source_counts["labels"] == {"kept": 2}
    rows = pl.read_parquet(f"{version.uri.removeprefix('file://')}/examples.parquet")
    people = rows.filter(pl.col("label_source") == "human").sort("annotator")
    assert people.select("text", "label", "annotator").rows() == [
        ("My card", "b", "ana"),
        ("my fee", "a", "ben"),
    ]
