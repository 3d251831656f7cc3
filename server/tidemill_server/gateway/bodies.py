"""The bodies of requests and answers, as the OpenAPI page shows them."""

from typing import Annotated

from pydantic import Field, model_validator

from tidemill_server.gateway.json_body import Body

Int32 = Annotated[int, Field(ge=-(2**31), lt=2**31)]


class PredictBody(Body):
    """A text to predict the label of."""

    text: str
    """The text; not blank, no longer than the task's limit in characters. In tasks of the kind
    preference, the prompt."""
    response: str = ""
    """The answer to rate; only in tasks of the kind preference."""
    top_k: Int32 = 0
    """How many scores to return; 0 means 1."""
    model_version: Int32 = 0
    """The version that answers; 0 lets the server choose."""
    request_id: str = ""
    """Correlates this request with the caller's records."""
    routing_key: str = ""
    """Equal keys get the same version while a new one is tried on some callers."""
    attributes: dict[str, str] = Field({})
    """Stored with the prediction for reports by slice; at most 16."""


class TaskPredictBody(PredictBody):
    """A text to predict the label of, and its task."""

    task: str = ""
    """The task; may be left out if the server has only one."""


class Score(Body):
    """One label and its probability."""

    label: str
    """The label."""
    score: float
    """Its calibrated probability, in [0, 1]."""


class PredictionBody(Body):
    """The prediction for one text."""

    prediction_id: str
    """Its signed id, to which feedback refers."""
    label: str
    """The most probable label."""
    confidence: float
    """Its calibrated probability, in [0, 1]."""
    scores: list[Score]
    """The most probable labels, best first."""
    model_version: int
    """The model version that answered."""
    abstained: bool
    """Whether the confidence is so low that a person should decide."""
    score: float | None = None
    """The reward of an answer; only in tasks of the kind preference."""


class FeedbackBody(Body):
    """A verdict on one prediction: either `correct` or `label`."""

    prediction_id: str
    """The prediction to judge."""
    correct: bool = False
    """Whether the predicted label is right."""
    label: str = ""
    """The right label; it must be a label of the task."""
    source: str = ""
    """Who gives the verdict."""
    comment: str = ""
    """Their comment."""
    request_id: str = ""
    """Makes retries safe: a repeated id returns the first response."""
    text: str = ""
    """The judged text, for tasks that do not store texts."""

    @model_validator(mode="after")
    def _has_one_verdict(self) -> "FeedbackBody":
        if {"correct", "label"} <= self.model_fields_set:
            raise ValueError("give either correct or label, not both")
        return self


class StoredFeedbackBody(Body):
    """A verdict as stored; it has either `correct` or `label`."""

    feedback_id: str
    """Its id."""
    prediction_id: str
    """The prediction that it judges."""
    task: str
    """The prediction's task."""
    model_version: int
    """The version that made the prediction."""
    correct: bool = False
    """Whether the predicted label is right."""
    label: str = ""
    """The right label."""
    source: str
    """Who gave the verdict."""
    comment: str
    """Their comment."""
    create_time: str
    """When it was stored (RFC 3339)."""


class ProblemBody(Body):
    """Why a request failed (RFC 9457)."""

    title: str
    """The HTTP status in words."""
    status: int
    """The HTTP status."""
    detail: str
    """What happened, for people."""
    code: str = ""
    """gRPC's canonical code, such as INVALID_ARGUMENT."""
    reason: str = ""
    """One word for programs, such as UNKNOWN_TASK; the same as over gRPC."""
    field: str = ""
    """The wrong field, if one is wrong."""
    retry_after_seconds: float = 0.0
    """When to try again, if that helps."""
