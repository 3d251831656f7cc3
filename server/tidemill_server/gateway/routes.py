"""The routes of the HTTP API: one line for each, which names the RPC that it calls."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_NAME = re.compile(r"{(\w+)}")


@dataclass(frozen=True)
class Route:
    """One way to call an RPC.

    Attributes:
        verb: GET, POST or PUT. Those of GET take the request's fields from the query, others from
            a JSON body, or from lines of JSON if the RPC takes a stream.
        path: the path; `{field}` is a field of the request.
        rpc: the RPC, such as `PredictionService/Predict`.
        answer: the field of the response that is the answer; empty for the whole response.
        example: values of fields for an example of the request. The values of `{field}` and of
            ids are made up.
        healthy: the value of the answer's `status` that is 200; others are 503. Empty if the
            answer is always 200.
    """

    verb: str
    path: str
    rpc: str
    answer: str = ""
    example: Mapping[str, Any] = field(default_factory=dict)
    healthy: str = ""

    @property
    def path_fields(self) -> Sequence[str]:
        """The fields that the path has."""
        return _NAME.findall(self.path)


_TEXT = "I am still waiting on my card"
_ANN = {"actor": "ann"}
_VERSION = "/v1/tasks/{task}/models/{model_version}"
_WHY = {**_ANN, "comment": "the canary looks good"}
_QUESTION = {"task": "TASK", "prompt": "Where is my card?"}
_ANSWERS = ("It is on its way. It arrives within a week.", "I do not know.")
_SILENCE = {**_ANN, "task": "TASK", "kind": "drift", "end_time": "END_TIME", "reason": "a test"}
_PAUSE = {**_ANN, "comment": "Black Friday"}

# The first route whose path matches counts, so `/x/{id}:do` is before `/x/{id}`.
ROUTES = (
    Route(
        "POST",
        "/v1/tasks/{task}:predict",
        "PredictionService/Predict",
        "prediction",
        {"text": _TEXT, "top_k": 3, "attributes": {"channel": "mail"}},
    ),
    Route("POST", "/predict", "PredictionService/Predict", "prediction", {"text": _TEXT}),
    Route(
        "POST",
        "/v1/tasks/{task}:batchPredict",
        "PredictionService/BatchPredict",
        example={"texts": [_TEXT, "Please close my account"]},
    ),
    Route(
        "POST",
        "/v1/tasks/{task}:streamPredict",
        "PredictionService/StreamPredict",
        example={"id": "1", "text": _TEXT},
    ),
    Route("GET", "/v1/predictions/{prediction_id}", "PredictionService/GetPrediction"),
    Route(
        "POST",
        "/v1/feedback",
        "FeedbackService/SubmitFeedback",
        "feedback",
        {"prediction_id": "PREDICTION_ID", "correct": True, "source": "agent-7"},
    ),
    Route(
        "POST",
        "/v1/feedback:batch",
        "FeedbackService/StreamFeedback",
        example={"prediction_id": "PREDICTION_ID", "correct": True, "source": "agent-7"},
    ),
    Route("GET", "/v1/feedback", "FeedbackService/ListFeedback", example={"task": "TASK"}),
    Route(
        "GET",
        "/v1/held-feedback",
        "FeedbackService/ListHeldFeedback",
        example={"task": "TASK", "state": "HOLD_STATE_HELD"},
    ),
    Route(
        "POST",
        "/v1/tasks/{task}/held-feedback:resolve",
        "FeedbackService/ResolveHeldFeedback",
        example={"state": "HOLD_STATE_RELEASED", "source": "agent-7", "comment": "a new team"},
    ),
    Route(
        "POST",
        "/v1/preferences",
        "FeedbackService/SubmitPreference",
        "preference",
        {**_QUESTION, "chosen": _ANSWERS[0], "rejected": _ANSWERS[1], "annotator": "ann"},
    ),
    Route("GET", "/v1/preferences", "FeedbackService/ListPreferences", example={"task": "TASK"}),
    Route(
        "POST",
        "/v1/preference-pairs",
        "FeedbackService/SubmitPreferencePair",
        "pair",
        {**_QUESTION, "first": _ANSWERS[0], "second": _ANSWERS[1]},
    ),
    Route(
        "GET",
        "/v1/preference-pairs",
        "FeedbackService/NextPreferencePairs",
        example={"task": "TASK", "annotator": "ann", "max_items": 10},
    ),
    Route(
        "POST",
        "/v1/tasks/{task}/label-items:lease",
        "LabelingService/LeaseLabelItems",
        example={"annotator": "ann", "max_items": 10},
    ),
    Route(
        "POST",
        "/v1/tasks/{task}/label-items/{label_item_id}:label",
        "LabelingService/SubmitLabel",
        example={"annotator": "ann", "label": "card_arrival"},
    ),
    Route(
        "GET",
        "/v1/label-items",
        "LabelingService/ListLabelItems",
        example={"task": "TASK", "states": ["LABEL_ITEM_STATE_OPEN"]},
    ),
    Route("GET", "/v1/datasets", "DatasetService/ListDatasetVersions", example={"task": "TASK"}),
    Route(
        "GET",
        "/v1/datasets/{dataset_version}:diff",
        "DatasetService/DiffDatasetVersions",
        example={"base_dataset_version": "BASE_DATASET_VERSION"},
    ),
    Route("GET", "/v1/datasets/{dataset_version}/excluded-rows", "DatasetService/ListExcludedRows"),
    Route(
        "POST",
        "/v1/datasets/{dataset_version}:findExamples",
        "DatasetService/FindExamples",
        example={"text": "My card has not arrived"},
    ),
    Route(
        "GET",
        "/v1/datasets/{dataset_version}",
        "DatasetService/GetDatasetVersion",
        "dataset_version",
    ),
    Route("GET", "/v1/tasks", "ModelService/ListTasks"),
    Route("GET", "/v1/models", "ModelService/ListModelVersions", example={"task": "TASK"}),
    Route(
        "PUT",
        "/v1/tasks/{task}/traffic",
        "ModelService/SetTraffic",
        "deployment",
        {"shadows": [2], "actor": "ann"},
    ),
    Route("POST", f"{_VERSION}:promote", "ModelService/PromoteModelVersion", "deployment", _WHY),
    Route("POST", f"{_VERSION}:approve", "ModelService/ApproveModelVersion", "model_version", _WHY),
    Route("POST", f"{_VERSION}:reject", "ModelService/RejectModelVersion", "model_version", _WHY),
    Route(
        "GET",
        f"{_VERSION}/rollout:watch",
        "ModelService/WatchRollout",
        "rollout",
    ),
    Route(
        "GET",
        f"{_VERSION}/rollout",
        "ModelService/GetRollout",
        "rollout",
    ),
    Route("GET", _VERSION, "ModelService/GetModelVersion"),
    Route(
        "POST",
        "/v1/tasks/{task}:rollback",
        "ModelService/RollbackModel",
        "deployment",
        {"actor": "ann", "comment": "wrong labels since noon"},
    ),
    Route("POST", "/v1/tasks/{task}:pauseReleases", "ModelService/PauseReleases", "", _PAUSE),
    Route("POST", "/v1/tasks/{task}:resumeReleases", "ModelService/ResumeReleases", "", _PAUSE),
    Route("GET", "/v1/deployments", "ModelService/ListDeployments", example={"task": "TASK"}),
    Route("GET", "/v1/reports", "MonitoringService/ListReports", example={"task": "TASK"}),
    Route("GET", "/v1/reports/{report_id}", "MonitoringService/GetReport", "report"),
    Route(
        "GET",
        "/v1/alerts",
        "MonitoringService/ListAlerts",
        example={"task": "TASK", "unresolved_only": True},
    ),
    Route(
        "POST",
        "/v1/alerts/{alert_id}:acknowledge",
        "MonitoringService/AcknowledgeAlert",
        "alert",
        _ANN,
    ),
    Route("POST", "/v1/silences", "MonitoringService/SilenceAlerts", "silence", _SILENCE),
    Route("GET", "/v1/silences", "MonitoringService/ListSilences", example={"active_only": True}),
    Route("POST", "/v1/silences/{silence_id}:end", "MonitoringService/EndSilence"),
    Route("GET", "/v1/jobs", "JobService/ListJobs", example={"page_size": 10}),
    Route(
        "POST",
        "/v1/tasks/{task}/jobs/{job}:run",
        "JobService/RunJob",
        "job_run",
        {"request_id": "the run of 2026-02-01", "retrain": {"trials": 5}},
    ),
    Route("GET", "/v1/runs", "JobService/ListJobRuns", example={"task": "TASK"}),
    Route("POST", "/v1/runs/{run_id}:cancel", "JobService/CancelJobRun"),
    Route("GET", "/v1/runs/{run_id}:watch", "JobService/WatchJobRun", "job_run"),
    Route("GET", "/v1/runs/{run_id}", "JobService/GetJobRun", "job_run"),
    Route("GET", "/v1/api-keys", "AccessService/ListApiKeys"),
    Route(
        "POST",
        "/v1/api-keys",
        "AccessService/CreateApiKey",
        example={"name": "shop", "scopes": ["predict", "feedback"], "tasks": ["TASK"]},
    ),
    Route("POST", "/v1/api-keys/{key_id}:revoke", "AccessService/RevokeApiKey", "api_key"),
    Route("GET", "/v1/audit", "AccessService/ListAuditRecords", example={"caller": "ann"}),
    Route("GET", "/health", "Health/Check", healthy="SERVING"),
)

GRPC_ONLY = {
    "ModelService/ImportModelVersion": "it takes files of up to 1 GiB, as `tidemill models import`",
    "Health/Watch": "ask GET /health again instead",
    "GRPCInferenceService": "clients of the Open Inference Protocol call it over gRPC",
    "ServerReflection": "the OpenAPI document describes the HTTP API",
}
"""The services and RPCs that have no route, and why."""
