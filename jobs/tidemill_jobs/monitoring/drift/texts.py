"""What stored texts show: whether the model reads other texts, and which topics are new."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tidemill_core.counted import counted
from tidemill_core.dataset_folder import EXAMPLES_FILE
from tidemill_core.domain.model import MODEL_FILES
from tidemill_core.domain.prediction import Prediction
from tidemill_core.domain.signals import Signal
from tidemill_core.errors import NotFound
from tidemill_core.model_repository import ModelManifest
from tidemill_core.rewards import REWARD_LABELS
from tidemill_core.storage.predictions import PredictionWindow
from tidemill_core.stored_models import TOKENIZER_FILE
from tidemill_core.text import TextEncoder
from tidemill_jobs.context import JobContext
from tidemill_jobs.monitoring.drift.representation import (
    FEWEST,
    SAMPLE,
    UNFAMILIAR,
    Regions,
    TextReader,
    known_texts,
    learn_regions,
)
from tidemill_jobs.monitoring.drift.signals import Samples, unmeasured
from tidemill_jobs.monitoring.drift.topics import find_topics


@dataclass(frozen=True)
class TextFinding:
    """The representation's samples, and the new topics as a report has them."""

    samples: Samples
    topics: Sequence[dict[str, Any]] = ()


def read_texts(
    context: JobContext, manifest: ModelManifest, window: PredictionWindow, count: int
) -> TextFinding:
    """Read a random sample of the window's stored texts as the model does.

    Args:
        context: the run.
        manifest: the version's.
        window: the window.
        count: how many predictions it has.

    Raises:
        StorageUnavailable: the database does not answer.
    """
    sample = context.storage.prediction_samples.sample(window, count, SAMPLE)
    minimum = min(context.settings.monitoring.min_predictions, SAMPLE)
    if len(sample) < minimum:
        return _without(
            f"{counted(len(sample), 'prediction')} with a stored text; {minimum} are needed"
        )
    if manifest.labels == REWARD_LABELS:
        return _without("it is measured for classifiers only")
    stored = context.storage.drift_regions.get(manifest.task, manifest.version)
    erasures_before = context.storage.erasures.counts(manifest.task)
    dataset = _dataset(context, manifest)
    if stored is None and dataset is None:
        return _without("the rows of the version's dataset version are gone")
    folder = context.repository.folder(manifest.task, manifest.model_format, manifest.version)
    encoder = TextEncoder(folder / TOKENIZER_FILE, manifest.sequence_length, manifest.text_repair)
    reader = TextReader(folder / MODEL_FILES[manifest.model_format], encoder)
    training, held_out = ([], []) if dataset is None else known_texts(dataset)
    regions = Regions.from_bytes(stored) if stored else learn_regions(reader, training, held_out)
    if regions is None:
        return _without(f"the training split or the hold-out has fewer than {FEWEST} texts")
    if stored is None:
        found = manifest.task, manifest.version, regions.to_bytes()
        context.storage.drift_regions.add(*found, erasures_before)
    return _compare(sample, reader, regions, [*training, *held_out], manifest)


def _dataset(context: JobContext, manifest: ModelManifest) -> Path | None:
    """Return the folder of the version's dataset version, if its rows are there."""
    try:
        dataset = context.storage.datasets.get(manifest.dataset_version)
    except NotFound:
        return None
    folder = context.dataset_folder(dataset.dataset_version)
    return folder if (folder / EXAMPLES_FILE).is_file() else None


def _compare(
    sample: Sequence[Prediction],
    reader: TextReader,
    regions: Regions,
    known: Sequence[str],
    manifest: ModelManifest,
) -> TextFinding:
    # Personal data is redacted, so that no topic is named after it.
    texts = [manifest.text_repair(each.text) for each in sample]
    places = regions.sort(reader.read(texts))
    ids = [each.prediction_id for each in sample]
    samples = Samples(
        Signal.REPRESENTATION,
        regions.names,
        regions.reference,
        np.bincount(places, minlength=len(regions.names)).astype(np.int64),
        lambda place, limit: [ids[row] for row in np.flatnonzero(places == place)[:limit]],
    )
    unfamiliar = places < len(UNFAMILIAR)
    # Without texts to compare with, every word would be new.
    return TextFinding(samples, find_topics(texts, ids, unfamiliar, known) if known else ())


def _without(note: str) -> TextFinding:
    return TextFinding(unmeasured(Signal.REPRESENTATION, note))
