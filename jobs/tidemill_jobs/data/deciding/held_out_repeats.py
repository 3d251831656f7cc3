"""Training rows that repeat a held-out text, exactly or nearly."""

import numpy as np
import numpy.typing as npt
import polars as pl

from tidemill_core.domain.dataset import Exclusion
from tidemill_jobs.data.deciding.near_duplicates import near_duplicates
from tidemill_jobs.data.preparing.minhash import BAND_COLUMNS, signatures
from tidemill_jobs.data.text_hashing import normalized, text_hashes, text_key


def repeat_held_out(rows: pl.DataFrame, similarity: float) -> npt.NDArray[np.bool_]:
    """Return whether a row is a training row that repeats a held-out text: [rows].

    Args:
        rows: `text`, `label` and `split`.
        similarity: the similarity from which two texts are near duplicates.
    """
    texts, train = rows["text"], rows["split"] == "train"
    hashes = text_hashes(texts)
    bands = pl.DataFrame(signatures(normalized(texts)), schema=list(BAND_COLUMNS))
    ranked = rows.select(
        "label",
        "split",
        number=pl.int_range(pl.len(), dtype=pl.UInt32),
        text_key=text_key(pl.lit(hashes)),
        label_source=pl.lit(""),
    )
    found = near_duplicates(ranked, similarity, lambda numbers, names: bands[numbers].select(names))
    near = found.filter(pl.col("rule") == Exclusion.NEAR_HELD_OUT)["number"]
    exact = hashes.is_in(hashes.filter(~train).implode())
    return ((exact | pl.Series(np.isin(np.arange(len(rows)), near))) & train).to_numpy()
