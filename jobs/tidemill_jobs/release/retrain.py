"""The `retrain` job: once round the loop, from data to a new champion or a reasoned no."""

from collections.abc import Sequence
from dataclasses import asdict

import polars as pl
import stamina
import structlog

from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.domain.model import ModelState, ModelVersion
from tidemill_core.domain.split import Split
from tidemill_core.errors import ModelLoadFailed, TritonUnavailable
from tidemill_core.storage.deployments import Change
from tidemill_jobs.context import JobContext, Progress, Result
from tidemill_jobs.data.build import build_dataset
from tidemill_jobs.data.publishing.dataset import read_dataset
from tidemill_jobs.release.gate import Verdict
from tidemill_jobs.release.publish import new_candidate, publish
from tidemill_jobs.release.serving import serve
from tidemill_jobs.release.trial import AnswersDiffer, try_candidate
from tidemill_jobs.training.export import compare, export_onnx, export_torchscript
from tidemill_jobs.training.labelled_texts import LabelledTexts, TrainingData
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
    reject_stale(context)
    dataset = build_dataset(
        context.task,
        context.task_settings,
        context.settings.feedback.trust,
        context.settings.state_dir,
        context.storage,
        context.clock,
        _part(context.progress, 0.0, 0.1),
    ).version
    data = training_data(read_dataset(dataset.uri))
    trained = _train(context, dataset, data)
    context.progress(0.85, "exporting")
    model = _export(trained, context.task_settings.format, data.proof_texts)
    candidate = new_candidate(context, dataset)
    verdict = _verdict(context, candidate, trained, model, data)
    judged = _settle(context, candidate, trained, verdict)
    return {
        "dataset_version": dataset.dataset_version,
        "model_version": judged.version,
        "state": str(judged.state),
        "reason": verdict.reason,
        "measures": dict(judged.measures),
    }


def reject_stale(context: JobContext) -> None:
    """Reject candidates that an earlier run left behind when it died."""
    for left in context.storage.models.in_states(context.task, [ModelState.CANDIDATE]):
        _judge(context, left, {}, Verdict(False, "its run ended before it was judged"))


def training_data(frame: pl.DataFrame) -> TrainingData:
    """Return a dataset's rows by split, with how far each label is trusted."""

    def rows(split: Split) -> LabelledTexts:
        part = frame.filter(pl.col("split") == split)
        return LabelledTexts(*(part[name].to_list() for name in ("text", "label", "weight")))

    return TrainingData(rows(Split.TRAIN), rows(Split.VALIDATION), rows(Split.TEST))


def _train(context: JobContext, dataset: DatasetVersion, data: TrainingData) -> TrainedModel:
    tracking = TrackingConfig(
        tracking_uri=context.settings.effective_mlflow_tracking_uri,
        artifact_folder=context.settings.state_dir / "mlflow",
        task=context.task,
        model_format=context.task_settings.format,
        dataset=dataset,
    )
    with tracked_run(tracking) as tracker:
        return train(data, TrainingConfig(), _part(context.progress, 0.1, 0.85), tracker)


def _export(trained: TrainedModel, model_format: str, proof_texts: Sequence[str]) -> bytes:
    """Export a model, and prove that the export answers the same.

    Raises:
        ExportMismatch: it does not.
    """
    exporters = {"onnx": export_onnx, "torchscript": export_torchscript}
    model = exporters[model_format](trained.classifier, trained.sequence_length)
    compare(model, model_format, trained.classifier, trained.encoder, proof_texts)
    return model


def _verdict(
    context: JobContext,
    candidate: ModelVersion,
    trained: TrainedModel,
    model: bytes,
    data: TrainingData,
) -> Verdict:
    try:
        context.progress(0.9, "publishing")
        publish(context, candidate, trained, model)
        return _try(context, candidate, trained, data)
    except (ModelLoadFailed, AnswersDiffer) as error:
        return Verdict(False, f"{error.reason}: {error}")
    except BaseException as error:
        cause = str(error) or type(error).__name__
        _judge(context, candidate, {}, Verdict(False, f"could not be tested: {cause}"))
        raise


def _try(
    context: JobContext, candidate: ModelVersion, trained: TrainedModel, data: TrainingData
) -> Verdict:
    """Try a candidate, again where Triton died meanwhile: that is no fault of the model's."""
    for attempt in stamina.retry_context(on=TritonUnavailable, attempts=TRIALS, timeout=None):
        with attempt:
            context.triton.wait_ready(TRITON_READY_SECONDS)
            context.progress(0.92, "testing the candidate in Triton")
            verdict = try_candidate(context, candidate, trained, data.test, data.proof_texts)
    return verdict


def _settle(
    context: JobContext, candidate: ModelVersion, trained: TrainedModel, verdict: Verdict
) -> ModelVersion:
    """Record the verdict, promote what passed, and let Triton drop what did not."""
    judged = _judge(context, candidate, asdict(trained.test_measures), verdict)
    log.info("candidate_judged", version=judged.version, state=judged.state, reason=verdict.reason)
    if verdict.passed:
        change = Change("retrain", verdict.reason, context.run_id, context.clock())
        context.storage.models.promote(context.task, judged.version, change)
    else:
        serve(context.storage, context.repository, context.triton, context.task)
    return context.storage.models.get(context.task, judged.version)


def _judge(
    context: JobContext, candidate: ModelVersion, measures: dict[str, float], verdict: Verdict
) -> ModelVersion:
    state = ModelState.VALIDATED if verdict.passed else ModelState.REJECTED
    now = context.clock()
    return context.storage.models.judge(
        candidate.task, candidate.version, state, measures, verdict.reason, now
    )


def _part(progress: Progress, start: float, end: float) -> Progress:
    """Progress of a part that takes a run from `start` to `end`."""
    return lambda done, message: progress(start + (end - start) * done, message)
