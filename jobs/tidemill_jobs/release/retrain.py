"""The job `retrain`: from the data to a new champion, or to a rejected version and the reason."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from tidemill_core.domain.job_parameters import JobParameters, RetrainParameters, TrainingPlace
from tidemill_core.domain.model import ModelVersion
from tidemill_core.domain.split import Split
from tidemill_core.errors import ConfigurationError
from tidemill_core.settings.problems import problems_named
from tidemill_core.settings.training import TrainingSettings
from tidemill_core.storage.audited_predictions import read_audits
from tidemill_core.stored_models import MANIFEST_FILE
from tidemill_core.text_repair import TextRepair
from tidemill_jobs.context import JobContext, Result, part
from tidemill_jobs.data.build import dataset_for
from tidemill_jobs.data.publishing.dataset import read_dataset
from tidemill_jobs.importing.measure import ImportedModel
from tidemill_jobs.release.candidate import Candidate
from tidemill_jobs.release.decide import (
    refuse_paused,
    reject_abandoned,
    rejected_on_failure,
    release,
)
from tidemill_jobs.release.publish import highest_version, publish
from tidemill_jobs.release.sagemaker import trained_on_sagemaker
from tidemill_jobs.release.slices import slices_of
from tidemill_jobs.release.tracking import outboxes_of, sent_afterwards
from tidemill_jobs.training.class_shares import Audits, weighted_audits
from tidemill_jobs.training.dataset_rows import training_data
from tidemill_jobs.training.export import EXPORTERS
from tidemill_jobs.training.labeled_texts import TrainingData
from tidemill_jobs.training.network import checked, load_network
from tidemill_jobs.training.search import search_config
from tidemill_jobs.training.tracking import RunRecord, RunSubject, recorded_run
from tidemill_jobs.training.train import TrainedModel, TrainingConfig, train

AUDITED = timedelta(days=365)
"""The span of the audits whose class shares a model follows: a year has every season once."""


def run(context: JobContext) -> Result:
    """Build a dataset, train, export, publish and judge a version, and promote it if it passes.

    Raises:
        ConfigurationError: the settings do not fit the parameters of the run, or miss some that
            its place needs.
        ReleasesPaused: the task's releases are paused.
        DataError: there is nothing to train on.
        SagemakerTrainingFailed, SagemakerUnavailable: it was to run on SageMaker, and did not.
        TritonUnavailable: Triton stayed away during the trial; the candidate is REJECTED.
        RunCanceled: someone stopped the run; the candidate is REJECTED.
    """
    task, settings, progress = context.task, context.settings, context.progress
    models, clock, task_settings = context.storage.models, context.clock, context.task_settings
    chosen = _training(task_settings.training, context.parameters)
    _refuse_early(context, chosen)
    reject_abandoned(models, task, clock())
    refuse_paused(context.storage.pauses, task)
    dataset = dataset_for(context, part(progress, 0.0, 0.1))
    rows = read_dataset(dataset.uri)
    data = training_data(rows, task_settings.kind)
    material = _Material(dataset.dataset_version, rows, data)
    subject = RunSubject.of(context.run_id, task_settings.format, dataset)
    with (
        sent_afterwards(context),
        recorded_run(outboxes_of(settings, task), subject) as record,
        _candidate(context, chosen, material, record) as candidate,
    ):
        slices = slices_of(rows.filter(split=str(Split.TEST)))
        result = release(context, candidate, material.data, slices)
        place = (task, task_settings.format, candidate.version.version)
        manifest = context.repository.folder(*place) / MANIFEST_FILE
        record.log_release(candidate.version.version, str(result["state"]), manifest.read_bytes())
    return result


@dataclass(frozen=True)
class _Material:
    """A dataset version: its rows, and the same by split."""

    dataset_version: str
    rows: pl.DataFrame
    data: TrainingData


@contextmanager
def _candidate(
    context: JobContext, chosen: TrainingSettings, material: _Material, record: RunRecord
) -> Iterator[Candidate]:
    """Train where the run asks for it, publish, and yield the candidate while it can answer."""
    if not _is_remote(context.parameters):
        yield _trained_here(context, chosen, material, record)
        return
    with trained_on_sagemaker(context, chosen, material.rows, material.data, record) as remote:
        made = remote.model
        version = _publish(context, made, made.content, material)
        yield Candidate(version, made.labels, made.test_measures, remote.opened.answer)


def _trained_here(
    context: JobContext, chosen: TrainingSettings, material: _Material, record: RunRecord
) -> Candidate:
    task, task_settings, progress = context.task, context.task_settings, context.progress
    study = f"{task}/{material.dataset_version}"
    config = TrainingConfig(
        chosen.network,
        chosen.hyperparameters,
        seed=chosen.seed,
        abstain_for_precision=task_settings.abstain_for_precision,
        search=search_config(
            chosen, context.settings.optuna_url, study, context.settings.ray.address
        ),
        int8=chosen.int8,
        audits=_audits(context) if chosen.follow_audits else {},
    )
    trained = train(material.data, config, part(progress, 0.1, 0.85), record)
    progress(0.85, "exporting")
    model = EXPORTERS[task_settings.format](trained.classifier, trained.sequence_length)
    version = _publish(context, trained, model, material)
    return Candidate(
        version,
        trained.labels,
        trained.test_measures,
        trained.probabilities,
        original=trained.classifier,
        unrounded=trained.unrounded,
    )


def _audits(context: JobContext) -> Audits:
    """Return the audits of the last year, by label."""
    renames, since = context.task_settings.labels.rename, context.clock() - AUDITED
    found = read_audits(context.storage.database, context.task, since, renames)
    return weighted_audits((each.label, each.inclusion_probability) for each in found)


def _is_remote(parameters: JobParameters | None) -> bool:
    return isinstance(parameters, RetrainParameters) and parameters.place is TrainingPlace.SAGEMAKER


def _refuse_early(context: JobContext, training: TrainingSettings) -> None:
    """Raise ConfigurationError if the training cannot run where it is asked for."""
    if not _is_remote(context.parameters):
        checked(training.hyperparameters, training.network, load_network(training.network))
        return
    sagemaker, kind = context.settings.sagemaker, context.task_settings.kind
    if obstacle := sagemaker.obstacle(context.task, kind, training):
        raise ConfigurationError(obstacle)


def _training(settings: TrainingSettings, parameters: JobParameters | None) -> TrainingSettings:
    """Return the task's settings with the run's parameters instead, where it has some.

    Raises:
        ConfigurationError: a parameter is out of range; names it and the rule.
    """
    if not isinstance(parameters, RetrainParameters):
        return settings
    names = ("network", "trials", "budget_seconds", "seed")
    given = {name: value for name in names if (value := getattr(parameters, name)) is not None}
    with problems_named(TrainingSettings):
        return TrainingSettings(**{**settings.model_dump(), **given})


def _publish(
    context: JobContext, trained: TrainedModel | ImportedModel, model: bytes, material: _Material
) -> ModelVersion:
    """Publish a trained model as the task's next version."""
    models, task, task_settings = context.storage.models, context.task, context.task_settings
    above = highest_version(context.repository, task)
    version = models.add_candidate(
        task, task_settings.format, material.dataset_version, context.clock(), above, context.reason
    )
    with rejected_on_failure(models, version, context.clock):
        context.progress(0.9, "publishing")
        repair = TextRepair(redact=tuple(task_settings.redact))
        held_out = material.data.texts_of(material.data.test)
        publish(context.repository, version, trained, model, repair, held_out, context.run_id)
    return version
