"""What a version makes of some of the texts that it answered: Arize's embeddings."""

import random
from collections.abc import Sequence

from tidemill_core.domain.model import MODEL_FILES, ModelVersion
from tidemill_core.model_repository import ModelRepository
from tidemill_core.stored_models import ModelVersionMissing
from tidemill_jobs.monitoring.drift.representation import TextReader

SAMPLE = 1000
"""The most texts of a batch that are read."""

Embedding = list[float] | None


def open_reader(repository: ModelRepository, version: ModelVersion) -> TextReader | None:
    """Open a version's reader of texts; None if its files are gone.

    Raises:
        DataError: its manifest or its tokenizer is damaged.
    """
    place = (version.task, version.model_format, version.version)
    try:
        encoder = repository.encoder(*place)
    except ModelVersionMissing:
        return None
    model = repository.folder(*place) / MODEL_FILES[version.model_format]
    return TextReader(model, encoder) if model.is_file() else None


def embeddings(reader: TextReader, texts: Sequence[str]) -> list[Embedding]:
    """Return the vectors of at most SAMPLE texts, chosen at random, and None for the others.

    An empty text has none, because it may not leave or is not stored.
    """
    found: list[Embedding] = [None] * len(texts)
    known = [place for place, text in enumerate(texts) if text]
    chosen = random.sample(known, min(SAMPLE, len(known)))
    if chosen:
        vectors = reader.read([texts[place] for place in chosen])
        for place, vector in zip(chosen, vectors.tolist(), strict=True):
            found[place] = vector
    return found
