"""Between the contract's messages and the domain's values. All conversion is here."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from tidemill.v1 import (
    dataset_service_pb2,
    feedback_service_pb2,
    job_service_pb2,
    labeling_service_pb2,
    model_service_pb2,
    monitoring_service_pb2,
    prediction_service_pb2,
)
from tidemill_core.domain.dataset import DatasetVersion, LabelChange
from tidemill_core.domain.feedback import Feedback
from tidemill_core.domain.job import Job, JobRun
from tidemill_core.domain.labeling import Judgement, LabelItem
from tidemill_core.domain.model import Deployment, ModelVersion
from tidemill_core.domain.prediction import Prediction
from tidemill_core.domain.preference import Preference
from tidemill_core.domain.report import Alert, Report


def timestamp(moment: datetime | None) -> Timestamp | None:
    """A moment as Timestamp."""
    if moment is None:
        return None
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def _struct(values: Mapping[str, Any]) -> Struct:
    message = Struct()
    message.update(dict(values))
    return message


def prediction(value: Prediction) -> prediction_service_pb2.Prediction:
    """To the contract."""
    scores = [prediction_service_pb2.Score(label=s.label, score=s.score) for s in value.scores]
    return prediction_service_pb2.Prediction(
        prediction_id=value.prediction_id,
        label=value.label,
        confidence=value.confidence,
        scores=scores,
        model_version=value.model_version,
        abstained=value.abstained,
    )


def stored_prediction(value: Prediction) -> prediction_service_pb2.GetPredictionResponse:
    """To the contract, with what was asked."""
    return prediction_service_pb2.GetPredictionResponse(
        prediction=prediction(value),
        task=value.task,
        text=value.text,
        request_id=value.request_id,
        routing_key=value.routing_key,
        attributes=value.attributes,
        predict_time=timestamp(value.predict_time),
        latency_ms=value.latency_ms,
        propensity=value.propensity,
    )


def feedback(value: Feedback) -> feedback_service_pb2.Feedback:
    """To the contract."""
    message = feedback_service_pb2.Feedback(
        feedback_id=value.feedback_id,
        prediction_id=value.prediction_id,
        task=value.task,
        model_version=value.model_version,
        source=value.source,
        comment=value.comment,
        create_time=timestamp(value.create_time),
    )
    if value.correct is not None:
        message.correct = value.correct
    if value.label is not None:
        message.label = value.label
    return message


def preference(value: Preference) -> feedback_service_pb2.Preference:
    """To the contract."""
    return feedback_service_pb2.Preference(
        preference_id=value.preference_id,
        task=value.task,
        prompt=value.prompt,
        chosen=value.chosen,
        rejected=value.rejected,
        annotator=value.annotator,
        reason=value.reason,
        replaced_preference_id=value.replaced_preference_id,
        create_time=timestamp(value.create_time),
    )


def label_item(value: LabelItem, *, with_judgements: bool) -> labeling_service_pb2.LabelItem:
    """To the contract."""
    return labeling_service_pb2.LabelItem(
        label_item_id=value.label_item_id,
        task=value.task,
        text=value.text,
        reason=labeling_service_pb2.LabelReason.Value(f"LABEL_REASON_{value.reason}"),
        suggested_labels=value.suggested_labels,
        inclusion_probability=value.inclusion_probability,
        origin_count=value.origin_count,
        state=labeling_service_pb2.LabelItemState.Value(f"LABEL_ITEM_STATE_{value.state}"),
        judgements_wanted=value.judgements_wanted,
        judgements_given=len(value.judgements),
        judgements=map(label_judgement, value.judgements) if with_judgements else (),
        label=value.label,
        create_time=timestamp(value.create_time),
        lease_expire_time=timestamp(value.lease_expire_time),
        resolve_time=timestamp(value.resolve_time),
    )


def label_judgement(value: Judgement) -> labeling_service_pb2.LabelJudgement:
    """To the contract."""
    return labeling_service_pb2.LabelJudgement(
        label_item_id=value.label_item_id,
        annotator=value.annotator,
        label=value.label,
        create_time=timestamp(value.create_time),
    )


def dataset_version(value: DatasetVersion) -> dataset_service_pb2.DatasetVersion:
    """To the contract."""
    return dataset_service_pb2.DatasetVersion(
        dataset_version=value.dataset_version,
        task=value.task,
        uri=value.uri,
        row_counts=value.row_counts,
        label_counts=value.label_counts,
        label_source_counts=value.label_source_counts,
        quarantine_counts=value.quarantine_counts,
        create_time=timestamp(value.create_time),
        source_counts=[
            dataset_service_pb2.SourceCounts(source=source, outcomes=outcomes)
            for source, outcomes in sorted(value.source_counts.items())
        ],
        build_time=timestamp(value.build_time),
        parents=value.parents,
        code_version=value.code_version,
        erased_count=value.erased_count,
    )


def label_count_change(value: LabelChange) -> dataset_service_pb2.LabelCountChange:
    """To the contract."""
    return dataset_service_pb2.LabelCountChange(**asdict(value))


def model_version(value: ModelVersion) -> model_service_pb2.ModelVersion:
    """To the contract."""
    return model_service_pb2.ModelVersion(
        task=value.task,
        model_version=value.version,
        format=value.model_format,
        state=model_service_pb2.ModelState.Value(f"MODEL_STATE_{value.state}"),
        dataset_version=value.dataset_version,
        measures=value.measures,
        reason=value.reason,
        create_time=timestamp(value.create_time),
        update_time=timestamp(value.update_time),
    )


def deployment(value: Deployment) -> model_service_pb2.Deployment:
    """To the contract."""
    canaries = [
        model_service_pb2.TrafficShare(model_version=version, percent=percent)
        for version, percent in sorted(value.canaries.items())
    ]
    return model_service_pb2.Deployment(
        deployment_id=value.deployment_id,
        task=value.task,
        champion=value.champion,
        previous_champion=value.previous_champion,
        canaries=canaries,
        shadows=value.shadows,
        actor=value.actor,
        comment=value.comment,
        create_time=timestamp(value.create_time),
    )


def report(value: Report) -> monitoring_service_pb2.Report:
    """To the contract."""
    return monitoring_service_pb2.Report(
        report_id=value.report_id,
        task=value.task,
        kind=value.kind,
        model_version=value.model_version,
        verdict=monitoring_service_pb2.ReportVerdict.Value(f"REPORT_VERDICT_{value.verdict}"),
        summary=value.summary,
        details=_struct(value.details),
        run_id=value.run_id,
        create_time=timestamp(value.create_time),
    )


def alert(value: Alert) -> monitoring_service_pb2.Alert:
    """To the contract."""
    return monitoring_service_pb2.Alert(
        alert_id=value.alert_id,
        report_id=value.report_id,
        task=value.task,
        kind=value.kind,
        message=value.message,
        create_time=timestamp(value.create_time),
        acknowledge_time=timestamp(value.acknowledge_time),
        acknowledged_by=value.acknowledged_by,
    )


def job(value: Job) -> job_service_pb2.Job:
    """To the contract."""
    return job_service_pb2.Job(
        job=value.job, description=value.description, schedule=value.schedule
    )


def job_run(value: JobRun) -> job_service_pb2.JobRun:
    """To the contract."""
    return job_service_pb2.JobRun(
        run_id=value.run_id,
        job=value.job,
        task=value.task,
        state=job_service_pb2.JobRunState.Value(f"JOB_RUN_STATE_{value.state}"),
        trigger=value.trigger,
        fire_time=timestamp(value.fire_time),
        progress=value.progress,
        message=value.message,
        result=_struct(value.result),
        error=value.error,
        cancel_requested=value.cancel_requested,
        create_time=timestamp(value.create_time),
        start_time=timestamp(value.start_time),
        end_time=timestamp(value.end_time),
    )
