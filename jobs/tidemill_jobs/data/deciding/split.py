"""The split of each row, and whether the row may be in it.

A text's hash decides, so the split never changes. Validation and test have the source's labels and
people's labels of random texts. Users mostly give feedback if the champion was wrong, so any
challenger would win on feedback. Therefore feedback trains and never judges: on a held-out text it
is HELD_OUT. So are labels of labeling functions, models' own answers, and people's labels of texts
that were chosen for another reason, unless a judging row has the text.
"""

import polars as pl

from tidemill_core.domain.dataset import Exclusion
from tidemill_core.domain.example import LabelSource
from tidemill_core.domain.split import BUCKETS, TEST_BUCKETS, VALIDATION_BUCKETS, Split


def place(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with their `split`, a string: from `text_key`, as `split_of` computes it."""
    bucket = pl.col("text_key") % BUCKETS
    split = (
        pl.when(bucket < TEST_BUCKETS)
        .then(pl.lit(str(Split.TEST)))
        .when(bucket < TEST_BUCKETS + VALIDATION_BUCKETS)
        .then(pl.lit(str(Split.VALIDATION)))
        .otherwise(pl.lit(str(Split.TRAIN)))
    )
    return rows.with_columns(split=split)


def held_out(placed: pl.DataFrame) -> pl.DataFrame:
    """Return `number` and `rule` of the rows that may not be in their text's split."""
    judging = placed.filter(pl.col("judges"))["text_key"].unique()
    known = pl.col("text_key").is_in(judging.implode())
    by_people = pl.col("label_source") == str(LabelSource.HUMAN)
    stays = (pl.col("split") == str(Split.TRAIN)) | pl.col("judges") | (by_people & known)
    return placed.filter(~stays).select("number", rule=pl.lit(Exclusion.HELD_OUT))
