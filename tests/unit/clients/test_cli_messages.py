"""Messages as JSON for scripts, and lists of several pages."""

from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from tidemill.v1.feedback_service_pb2 import Feedback, ListFeedbackRequest, ListFeedbackResponse
from tidemill.v1.job_service_pb2 import JobRun, JobRunState
from tidemill.v1.model_service_pb2 import Deployment, ModelState, ModelVersion, TrafficShare
from tidemill_cli.listing import collect
from tidemill_cli.messages import enum_name, time_text, to_json

NOON = Timestamp(seconds=1_700_000_000)


def test_enums_lose_their_types_name_and_times_are_rfc_3339() -> None:
    """A model version reads like its proto, with CHAMPION and 2023-11-14T22:13:20Z."""
    version = ModelVersion(
        task="support",
        model_version=3,
        state=ModelState.MODEL_STATE_CHAMPION,
        measures={"accuracy": 0.9},
        create_time=NOON,
    )
    assert to_json(version) == {
        "task": "support",
        "model_version": 3,
        "format": "",
        "state": "CHAMPION",
        "dataset_version": "",
        "measures": {"accuracy": 0.9},
        "reason": "",
        "create_time": "2023-11-14T22:13:20Z",
        "update_time": None,
        "approved_by": "",
        "trained_because": "",
        "judge_time": None,
    }


def test_a_state_of_two_words_keeps_both() -> None:
    """Only the type's name is removed from an enum's value."""
    version = ModelVersion(state=ModelState.MODEL_STATE_ROLLED_BACK)
    assert enum_name(version, "state") == "ROLLED_BACK"


def test_an_enum_value_of_a_newer_server_is_its_number() -> None:
    """A value that this client does not know is shown, not an error."""
    run = JobRun.FromString(bytes([4 << 3, 77]))
    assert to_json(run)["state"] == "77"


def test_large_integers_are_numbers_and_counts_in_a_struct_are_whole() -> None:
    """int64 is a JSON number, and a Struct's 12.0 is 12."""
    result = Struct()
    result.update({"rows": 12, "accuracy": 0.5, "labels": [1, 2]})
    run = JobRun(run_id="r", state=JobRunState.JOB_RUN_STATE_SUCCEEDED, result=result)
    assert to_json(run)["result"] == {"rows": 12, "accuracy": 0.5, "labels": [1, 2]}
    assert to_json(Deployment(deployment_id=2**40))["deployment_id"] == 2**40


def test_of_a_oneof_only_the_member_that_is_set_is_there() -> None:
    """A verdict that is false is shown as false, and the other verdict is not shown."""
    document = to_json(Feedback(feedback_id="f", correct=False))
    assert document["correct"] is False
    assert "label" not in document


def test_lists_of_messages_are_lists_of_objects() -> None:
    """Repeated fields are lists, even if empty."""
    deployment = Deployment(canaries=[TrafficShare(model_version=4, percent=10)])
    document = to_json(deployment)
    assert document["canaries"] == [{"model_version": 4, "percent": 10}]
    assert document["shadows"] == []


def test_a_time_that_is_not_set_is_empty_for_people() -> None:
    """Tables show times to the second in UTC, and nothing for times that are not set."""
    assert time_text(NOON) == "2023-11-14 22:13:20"
    assert time_text(Timestamp()) == ""


def test_rows_come_from_as_many_pages_as_it_takes() -> None:
    """Pages are requested by token up to the limit or the last page."""
    asked: list[tuple[int, str]] = []

    def fetch(request: ListFeedbackRequest, timeout: float) -> ListFeedbackResponse:
        assert timeout > 0
        asked.append((request.page_size, request.page_token))
        first = int(request.page_token or 0)
        numbers = range(first, first + min(request.page_size, 3))
        return ListFeedbackResponse(
            feedback=[Feedback(feedback_id=str(number)) for number in numbers],
            next_page_token=str(first + 3) if first < 6 else "",
        )

    everything = collect(fetch, ListFeedbackRequest(), limit=100)
    assert [row.feedback_id for row in everything] == [str(number) for number in range(9)]
    asked.clear()
    assert len(collect(fetch, ListFeedbackRequest(), limit=4)) == 4
    assert asked == [(4, ""), (1, "3")]
    even = collect(fetch, ListFeedbackRequest(), 2, keep=lambda row: int(row.feedback_id) % 2 == 0)
    assert [row.feedback_id for row in even] == ["0", "2"]
