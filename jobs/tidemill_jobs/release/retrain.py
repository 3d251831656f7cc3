"""The job `retrain`: from the data to a new champion, or to a rejected version and the reason."""

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
from tidemill_jobs.context import JobContext, Progress, Result, part
from tidemill_jobs.data.build import build_dataset
from tidemill_jobs.data.publishing.dataset import read_dataset
from tidemill_jobs.release.gate import GateDecision
from tidemill_jobs.release.publish import highest_version, publish
from tidemill_jobs.release.serving import Serving, serve
from tidemill_jobs.release.trial import AnswersDiffer, try_candidate
from tidemill_jobs.training.evaluate import Measures
from tidemill_jobs.training.export import compare, export_onnx, export_torchscript
from tidemill_jobs.training.labeled_texts import LabeledTexts, TrainingData
from tidemill_jobs.training.tracking import TrackingConfig, tracked_run
from tidemill_jobs.training.train import TrainedModel, TrainingConfig, train

TRITON_READY_SECONDS = 60.0
TRIALS = 3
"""How often a candidate is tried if Triton dies during the trial."""

log = structlog.get_logger()


def run(context: JobContext) -> Result:
    """Build a dataset, train, publish, try and judge a version, and promote it if it passes.

    Raises:
        DataError: there is nothing to train on.
        TritonUnavailable: Triton stayed away during the trial; the candidate is REJECTED.
        RunCanceled: someone stopped the run; the candidate is REJECTED.
    """
    task, settings, progress = context.task, context.settings, context.progress
    models, clock, task_settings = context.storage.models, context.clock, context.task_settings
    trust, state_dir = settings.feedback.trust, settings.state_dir
    _reject_abandoned(models, task, clock())
    building = part(progress, 0.0, 0.1)
    dataset = build_dataset(
        task, task_settings, trust, state_dir, context.storage, clock, building
    ).version
    data = training_data(read_dataset(dataset.uri))
    uri, model_format = settings.effective_mlflow_tracking_uri, task_settings.format
    tracking = TrackingConfig(uri, state_dir / "mlflow", task, model_format, dataset)
    chosen = TrainingConfig(
        task_settings.training.network,
        seed=task_settings.training.seed,
        abstain_for_precision=task_settings.abstain_for_precision,
    )
    with tracked_run(tracking) as tracker:
        trained = train(data, chosen, part(progress, 0.1, 0.85), tracker)
    progress(0.85, "exporting")
    model = _export(trained, model_format, data.proof_texts)
    above = highest_version(context.repository, task)
    candidate = models.add_candidate(task, model_format, dataset.dataset_version, clock(), above)
    serving = Serving(models, context.repository, context.triton)
    with _rejected_on_failure(models, candidate, clock):
        progress(0.9, "publishing")
        repair = TextRepair(redact=tuple(task_settings.redact))
        publish(context.repository, candidate, trained, model, repair, context.run_id)
        renames = task_settings.labels.rename
        decision = _try(serving, candidate, trained, data, settings.gate, renames, progress)
    change = Change("retrain", decision.reason, context.run_id, clock())
    return _settle(serving, candidate, trained.test_measures, decision, change)


def _reject_abandoned(models: ModelStore, task: str, now: datetime) -> None:
    """Reject the candidates of runs that died."""
    for left in models.in_states(task, [ModelState.CANDIDATE]):
        _judge(models, left, {}, GateDecision(False, "its run ended before it was judged"), now)


def training_data(frame: pl.DataFrame) -> TrainingData:
    """Return a dataset's rows by split."""

    def rows(split: Split) -> LabeledTexts:
        part = frame.filter(pl.col("split") == split)
        return LabeledTexts(*(part[name].to_list() for name in ("text", "label", "weight")))

    return TrainingData(rows(Split.TRAIN), rows(Split.VALIDATION), rows(Split.TEST))


def _export(trained: TrainedModel, model_format: str, proof_texts: Sequence[str]) -> bytes:
    """Export a model.

    Raises:
        ExportMismatch: the export answers differently from the model.
    """
    exporters = {"onnx": export_onnx, "torchscript": export_torchscript}
    model = exporters[model_format](trained.classifier, trained.sequence_length)
    compare(model, model_format, trained.classifier, trained.encoder, proof_texts)
    return model


@contextmanager
def _rejected_on_failure(
    models: ModelStore, candidate: ModelVersion, clock: Clock
) -> Iterator[None]:
    """Reject a candidate if its trial ends with an exception."""
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
    """Try a candidate, and try it again if Triton dies: that is not the model's fault."""
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
    measures: Measures,
    decision: GateDecision,
    change: Change,
) -> Result:
    """Record the decision, promote or unload the candidate, and return the run's result."""
    models, task = serving.models, candidate.task
    judged = _judge(models, candidate, asdict(measures), decision, change.time)
    log.info("candidate_judged", version=judged.version, state=judged.state, reason=decision.reason)
    if decision.passed:
        models.promote(task, judged.version, change)
    else:
        serve(serving, task)
    return {
        "dataset_version": judged.dataset_version,
        "model_version": judged.version,
        "state": str(models.get(task, judged.version).state),
        "reason": decision.reason,
        "measures": dict(judged.measures),
    }


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
