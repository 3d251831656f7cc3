"""The `retrain` job: once round the loop, from data to a new champion or a reasoned no."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime

import polars as pl
import stamina
import structlog

from tidemill_core.clock import Clock
from tidemill_core.domain.label_names import Renames
from tidemill_core.domain.model import ModelState, ModelVersion
from tidemill_core.domain.split import Split
from tidemill_core.errors import ModelLoadFailed, TritonUnavailable
from tidemill_core.settings import GateSettings
from tidemill_core.storage.deployments import Change
from tidemill_core.storage.models import ModelStore
from tidemill_core.text_repair import TextRepair
from tidemill_jobs.context import JobContext, Progress, Result
from tidemill_jobs.data.build import build_dataset
from tidemill_jobs.data.publishing.dataset import read_dataset
from tidemill_jobs.release.gate import GateDecision
from tidemill_jobs.release.publish import highest_version, publish
from tidemill_jobs.release.serving import Serving, serve
from tidemill_jobs.release.trial import AnswersDiffer, try_candidate
from tidemill_jobs.training.export import compare, export_onnx, export_torchscript
from tidemill_jobs.training.labeled_texts import LabeledTexts, TrainingData
from tidemill_jobs.training.tracking import TrackingConfig, tracked_run
from tidemill_jobs.training.train import TrainedModel, TrainingConfig, train

TRITON_READY_SECONDS = 60.0
TRIALS = 3
"""How often a candidate is tried where Triton dies meanwhile."""

log = structlog.get_logger()


def run(context: JobContext) -> Result:
    """Build a dataset, train, publish, test and gate; promote what passes.

    Raises:
        DataError: there is nothing to train on.
        TritonUnavailable: the candidate could not be tested; it is REJECTED.
        RunCancelled: somebody stopped the run; a candidate is REJECTED.
    """
    task, settings, progress = context.task, context.settings, context.progress
    models, clock, task_settings = context.storage.models, context.clock, context.task_settings
    serving = Serving(models, context.repository, context.triton)
    reject_stale(models, task, clock())
    dataset = build_dataset(
        task,
        task_settings,
        settings.feedback.trust,
        settings.state_dir,
        context.storage,
        clock,
        _part(progress, 0.0, 0.1),
    ).version
    data = training_data(read_dataset(dataset.uri))
    folder, uri = settings.state_dir / "mlflow", settings.effective_mlflow_tracking_uri
    tracking = TrackingConfig(uri, folder, task, task_settings.format, dataset)
    with tracked_run(tracking) as tracker:
        trained = train(data, TrainingConfig(), _part(progress, 0.1, 0.85), tracker)
    progress(0.85, "exporting")
    model = _export(trained, task_settings.format, data.proof_texts)
    above = highest_version(context.repository, task)
    version = dataset.dataset_version
    candidate = models.add_candidate(task, task_settings.format, version, clock(), above)
    with _rejected_on_failure(models, candidate, clock):
        progress(0.9, "publishing")
        repair = TextRepair(redact=tuple(task_settings.redact))
        publish(context.repository, candidate, trained, model, repair, context.run_id)
        renames = task_settings.labels.rename
        decision = _try(serving, candidate, trained, data, settings.gate, renames, progress)
    change = Change("retrain", decision.reason, context.run_id, clock())
    judged = _settle(serving, candidate, trained, decision, change)
    return {
        "dataset_version": dataset.dataset_version,
        "model_version": judged.version,
        "state": str(judged.state),
        "reason": decision.reason,
        "measures": dict(judged.measures),
    }


def reject_stale(models: ModelStore, task: str, now: datetime) -> None:
    """Reject candidates that an earlier run left behind when it died."""
    for left in models.in_states(task, [ModelState.CANDIDATE]):
        _judge(models, left, {}, GateDecision(False, "its run ended before it was judged"), now)


def training_data(frame: pl.DataFrame) -> TrainingData:
    """Return a dataset's rows by split, with how far each label is trusted."""

    def rows(split: Split) -> LabeledTexts:
        part = frame.filter(pl.col("split") == split)
        return LabeledTexts(*(part[name].to_list() for name in ("text", "label", "weight")))

    return TrainingData(rows(Split.TRAIN), rows(Split.VALIDATION), rows(Split.TEST))


def _export(trained: TrainedModel, model_format: str, proof_texts: Sequence[str]) -> bytes:
    """Export a model, and prove that the export answers the same.

    Raises:
        ExportMismatch: it does not.
    """
    exporters = {"onnx": export_onnx, "torchscript": export_torchscript}
    model = exporters[model_format](trained.classifier, trained.sequence_length)
    compare(model, model_format, trained.classifier, trained.encoder, proof_texts)
    return model


@contextmanager
def _rejected_on_failure(
    models: ModelStore, candidate: ModelVersion, clock: Clock
) -> Iterator[None]:
    """Reject a candidate that could not be tested, whatever ends its test."""
    try:
        yield
    except BaseException as error:
        cause = str(error) or type(error).__name__
        _judge(models, candidate, {}, GateDecision(False, f"could not be tested: {cause}"), clock())
        raise


def _try(
    serving: Serving,
    candidate: ModelVersion,
    trained: TrainedModel,
    data: TrainingData,
    gate: GateSettings,
    renames: Renames,
    progress: Progress,
) -> GateDecision:
    """Try a candidate, again where Triton died meanwhile: that is no fault of the model's."""
    for attempt in stamina.retry_context(on=TritonUnavailable, attempts=TRIALS, timeout=None):
        with attempt:
            serving.triton.wait_ready(TRITON_READY_SECONDS)
            progress(0.92, "testing the candidate in Triton")
            try:
                decision = try_candidate(serving, candidate, trained, data, gate, renames)
            except (ModelLoadFailed, AnswersDiffer) as error:
                decision = GateDecision(False, f"{error.reason}: {error}")
    return decision


def _settle(
    serving: Serving,
    candidate: ModelVersion,
    trained: TrainedModel,
    decision: GateDecision,
    change: Change,
) -> ModelVersion:
    """Record the decision, promote what passed, and let Triton drop what did not."""
    models, task = serving.models, candidate.task
    judged = _judge(models, candidate, asdict(trained.test_measures), decision, change.time)
    log.info("candidate_judged", version=judged.version, state=judged.state, reason=decision.reason)
    if decision.passed:
        models.promote(task, judged.version, change)
    else:
        serve(serving, task)
    return models.get(task, judged.version)


def _judge(
    models: ModelStore,
    candidate: ModelVersion,
    measures: Mapping[str, float],
    decision: GateDecision,
    now: datetime,
) -> ModelVersion:
    state = ModelState.VALIDATED if decision.passed else ModelState.REJECTED
    task, version = candidate.task, candidate.version
    return models.judge(task, version, state, measures, decision.reason, now)


def _part(progress: Progress, start: float, end: float) -> Progress:
    """Progress of a part that takes a run from `start` to `end`."""
    return lambda done, message: progress(start + (end - start) * done, message)
