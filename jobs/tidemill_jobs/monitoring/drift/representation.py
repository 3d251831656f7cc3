"""What the model makes of texts: the input of its last layer.

Regions are the cells of k-means clusters of training texts. Neither the hold-out nor the window
chose them, so the permutation test between these two stays exact. They follow from the version's
files and its dataset, so each check finds the same ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import polars as pl
from sklearn.cluster import KMeans

from tidemill_core.dataset_folder import EXAMPLES_FILE
from tidemill_core.domain.split import Split
from tidemill_core.model_repository import MODEL_FILES, TOKENIZER_FILE
from tidemill_core.onnx_session import open_session
from tidemill_core.text import TextEncoder
from tidemill_core.text_repair import TextRepair
from tidemill_core.triton.tensors import INPUT_NAME
from tidemill_jobs.monitoring.drift.shift import Counts

SAMPLE = 1000
"""The most texts of the training split, of the hold-out and of the window."""
FEWEST = 50
"""The fewest texts of the training split and of the hold-out."""
_REGIONS = 16
_ROWS_A_REGION = 25
_ROWS_A_CALL = 64
_UNFAMILIAR_PERCENT = 95

Vectors = npt.NDArray[np.float32]


class TextReader:
    """Reads texts as a model in the format onnx does.

    Args:
        model: the model's file.
        encoder: encodes texts as its input.
    """

    def __init__(self, model: Path, encoder: TextEncoder) -> None:
        proto = onnx.load(model)
        self._output = _last_layers_input(proto.graph)
        proto.graph.output.append(onnx.ValueInfoProto(name=self._output))
        self._session = open_session(proto.SerializeToString())
        self._encoder = encoder

    def read(self, texts: Sequence[str]) -> Vectors:
        """Return a vector of length 1 for each of n texts, at least one: float32 [n, width]."""
        parts = []
        for start in range(0, len(texts), _ROWS_A_CALL):
            rows = self._encoder.encode(texts[start : start + _ROWS_A_CALL])
            [found] = self._session.run([self._output], {INPUT_NAME: rows})
            parts.append(found.reshape(len(rows), -1))
        vectors = np.concatenate(parts)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: Vectors = vectors / np.maximum(lengths, np.float32(1e-12))
        return unit


@dataclass(frozen=True)
class Regions:
    """The regions of a version's training texts, and how familiar its hold-out looks.

    Attributes:
        reader: reads texts.
        centers: the center of each region: [regions, width].
        reference: the hold-out's texts by region.
        training: the vectors of training texts: [n, width].
        least_similar: the similarity to the nearest training text that 95 % of the hold-out have.
        known_texts: texts of the training split and the hold-out.
    """

    reader: TextReader
    centers: Vectors
    reference: Counts
    training: Vectors
    least_similar: float
    known_texts: Sequence[str]

    def sort(self, vectors: Vectors) -> npt.NDArray[np.int64]:
        """Return the region of each vector: [n]."""
        nearest: npt.NDArray[np.int64] = np.argmax(_closeness(vectors, self.centers), axis=1)
        return nearest

    def are_unfamiliar(self, vectors: Vectors) -> npt.NDArray[np.bool_]:
        """Return which vectors are further from all training texts than 95 % of the hold-out."""
        far: npt.NDArray[np.bool_] = _similarity(vectors, self.training) < self.least_similar
        return far


@lru_cache(maxsize=4)
def find_regions(
    folder: Path, sequence_length: int, repair: TextRepair, dataset: Path, changed_ns: int
) -> Regions | None:
    """Return a version's regions; None if its dataset has too few texts.

    A process that checks every night keeps them.

    Args:
        folder: the version's folder; its format is onnx.
        sequence_length: token ids in a row.
        repair: brings texts into the form of the training texts.
        dataset: the folder of the dataset version.
        changed_ns: when the dataset's rows changed; an erasure removes some.
    """
    del changed_ns
    rows = pl.scan_parquet(dataset / EXAMPLES_FILE, glob=False)
    # The rows are sorted by a hash of their texts, so the first ones are a random sample.
    training, held_out = (
        rows.filter(pl.col("split") == split).head(SAMPLE).collect()["text"].to_list()
        for split in (Split.TRAIN, Split.TEST)
    )
    if min(len(training), len(held_out)) < FEWEST:
        return None
    encoder = TextEncoder(folder / TOKENIZER_FILE, sequence_length, repair)
    reader = TextReader(folder / MODEL_FILES["onnx"], encoder)
    vectors, references = reader.read(training), reader.read(held_out)
    centers = _centers(vectors)
    counts = np.bincount(np.argmax(_closeness(references, centers), axis=1), minlength=len(centers))
    least = np.percentile(_similarity(references, vectors), 100 - _UNFAMILIAR_PERCENT)
    known = [*training, *held_out]
    return Regions(reader, centers, counts.astype(np.int64), vectors, float(least), known)


def _centers(vectors: Vectors) -> Vectors:
    distinct = np.unique(vectors, axis=0)
    count = min(_REGIONS, -(-len(distinct) // _ROWS_A_REGION))
    centers: Vectors = KMeans(count, n_init=1, random_state=0).fit(vectors).cluster_centers_
    return centers


def _closeness(vectors: Vectors, centers: Vectors) -> Vectors:
    """Return what is largest for the nearest center: [n, centers]."""
    closeness: Vectors = vectors @ centers.T - (centers**2).sum(axis=1) / 2
    return closeness


def _similarity(vectors: Vectors, others: Vectors) -> Vectors:
    """Return the cosine similarity of each vector to the most similar one of some others: [n]."""
    similarity: Vectors = (vectors @ others.T).max(axis=1)
    return similarity


def _last_layers_input(graph: onnx.GraphProto) -> str:
    """Return the name of what the last linear layer takes, or else of the graph's output."""
    makers = {output: node for node in graph.node for output in node.output}
    name = graph.output[0].name
    while node := makers.get(name):
        if node.op_type in ("Gemm", "MatMul"):
            return str(node.input[0])
        name = next((each for each in node.input if each in makers), "")
    return str(graph.output[0].name)
