"""Third stage: which side of the split each row is on, and whether it may be there.

A text's own hash decides, for ever. Validation and test hold what came with the source, and what
people labelled at random. Feedback is about what the champion answered, and is mostly given where
it was wrong: any challenger would win on it. So feedback trains and never judges, and where its
text lies on a held-out side it is HELD_OUT; so are labels of labelling functions, and of people
who were asked for another reason, unless the text is there already.
"""

import polars as pl

from tidemill_core.domain.example import LabelSource
from tidemill_core.domain.split import BUCKETS, TEST_BUCKETS, VALIDATION_BUCKETS, Split


def place(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with their `split`, a string; from their `text_key`, as `split_of` does."""
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
    """`number` and `rule` of the rows that may not be on the side that their text is on."""
    judging = placed.filter(pl.col("judges"))["text_key"].unique()
    known = pl.col("text_key").is_in(judging.implode())
    by_people = pl.col("label_source") == str(LabelSource.HUMAN)
    stays = (pl.col("split") == str(Split.TRAIN)) | pl.col("judges") | (by_people & known)
    return placed.filter(~stays).select("number", rule=pl.lit("HELD_OUT"))
