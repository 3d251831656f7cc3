"""The scope that each method on the port needs.

`predict` includes reading predictions, and `label` includes reading the texts and pairs that wait
for people. Reading other people's feedback, preferences and labels needs `admin`, as does
everything about models, datasets, reports and jobs, and every method that is not listed here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from tidemill_core.domain.access import Scope
from tidemill_core.prediction_id import PredictionIdSigner


class TaskSource(Enum):
    """The place in a method's request that names its task; the value is the field's name."""

    TASK = "task"
    PREDICTION_ID = "prediction_id"
    """A signed prediction id."""
    MODEL_NAME = "model_name"
    """A model of the Open Inference Protocol: `<task>-<format>`."""
    NAME = "name"
    """The same, in other requests of that protocol."""
    NONE = ""


@dataclass(frozen=True)
class Rule:
    """The requirements of a method.

    Attributes:
        scope: the scope that its caller must have; None for a method that is open to everyone.
        task: where its request names the task.
        is_audited: whether it is an admin action, which is recorded in the audit trail.
    """

    scope: Scope | None
    task: TaskSource = TaskSource.NONE
    is_audited: bool = False


_OPEN = Rule(None)
_PREDICT = Rule(Scope.PREDICT, TaskSource.TASK)
_PREDICT_ANY = Rule(Scope.PREDICT)
_INFER = Rule(Scope.PREDICT, TaskSource.MODEL_NAME)
_MODEL = Rule(Scope.PREDICT, TaskSource.NAME)
_FEEDBACK = Rule(Scope.FEEDBACK, TaskSource.PREDICTION_ID)
_JUDGE = Rule(Scope.FEEDBACK, TaskSource.TASK)
_LABEL = Rule(Scope.LABEL, TaskSource.TASK)
_SEE = Rule(Scope.ADMIN, TaskSource.TASK)
_SEE_ANY = Rule(Scope.ADMIN)
_CHANGE = Rule(Scope.ADMIN, TaskSource.TASK, is_audited=True)
_CHANGE_ANY = Rule(Scope.ADMIN, is_audited=True)

NOT_LISTED = _SEE_ANY

_SERVICES: Mapping[str, Mapping[str, Rule]] = {
    "tidemill.v1.PredictionService": {
        "Predict": _PREDICT,
        "BatchPredict": _PREDICT,
        "StreamPredict": _PREDICT,
        "GetPrediction": Rule(Scope.PREDICT, TaskSource.PREDICTION_ID),
    },
    "tidemill.v1.FeedbackService": {
        "SubmitFeedback": _FEEDBACK,
        "StreamFeedback": _FEEDBACK,
        "ListFeedback": _SEE,
        "ListHeldFeedback": _SEE,
        "ResolveHeldFeedback": _CHANGE,
        "SubmitPreference": _JUDGE,
        "ListPreferences": _SEE,
        "SubmitPreferencePair": _JUDGE,
        "NextPreferencePairs": _LABEL,
    },
    "tidemill.v1.LabelingService": {
        "LeaseLabelItems": _LABEL,
        "SubmitLabel": _LABEL,
        "ListLabelItems": _SEE,
    },
    "tidemill.v1.DatasetService": {
        "ListDatasetVersions": _SEE,
        "GetDatasetVersion": _SEE_ANY,
        "DiffDatasetVersions": _SEE_ANY,
        "ListExcludedRows": _SEE_ANY,
        "FindExamples": _SEE_ANY,
    },
    "tidemill.v1.ModelService": {
        "ListTasks": _SEE_ANY,
        "ListModelVersions": _SEE,
        "GetModelVersion": _SEE,
        "ListDeployments": _SEE,
        "GetRollout": _SEE,
        "WatchRollout": _SEE,
        "PromoteModelVersion": _CHANGE,
        "RollbackModel": _CHANGE,
        "SetTraffic": _CHANGE,
        "ApproveModelVersion": _CHANGE,
        "RejectModelVersion": _CHANGE,
        "PauseReleases": _CHANGE,
        "ResumeReleases": _CHANGE,
        "ImportModelVersion": _CHANGE,
    },
    "tidemill.v1.MonitoringService": {
        "ListReports": _SEE,
        "GetReport": _SEE_ANY,
        "ListAlerts": _SEE,
        "AcknowledgeAlert": _CHANGE_ANY,
        "SilenceAlerts": _CHANGE,
        "ListSilences": _SEE_ANY,
        "EndSilence": _CHANGE_ANY,
    },
    "tidemill.v1.JobService": {
        "ListJobs": _SEE_ANY,
        "GetJobRun": _SEE_ANY,
        "ListJobRuns": _SEE,
        "WatchJobRun": _SEE_ANY,
        "RunJob": _CHANGE,
        "CancelJobRun": _CHANGE_ANY,
    },
    "tidemill.v1.AccessService": {
        "ListApiKeys": _SEE_ANY,
        "CreateApiKey": _CHANGE_ANY,
        "RevokeApiKey": _CHANGE_ANY,
        "ListAuditRecords": _SEE,
    },
    "inference.GRPCInferenceService": {
        "ServerLive": _OPEN,
        "ServerReady": _OPEN,
        "ServerMetadata": _PREDICT_ANY,
        "ModelReady": _MODEL,
        "ModelMetadata": _MODEL,
        "ModelConfig": _MODEL,
        "ModelStatistics": _MODEL,
        "ModelInfer": _INFER,
        "ModelStreamInfer": _INFER,
        # These are refused to admins too: see docs/inference-protocol.md.
        "RepositoryIndex": _SEE_ANY,
        "RepositoryModelLoad": _SEE_ANY,
        "RepositoryModelUnload": _SEE_ANY,
        "SystemSharedMemoryStatus": _SEE_ANY,
        "SystemSharedMemoryRegister": _SEE_ANY,
        "SystemSharedMemoryUnregister": _SEE_ANY,
        "CudaSharedMemoryStatus": _SEE_ANY,
        "CudaSharedMemoryRegister": _SEE_ANY,
        "CudaSharedMemoryUnregister": _SEE_ANY,
        "TraceSetting": _SEE_ANY,
        "LogSettings": _SEE_ANY,
    },
    "grpc.health.v1.Health": {"Check": _OPEN, "Watch": _OPEN},
    "grpc.reflection.v1alpha.ServerReflection": {"ServerReflectionInfo": _PREDICT_ANY},
    "grpc.reflection.v1.ServerReflection": {"ServerReflectionInfo": _PREDICT_ANY},
}

POLICY: Mapping[str, Rule] = {
    f"/{service}/{method}": rule
    for service, methods in _SERVICES.items()
    for method, rule in methods.items()
}
"""The rule of each method, by its path: `/tidemill.v1.PredictionService/Predict`."""


def task_of(source: TaskSource, request: object, signer: PredictionIdSigner) -> str:
    """Return the task that a request names; empty if it names none.

    Raises:
        InvalidArgument: its prediction id is not valid.
    """
    if source is TaskSource.NONE:
        return ""
    named = str(getattr(request, source.value, ""))
    if source is TaskSource.TASK:
        return named
    if source is TaskSource.PREDICTION_ID:
        return signer.verify(named).task
    return named.rpartition("-")[0]
