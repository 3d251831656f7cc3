"""Which side of the split examples are on."""

from itertools import count

import pytest

from tidemill_core.domain.example import Example, LabelSource, QuarantinedRow
from tidemill_core.domain.split import Split, content_hash, split_of
from tidemill_jobs.data.rows import PlacedExample
from tidemill_jobs.data.split import place


def _text_on(side: Split) -> str:
    texts = (f"text {number}" for number in count())
    return next(text for text in texts if split_of(content_hash(text)) is side)


@pytest.mark.parametrize("side", list(Split))
def test_the_text_decides_the_side(side: Split) -> None:
    """A row of the source is on the side that its text's hash says."""
    text = _text_on(side)
    example = Example(text, "a", LabelSource.SOURCE, "train.csv:2")
    assert place(example) == PlacedExample(example, content_hash(text), side)


@pytest.mark.parametrize("side", [Split.TEST, Split.VALIDATION])
def test_feedback_never_judges(side: Split) -> None:
    """Feedback whose text is held out is left out, with its id."""
    outcome = place(Example(_text_on(side), "a", LabelSource.FEEDBACK, "f1"))
    assert isinstance(outcome, QuarantinedRow)
    assert (outcome.rule, outcome.origin) == ("LEFT_OUT_HELD_OUT", "f1")


def test_feedback_trains() -> None:
    """Feedback whose text is on the train side is passed on."""
    example = Example(_text_on(Split.TRAIN), "a", LabelSource.FEEDBACK, "f1")
    outcome = place(example)
    assert isinstance(outcome, PlacedExample)
    assert outcome.example is example
