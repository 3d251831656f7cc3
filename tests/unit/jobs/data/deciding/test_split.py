"""The split of rows, and rows that may not be in it."""

from itertools import count

import polars as pl
import pytest

from tidemill_core.domain.example import LabelSource
from tidemill_core.domain.split import Split, content_hash, split_of
from tidemill_jobs.data.deciding.split import held_out, place
from tidemill_jobs.data.text_hashing import text_key


def _placed(text: str, *rows: tuple[LabelSource, bool]) -> pl.DataFrame:
    """Return rows of one text by label source and whether they judge, with their split."""
    frame = pl.DataFrame(
        {
            "number": range(len(rows)),
            "text_hash": [content_hash(text)] * len(rows),
            "label_source": [str(source) for source, _ in rows],
            "judges": [judges for _, judges in rows],
        }
    )
    return place(frame.with_columns(text_key=text_key(pl.col("text_hash"))))


def _text_on(side: Split) -> str:
    texts = (f"text {number}" for number in count())
    return next(text for text in texts if split_of(content_hash(text)) is side)


def test_the_text_decides_the_side() -> None:
    """A row's split follows from its text's hash, as the domain defines it."""
    texts = [f"text {number}" for number in range(200)]
    placed = pl.concat([_placed(text, (LabelSource.SOURCE, True)) for text in texts])
    assert placed["split"].to_list() == [str(split_of(content_hash(text))) for text in texts]


@pytest.mark.parametrize("side", [Split.TEST, Split.VALIDATION])
@pytest.mark.parametrize("source", [LabelSource.FEEDBACK, LabelSource.WEAK, LabelSource.HUMAN])
def test_what_may_not_judge_is_left_out_where_it_would(side: Split, source: LabelSource) -> None:
    """Feedback, weak labels and labels of uncertain texts are HELD_OUT."""
    found = held_out(_placed(_text_on(side), (source, False)))
    assert list(found.iter_rows()) == [(0, "HELD_OUT")]


def test_people_correct_what_judges_already() -> None:
    """People's label replaces a held-out source row's label; feedback does not."""
    rows = _placed(
        _text_on(Split.TEST),
        (LabelSource.SOURCE, True),
        (LabelSource.HUMAN, False),
        (LabelSource.FEEDBACK, False),
    )
    assert held_out(rows)["number"].to_list() == [2]


@pytest.mark.parametrize("source", list(LabelSource))
def test_everything_trains(source: LabelSource) -> None:
    """No training row is left out."""
    assert not len(held_out(_placed(_text_on(Split.TRAIN), (source, False))))
