"""What the model makes of texts: the input of its last layer, and the regions of its values.

Most regions are the cells of k-means clusters of training texts. Texts that are further from all
training texts than these are from each other have regions of their own. Neither the hold-out nor
the window chose the regions, so the permutation test between these two stays exact. They follow
from the version's files and its dataset, so each check finds the same ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.cluster import KMeans

from tidemill_core.dataset_folder import EXAMPLES_FILE
from tidemill_core.domain.example import LabelSource
from tidemill_core.domain.split import Split
from tidemill_core.model_repository import TOKENIZER_FILE
from tidemill_core.text import TextEncoder
from tidemill_core.text_repair import TextRepair
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
    """The regions that a version's training texts make.

    Attributes:
        reader: reads texts.
        training: the vectors of training texts: [n, width].
        centers: the center of each cluster of them: [clusters, width].
        limits: for each region of `UNFAMILIAR`, the similarity to the nearest training text below
            which a text belongs to it.
    """

    reader: TextReader
    training: Vectors
    centers: Vectors
    limits: tuple[float, ...]

    @property
    def names(self) -> list[str]:
        """The names of the regions."""
        return [*UNFAMILIAR, *(f"cluster {place + 1}" for place in range(len(self.centers)))]

    def sort(self, vectors: Vectors) -> npt.NDArray[np.int64]:
        """Return the number of the region of each vector: [n]."""
        closeness = vectors @ self.centers.T - (self.centers**2).sum(axis=1) / 2
        similarity = (vectors @ self.training.T).max(axis=1)
        clusters = len(UNFAMILIAR) + np.argmax(closeness, axis=1)
        far = np.searchsorted(self.limits, similarity, side="right")
        regions: npt.NDArray[np.int64] = np.where(far < len(UNFAMILIAR), far, clusters)
        return regions


@dataclass(frozen=True)
class Reading:
    """How a version reads its dataset.

    Attributes:
        regions: the regions of the training texts.
        reference: the hold-out's texts by region.
        known_texts: texts of the training split and the hold-out.
    """

    regions: Regions
    reference: Counts
    known_texts: Sequence[str]


def learn_regions(reader: TextReader, training: Sequence[str]) -> Regions:
    """Return the regions of some training texts."""
    vectors = reader.read(training)
    count = min(_CLUSTERS, -(-len(np.unique(vectors, axis=0)) // _ROWS_A_CLUSTER))
    clusters = KMeans(count, n_init=1, random_state=0).fit(vectors)
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -1.0)
    limits = np.percentile(similarity.max(axis=1), _FAR_PERCENTS)
    return Regions(reader, vectors, clusters.cluster_centers_, tuple(limits.tolist()))


@lru_cache(maxsize=4)
def read_dataset(
    model: Path, sequence_length: int, repair: TextRepair, dataset: Path, changed_ns: int
) -> Reading | None:
    """Read a version's dataset as the version does; None if it has too few texts.

    A process that checks every night keeps the result.

    Args:
        model: the file of the version's model; its tokenizer is in the same folder.
        sequence_length: token ids in a row.
        repair: brings texts into the form of the training texts.
        dataset: the folder of the dataset version.
        changed_ns: when the dataset's rows changed; an erasure removes some.
    """
    del changed_ns
    rows = pl.scan_parquet(dataset / EXAMPLES_FILE, glob=False)
    # A text that only the model labeled is not familiar because of that.
    labeled = pl.col("label_source") != str(LabelSource.MODEL)
    # The rows are sorted by a hash of their texts, so the first ones are a random sample.
    training, held_out = (
        rows.filter(pl.col("split") == split, labeled).head(SAMPLE).collect()["text"].to_list()
        for split in (Split.TRAIN, Split.TEST)
    )
    if min(len(training), len(held_out)) < FEWEST:
        return None
    encoder = TextEncoder(model.parent / TOKENIZER_FILE, sequence_length, repair)
    reader = TextReader(model, encoder)
    regions = learn_regions(reader, training)
    places = regions.sort(reader.read(held_out))
    reference = np.bincount(places, minlength=len(regions.names)).astype(np.int64)
    return Reading(regions, reference, [*training, *held_out])
