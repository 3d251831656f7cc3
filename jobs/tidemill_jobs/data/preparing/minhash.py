"""MinHash signatures, which estimate the similarity of two texts without comparing the texts.

A text is the set of all windows of five bytes in its normalized form. The share of positions in
which two signatures agree estimates the Jaccard similarity of the two sets (Broder 1997, "On the
resemblance and containment of documents"); rensa computes the signatures. Only the lowest byte of
each of the 128 values is kept (Li and König 2010, "b-bit minwise hashing"). So 8 consecutive
values, one band of locality-sensitive hashing, are one 64-bit number, and a signature is 16 bands.
"""

from itertools import chain

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from rensa import RMinHash

BANDS = 16
VALUES_A_BAND = 8
BAND_COLUMNS = tuple(f"band_{number:02d}" for number in range(BANDS))
_VALUES = BANDS * VALUES_A_BAND
_WINDOW = 5
_SEED = 1
_TEXTS_AT_ONCE = 1024
"""rensa returns lists of Python numbers, 8 KiB a text."""
_BY_CHANCE = 1 / 256
"""The share of values that agree by chance."""
_ODD_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

Bands = npt.NDArray[np.uint64]


def signatures(normalized: pl.Series) -> Bands:
    """Return the signatures of n texts: uint64, shape [n, BANDS]. No text is null or empty."""
    parts = [_signatures(part) for part in normalized.to_frame().iter_slices(_TEXTS_AT_ONCE)]
    return np.concatenate([np.empty((0, BANDS), dtype=np.uint64), *parts])


def similarity(left: Bands, right: Bands) -> npt.NDArray[np.float64]:
    """Return the estimated Jaccard similarity of n pairs of signatures, in [0, 1], shape [n]."""
    agreeing = (left.view(np.uint8) == right.view(np.uint8)).reshape(len(left), -1).mean(axis=1)
    estimate: npt.NDArray[np.float64] = (agreeing - _BY_CHANCE) / (1 - _BY_CHANCE)
    return np.clip(estimate, 0.0, 1.0)


def _signatures(texts: pl.DataFrame) -> Bands:
    windows, offsets = _windows(texts.to_series())
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(windows, offsets, _VALUES, _SEED)
    values = np.fromiter(chain.from_iterable(matrix.to_rows()), np.uint32, _VALUES * len(texts))
    lowest = values.astype(np.uint8).reshape(-1, _VALUES)
    return lowest.view(np.dtype(np.uint64).newbyteorder("<")).astype(np.uint64)


def _windows(texts: pl.Series) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Return the hashed windows of all texts, and the offsets of the texts' windows.

    A text shorter than a window has one window, padded with zeros.
    """
    data, starts = _bytes(texts)
    lengths = np.diff(starts)
    windows = np.zeros(len(data), dtype=np.uint64)
    padded = np.concatenate([data, np.zeros(_WINDOW, dtype=np.uint8)])
    ends = np.repeat(starts[1:], lengths)
    for place in range(_WINDOW):
        within = np.arange(place, place + len(data)) < ends
        windows = (windows << np.uint64(8)) | np.where(within, padded[place : place + len(data)], 0)
    counts = np.maximum(lengths - _WINDOW + 1, 1)
    kept = np.arange(len(data)) - np.repeat(starts[:-1], lengths) < np.repeat(counts, lengths)
    # Neighboring windows differ in few bits; MinHash needs hashes that are far apart.
    hashed = windows[kept] * _ODD_MULTIPLIER
    hashed ^= hashed >> np.uint64(32)
    return hashed, np.concatenate([[0], np.cumsum(counts)]).astype(np.uint64)


def _bytes(texts: pl.Series) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return the concatenated UTF-8 of the texts, and the texts' offsets in it."""
    array = texts.rechunk().to_arrow().cast(pa.large_string())
    _, offsets, data = array.buffers()
    starts = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    content = np.frombuffer(data, dtype=np.uint8)[starts[0] : starts[-1]]
    return content, starts - starts[0]
