"""What the model makes of texts: the input of its last layer, and the regions of its values.

Most regions are the cells of k-means clusters of training texts. Texts that are further from all
training texts than these are from each other have regions of their own. Neither the hold-out nor
the window chose the regions, so the permutation test between these two stays exact. The first check
of a version finds them and the counts of its hold-out, and stores both: later checks use the same
ones, also when the rows of the dataset version are gone. An erasure removes them, because they have
vectors of training texts; the next check finds them without the erased text.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.cluster import KMeans

from tidemill_core.dataset_folder import EXAMPLES_FILE
from tidemill_core.domain.example import LabelSource
from tidemill_core.domain.split import Split
from tidemill_core.text import TextEncoder
from tidemill_jobs.importing.foreign_model import LAST_LAYER, Vocabulary
from tidemill_jobs.importing.sandbox import Sandbox
from tidemill_jobs.monitoring.drift.shift import Counts

SAMPLE = 1000
"""The most texts of the training split, of the hold-out and of the window."""
FEWEST = 50
"""The fewest texts of the training split and of the hold-out."""
UNFAMILIAR = ("unfamiliar", "unusual")
"""The first regions: the texts that are as far from the training texts as 2 % of these are from
each other, and as 10 % of them are."""
_FAR_PERCENTS = (2, 10)
_CLUSTERS = 16
_ROWS_A_CLUSTER = 25
_ROWS_A_CALL = 64
_ANY = Vocabulary(0, 0)  # the encoder's ids are the model's

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TextReader:
    """Reads texts as a model does.

    The model may come from elsewhere, so a confined process opens it.

    Attributes:
        model: the model's file.
        encoder: encodes texts as the model's input.
    """

    model: Path
    encoder: TextEncoder

    def read(self, texts: Sequence[str]) -> Vectors:
        """Return a vector of length 1 for each of n texts, at least one: float32 [n, width].

        Raises:
            ModelRefused: the model cannot be opened, or does not answer.
        """
        parts = []
        with Sandbox(self.model, LAST_LAYER, _ANY) as layer:
            for start in range(0, len(texts), _ROWS_A_CALL):
                rows = self.encoder.encode(texts[start : start + _ROWS_A_CALL])
                parts.append(layer.answer(rows).reshape(len(rows), -1))
        vectors = np.concatenate(parts)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: Vectors = vectors / np.maximum(lengths, np.float32(1e-12))
        return unit


@dataclass(frozen=True)
class Regions:
    """The regions that a version's training texts make, and its hold-out in them.

    Attributes:
        training: the vectors of training texts: [n, width].
        centers: the center of each cluster of them: [clusters, width].
        limits: for each region of `UNFAMILIAR`, the similarity to the nearest training text below
            which a text belongs to it.
        reference: the hold-out's texts by region.
    """

    training: Vectors
    centers: Vectors
    limits: npt.NDArray[np.float64]
    reference: Counts

    @property
    def names(self) -> list[str]:
        """The names of the regions."""
        return [*UNFAMILIAR, *(f"cluster {place + 1}" for place in range(len(self.centers)))]

    def sort(self, vectors: Vectors) -> npt.NDArray[np.int64]:
        """Return the number of the region of each vector: [n]."""
        return _sorted(vectors, self.training, self.centers, self.limits)

    def to_bytes(self) -> bytes:
        """Return the arrays as a file of NumPy, an `.npz`."""
        content = io.BytesIO()
        np.savez(content, **vars(self))
        return content.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Return the regions that `to_bytes` wrote."""
        with np.load(io.BytesIO(content)) as arrays:
            return cls(**arrays)


def learn_regions(
    reader: TextReader, training: Sequence[str], held_out: Sequence[str]
) -> Regions | None:
    """Return the regions of some training texts; None if there are fewer than FEWEST of either."""
    if min(len(training), len(held_out)) < FEWEST:
        return None
    vectors = reader.read(training)
    count = min(_CLUSTERS, -(-len(np.unique(vectors, axis=0)) // _ROWS_A_CLUSTER))
    centers = KMeans(count, n_init=1, random_state=0).fit(vectors).cluster_centers_
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -1.0)
    limits = np.percentile(similarity.max(axis=1), _FAR_PERCENTS)
    places = _sorted(reader.read(held_out), vectors, centers, limits)
    reference = np.bincount(places, minlength=len(UNFAMILIAR) + count).astype(np.int64)
    return Regions(vectors, centers, limits, reference)


def _sorted(
    vectors: Vectors, training: Vectors, centers: Vectors, limits: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    closeness = vectors @ centers.T - (centers**2).sum(axis=1) / 2
    similarity = (vectors @ training.T).max(axis=1)
    clusters = len(UNFAMILIAR) + np.argmax(closeness, axis=1)
    far = np.searchsorted(limits, similarity, side="right")
    regions: npt.NDArray[np.int64] = np.where(far < len(UNFAMILIAR), far, clusters)
    return regions


def known_texts(dataset: Path) -> tuple[list[str], list[str]]:
    """Return texts of a dataset version's training split and of its hold-out, at most SAMPLE each.

    Args:
        dataset: the folder of the dataset version.
    """
    rows = pl.scan_parquet(dataset / EXAMPLES_FILE, glob=False)
    # A text that only the model labeled is not familiar because of that.
    labeled = pl.col("label_source") != str(LabelSource.MODEL)

    def texts(split: Split) -> list[str]:
        # The rows are sorted by a hash of their texts, so the first ones are a random sample.
        found = rows.filter(pl.col("split") == str(split), labeled).head(SAMPLE)
        return found.collect()["text"].to_list()

    return texts(Split.TRAIN), texts(Split.TEST)
