"""Answers as JSON."""

import json
import math
from typing import Any

from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from tidemill.v1.dataset_service_pb2 import DatasetVersion
from tidemill.v1.job_service_pb2 import JobRun
from tidemill.v1.labeling_service_pb2 import LabelItem
from tidemill.v1.model_service_pb2 import GateResult, ModelVersion
from tidemill.v1.monitoring_service_pb2 import Report
from tidemill.v1.prediction_service_pb2 import BatchPredictResponse, Prediction
from tidemill_core.errors import InvalidArgument, ResourceExhausted
from tidemill_server.gateway.json_answer import converter, json_bytes
from tidemill_server.gateway.models import answer_model
from tidemill_server.rpc.status import to_status


def shown(message: Message) -> Any:
    """Return the JSON of a message, after checking that its model allows it."""
    found = json.loads(json_bytes(converter(message.DESCRIPTOR)(message)))
    answer_model(message.DESCRIPTOR).model_validate(found)
    return found


def test_what_is_always_set_is_always_there() -> None:
    """Fields that may be unset are left out, but a set one that is zero is not."""
    assert shown(LabelItem(label_item_id="i"))["judgements"] == []
    assert shown(LabelItem(label_item_id="i"))["state"] == "LABEL_ITEM_STATE_UNSPECIFIED"
    assert not {"inclusion_probability", "create_time"} & shown(LabelItem()).keys()
    assert shown(Prediction(score=0.0))["score"] == 0
    run = shown(JobRun(reproduce_model={"model_version": 0}))
    assert (run["reproduce_model"], "retrain" in run) == ({"model_version": 0}, False)


def test_numbers_times_and_states() -> None:
    """Large integers are numbers, times RFC 3339, states names, and maps objects."""
    version = DatasetVersion(row_counts={"train": 2**40}, create_time={"seconds": 1, "nanos": 500})
    assert shown(version)["row_counts"] == {"train": 2**40}
    assert shown(version)["create_time"] == "1970-01-01T00:00:01.000000500Z"
    assert shown(ModelVersion(state="MODEL_STATE_CANARY"))["state"] == "MODEL_STATE_CANARY"


def test_numbers_that_are_not_finite_are_null() -> None:
    """JSON has none: in fields, maps and the figures of reports."""
    assert shown(ModelVersion(measures={"loss": math.nan}))["measures"] == {"loss": None}
    assert shown(GateResult(figure=math.inf))["figure"] is None
    report = Report(details={"a": [1, 0.5, -math.inf, None, {"b": True}], "c": "text"})
    assert shown(report)["details"] == {"a": [1, 0.5, None, None, {"b": True}], "c": "text"}


def test_an_error_of_one_item_is_a_problem_document() -> None:
    """It has the status, the reason and the field that the whole request would have."""
    wrong = to_status(InvalidArgument("BLANK_TEXT", "texts[0]", "is blank"))
    busy = to_status(ResourceExhausted("OVERLOADED", "too much", 0.5))
    first, second = shown(BatchPredictResponse(results=[{"error": wrong}, {"error": busy}]))[
        "results"
    ]
    assert first["error"] == {
        "title": "Bad Request",
        "status": 400,
        "detail": "texts[0]: is blank",
        "code": "INVALID_ARGUMENT",
        "reason": "BLANK_TEXT",
        "field": "texts[0]",
    }
    assert (second["error"]["status"], second["error"]["retry_after_seconds"]) == (429, 0.5)


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES, max_size=3), st.text(), st.floats())
def test_any_message_is_json(details: dict[str, Any], label: str, confidence: float) -> None:
    """Whatever the fields have, the answer is valid JSON that its schema allows."""
    assert shown(Report(details=details, summary=label))["summary"] == label
    found = shown(Prediction(label=label, confidence=confidence))["confidence"]
    assert found == (confidence if math.isfinite(confidence) else None)
