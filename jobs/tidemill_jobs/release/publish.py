"""The publication of a model in the model repository."""

from collections.abc import Sequence

import stamina

from tidemill_core.domain.model import MODEL_FILES, ModelVersion, model_name
from tidemill_core.model_repository import ModelManifest, ModelRepository, Reference
from tidemill_core.object_errors import ObjectStorageUnavailable
from tidemill_core.rewards import confidences
from tidemill_core.stored_models import StoredModels
from tidemill_core.text_repair import TextRepair
from tidemill_jobs.importing.measure import ImportedModel
from tidemill_jobs.monitoring.drift.reference import count_pieces, count_reference
from tidemill_jobs.training.train import TrainedModel

_STORE_SECONDS = 600.0


def highest_version(repository: ModelRepository, task: str) -> int:
    """Return a task's highest version in the repository, in any format; 0 if there is none.

    The repository may have versions that the database has lost. Their numbers are not used again.
    """
    models = [repository.root / model_name(task, name) for name in MODEL_FILES]
    names = (version.name for model in models if model.is_dir() for version in model.iterdir())
    versions = [int(name) for name in names if name.isdecimal()]
    if repository.stored is not None:
        versions += [number for each in models for number in repository.stored.versions(each.name)]
    return max(versions, default=0)


def publish(
    repository: ModelRepository,
    candidate: ModelVersion,
    trained: TrainedModel | ImportedModel,
    model: bytes,
    text_repair: TextRepair,
    held_out: Sequence[str],
    run_id: str,
) -> None:
    """Write the folder of a candidate's version.

    Args:
        repository: where.
        candidate: the version.
        trained: what is published.
        model: its file.
        text_repair: applied to its training texts.
        held_out: the texts of the test split, as the model reads them.
        run_id: the run that made it.

    Raises:
        DataError: the folder exists already.
        ObjectStorageUnavailable: it stayed away for ten minutes.
    """
    manifest = ModelManifest(
        task=candidate.task,
        version=candidate.version,
        model_format=candidate.model_format,
        labels=trained.labels,
        sequence_length=trained.sequence_length,
        vocabulary_size=trained.vocabulary_size,
        temperature=trained.temperature,
        measures=trained.test_measures.known,
        reference=_reference(trained, held_out),
        dataset_version=candidate.dataset_version,
        run_id=run_id,
        create_time=candidate.create_time.isoformat(),
        text_repair=text_repair,
        training=trained.record,
        reliability=trained.reliability,
        abstain_below=trained.abstain_below,
    )
    folder = repository.publish(manifest, model, trained.tokenizer_json)
    if repository.stored is not None:
        _store(repository.stored, folder.parent.name)


def _reference(trained: TrainedModel | ImportedModel, held_out: Sequence[str]) -> Reference:
    labels, probabilities = trained.labels, trained.test_probabilities
    best = [labels[number] for number in probabilities.argmax(axis=1)]
    pieces = count_pieces(held_out, trained.encoder)
    return count_reference(labels, best, confidences(probabilities, labels).tolist(), *pieces)


def _store(stored: StoredModels, model: str) -> None:
    """Store a new version, and wait for a storage that is away: the training took its time."""
    away = ObjectStorageUnavailable
    for attempt in stamina.retry_context(on=away, attempts=None, timeout=_STORE_SECONDS):
        with attempt:
            stored.store(model)
