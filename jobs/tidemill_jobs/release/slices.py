"""Slices of the hold-out: parts on which a version must not get worse unnoticed."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl


def slices_of(test: pl.DataFrame) -> Mapping[str, npt.NDArray[np.bool_]]:
    """Return the slices of a dataset's test rows, each as whether a row is in it.

    Args:
        test: the rows, with `text` and `label_source`.
    """
    if test.is_empty():
        return {}
    lengths = test["text"].str.len_chars().to_numpy()
    short, long = np.quantile(lengths, [1 / 3, 2 / 3])
    by_length = {
        "short texts": lengths <= short,
        "middle texts": (lengths > short) & (lengths <= long),
        "long texts": lengths > long,
    }
    sources = test["label_source"].to_numpy()
    by_source = {f"labels by {source}": sources == source for source in np.unique(sources)}
    return by_length | (by_source if len(by_source) > 1 else {})
