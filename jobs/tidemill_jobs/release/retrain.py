"""The job `retrain`: from the data to a new champion, or to a rejected version and the reason."""

import polars as pl

from tidemill_core.domain.job_parameters import JobParameters, RetrainParameters
from tidemill_core.domain.split import Split
from tidemill_core.model_repository import MANIFEST_FILE
from tidemill_core.settings import TaskKind
from tidemill_core.settings.problems import problems_named
from tidemill_core.settings.training import TrainingSettings
from tidemill_core.text_repair import TextRepair
from tidemill_jobs.context import JobContext, Result, part
from tidemill_jobs.data.build import dataset_for
from tidemill_jobs.data.publishing.dataset import read_dataset
from tidemill_jobs.release.candidate import Candidate
from tidemill_jobs.release.decide import (
    refuse_paused,
    reject_abandoned,
    rejected_on_failure,
    release,
)
from tidemill_jobs.release.publish import highest_version, publish
from tidemill_jobs.release.slices import slices_of
from tidemill_jobs.release.tracking import outboxes_of, sent_afterwards
from tidemill_jobs.training.export import EXPORTERS
from tidemill_jobs.training.labeled_texts import LabeledTexts, TrainingData
from tidemill_jobs.training.search import SearchConfig
from tidemill_jobs.training.tracking import RunSubject, recorded_run
from tidemill_jobs.training.train import TrainedModel, TrainingConfig, train


def run(context: JobContext) -> Result:
    """Build a dataset, train, export, publish and judge a version, and promote it if it passes.

    Raises:
        ConfigurationError: a parameter of the run is out of range.
        ReleasesPaused: the task's releases are paused.
        DataError: there is nothing to train on.
        TritonUnavailable: Triton stayed away during the trial; the candidate is REJECTED.
        RunCanceled: someone stopped the run; the candidate is REJECTED.
    """
    task, settings, progress = context.task, context.settings, context.progress
    models, clock, task_settings = context.storage.models, context.clock, context.task_settings
    chosen = _training(task_settings.training, context.parameters)
    reject_abandoned(models, task, clock())
    refuse_paused(context.storage.pauses, task)
    dataset = dataset_for(context, part(progress, 0.0, 0.1))
    rows = read_dataset(dataset.uri)
    data = training_data(rows, task_settings.kind)
    model_format = task_settings.format
    subject = RunSubject.of(context.run_id, model_format, dataset)
    config = TrainingConfig(
        chosen.network,
        seed=chosen.seed,
        abstain_for_precision=task_settings.abstain_for_precision,
        search=_search(chosen, settings.optuna_url, f"{task}/{dataset.dataset_version}"),
        int8=chosen.int8,
    )
    outboxes = outboxes_of(settings, task)
    with sent_afterwards(context), recorded_run(outboxes, subject) as record:
        trained = train(data, config, part(progress, 0.1, 0.85), record)
        progress(0.85, "exporting")
        model = EXPORTERS[model_format](trained.classifier, trained.sequence_length)
        candidate = _publish(context, trained, model, dataset.dataset_version)
        slices = slices_of(rows.filter(split=str(Split.TEST)))
        result = release(context, candidate, data, slices)
        version = candidate.version.version
        manifest = context.repository.folder(task, model_format, version) / MANIFEST_FILE
        record.log_release(version, str(result["state"]), manifest.read_bytes())
    return result


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


def _search(training: TrainingSettings, storage_url: str, name: str) -> SearchConfig | None:
    if training.trials is None and training.budget_seconds is None:
        return None
    return SearchConfig(
        training.trials,
        training.budget_seconds,
        training.parallel_trials,
        storage_url,
        f"{name}/{training.network}/{training.seed}",
    )


def _publish(
    context: JobContext, trained: TrainedModel, model: bytes, dataset_version: str
) -> Candidate:
    """Publish a trained model as the task's next version."""
    models, task, task_settings = context.storage.models, context.task, context.task_settings
    above = highest_version(context.repository, task)
    version = models.add_candidate(
        task, task_settings.format, dataset_version, context.clock(), above
    )
    with rejected_on_failure(models, version, context.clock):
        context.progress(0.9, "publishing")
        repair = TextRepair(redact=tuple(task_settings.redact))
        publish(context.repository, version, trained, model, repair, context.run_id)
    return Candidate(
        version=version,
        labels=trained.labels,
        measures=trained.test_measures,
        offline=trained.probabilities,
        original=trained.classifier,
        unrounded=trained.unrounded,
    )


def training_data(frame: pl.DataFrame, kind: TaskKind = "classification") -> TrainingData:
    """Return a dataset's rows by split."""

    def rows(split: Split) -> LabeledTexts:
        part = frame.filter(pl.col("split") == split)
        return LabeledTexts(*(part[name].to_list() for name in ("text", "label", "weight")))

    splits = (rows(Split.TRAIN), rows(Split.VALIDATION), rows(Split.TEST))
    return TrainingData(*splits, are_pairs=kind == "preference")
