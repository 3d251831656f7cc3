"""FeedbackService: checked, durable, and counted once."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from tests.integration.server.front import MAX_TEXT_LENGTH, Front, Workspace
from tests.integration.server.refusal import read, refusal, words
from tidemill.v1 import feedback_service_pb2 as pb
from tidemill.v1 import prediction_service_pb2


@pytest.fixture(scope="module")
def prediction_ids(fronts: Callable[[str], Front]) -> list[str]:
    """Return 1,000 new predictions' ids."""
    request = prediction_service_pb2.BatchPredictRequest(task="support", texts=["card"] * 1000)
    results = fronts("h2corn").predictions.BatchPredict(request, timeout=20).results
    return [result.prediction.prediction_id for result in results]


def submit(front: Front, **fields: Any) -> pb.Feedback:
    """Submit one verdict."""
    return front.feedback.SubmitFeedback(pb.SubmitFeedbackRequest(**fields), timeout=10).feedback


def rows(workspace: Workspace, prediction_id: str) -> list[tuple[Any, ...]]:
    """Return what is stored about a prediction, read over another connection."""
    query = "SELECT feedback_id, correct, label, source FROM feedback WHERE prediction_id = ?"
    with closing(sqlite3.connect(workspace.database)) as connection:
        return connection.execute(query, [prediction_id]).fetchall()


@pytest.mark.parametrize("verdict", [{"correct": True}, {"correct": False}, {"label": "login"}])
def test_an_acknowledged_verdict_is_stored(
    front: Front, workspace: Workspace, prediction_ids: list[str], verdict: dict[str, Any]
) -> None:
    """When the call returns, every connection sees the row."""
    source = f"s-{verdict}"
    answer = submit(front, prediction_id=prediction_ids[0], source=source, comment="ü", **verdict)
    assert (answer.task, answer.model_version, answer.source) == ("support", 1, source)
    kind = answer.WhichOneof("verdict")
    assert kind is not None
    assert {kind: getattr(answer, kind)} == verdict
    stored = {row[0]: row[1:] for row in rows(workspace, prediction_ids[0])}
    correct, label = verdict.get("correct"), verdict.get("label")
    assert stored[answer.feedback_id] == (correct, label, source)


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({}, "MISSING_VERDICT", "verdict"),
        ({"label": "weather"}, "UNKNOWN_LABEL", "label"),
        ({"label": ""}, "UNKNOWN_LABEL", "label"),
        ({"correct": True, "source": "s" * 201}, "VALUE_TOO_LONG", "source"),
        ({"correct": True, "comment": "c" * 2001}, "VALUE_TOO_LONG", "comment"),
        ({"correct": True, "comment": "\0"}, "CONTROL_CHARACTERS", "comment"),
        ({"correct": True, "text": " \n"}, "BLANK_TEXT", "text"),
        ({"correct": True, "text": "t" * (MAX_TEXT_LENGTH + 1)}, "TEXT_TOO_LONG", "text"),
        ({"correct": True, "text": "\0"}, "CONTROL_CHARACTERS", "text"),
        ({"correct": True, "request_id": "r" * 201}, "VALUE_TOO_LONG", "request_id"),
        ({"correct": True, "prediction_id": "A" * 40}, "INVALID_PREDICTION_ID", "prediction_id"),
        ({"correct": True, "prediction_id": ""}, "INVALID_PREDICTION_ID", "prediction_id"),
    ],
)
def test_a_wrong_verdict_is_refused_by_field(
    front: Front,
    workspace: Workspace,
    prediction_ids: list[str],
    fields: dict[str, Any],
    reason: str,
    field: str,
) -> None:
    """Each broken rule is INVALID_ARGUMENT with its reason and field, and nothing is stored."""
    asked = {"prediction_id": prediction_ids[1], **fields}
    refused = refusal(lambda: submit(front, **asked))
    assert words(refused) == ("INVALID_ARGUMENT", reason, field)
    assert rows(workspace, prediction_ids[1]) == []


def test_a_text_is_stored_with_its_verdict(
    front: Front, workspace: Workspace, prediction_ids: list[str]
) -> None:
    """A caller's text is stored, in a single call and on a stream."""
    given = {"prediction_id": prediction_ids[4], "label": "card", "text": "my card\n漢字"}
    submit(front, source="one", **given)
    streamed = pb.StreamFeedbackRequest(source="streamed", **given)
    front.feedback.StreamFeedback(iter([streamed]), timeout=10)
    with closing(sqlite3.connect(workspace.database)) as connection:
        query = "SELECT source, text FROM feedback WHERE prediction_id = ? AND text IS NOT NULL"
        stored = dict(connection.execute(query, [prediction_ids[4]]))
    assert stored == {"one": given["text"], "streamed": given["text"]}


def test_repeating_a_request_id_changes_nothing(
    front: Front, workspace: Workspace, prediction_ids: list[str]
) -> None:
    """The same request id gets the first answer again, whatever else the repeat says."""
    first = submit(front, prediction_id=prediction_ids[2], correct=True, request_id="repeat-1")
    again = submit(front, prediction_id=prediction_ids[2], label="card", request_id="repeat-1")
    assert again == first
    assert len(rows(workspace, prediction_ids[2])) == 1


def test_a_request_id_is_one_verdicts_alone(
    front: Front, workspace: Workspace, prediction_ids: list[str]
) -> None:
    """For another prediction or source it is refused; on a stream only that verdict is."""
    place = {"prediction_id": prediction_ids[6], "source": "ann"}
    submit(front, **place, correct=True, request_id="alone-1")
    others = [{**place, "source": "ben"}, {**place, "prediction_id": prediction_ids[7]}]
    for other in others:
        again = {**other, "correct": False, "request_id": "alone-1"}
        refused = refusal(lambda again=again: submit(front, **again))
        assert words(refused) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED", "request_id")
    sent = [
        pb.StreamFeedbackRequest(**each, correct=False, request_id=request_id)
        for request_id in ("alone-1", "")
        for each in others
    ]
    sent.append(pb.StreamFeedbackRequest(**place, correct=True, request_id="alone-1"))
    sent.append(pb.StreamFeedbackRequest(prediction_id="forged", correct=True))
    answer = front.feedback.StreamFeedback(iter(sent), timeout=10)
    assert (answer.accepted_count, answer.rejected_count) == (3, 3)
    assert [each.index for each in answer.rejections] == [0, 1, 5]
    assert [row[1:] for row in rows(workspace, prediction_ids[6])] == [
        (1, None, "ann"),
        (0, None, "ben"),
    ]


def test_repeating_the_latest_verdict_changes_nothing(
    front: Front, workspace: Workspace, prediction_ids: list[str]
) -> None:
    """Without a request id, an equal verdict of the same source is stored once."""
    verdict = {"prediction_id": prediction_ids[3], "source": "ann"}
    first = submit(front, label="card", **verdict)
    assert submit(front, label="card", **verdict) == first
    changed = submit(front, label="login", **verdict)
    assert changed.feedback_id != first.feedback_id
    assert len(rows(workspace, prediction_ids[3])) == 2


def test_a_stream_stores_all_that_is_right(
    front: Front, workspace: Workspace, prediction_ids: list[str]
) -> None:
    """Of 1,000 verdicts the 3 bad ones are listed by index, and 997 are stored."""
    requests = [
        pb.StreamFeedbackRequest(prediction_id=each, correct=True, source="bulk")
        for each in prediction_ids
    ]
    requests[10].prediction_id = "forged"
    requests[500].label = "weather"
    requests[999].ClearField("verdict")
    for _ in range(2):  # the second time changes nothing
        answer = front.feedback.StreamFeedback(iter(requests), timeout=20)
        assert (answer.accepted_count, answer.rejected_count) == (997, 3)
        assert {r.index: words(read(r.error)) for r in answer.rejections} == {
            10: ("INVALID_ARGUMENT", "INVALID_PREDICTION_ID", "prediction_id"),
            500: ("INVALID_ARGUMENT", "UNKNOWN_LABEL", "label"),
            999: ("INVALID_ARGUMENT", "MISSING_VERDICT", "verdict"),
        }
    with closing(sqlite3.connect(workspace.database)) as connection:
        query = "SELECT count(*) FROM feedback WHERE source = 'bulk'"
        assert connection.execute(query).fetchone() == (997,)


def test_a_malformed_message_costs_none_before_it(
    front: Front, workspace: Workspace, prediction_ids: list[str]
) -> None:
    """Ten good verdicts before undecodable bytes are stored; then the call is refused."""
    good = [
        pb.StreamFeedbackRequest(prediction_id=each, correct=True, source="cut").SerializeToString()
        for each in prediction_ids[:10]
    ]
    channel: Any = front.channel
    stream = channel.stream_unary("/tidemill.v1.FeedbackService/StreamFeedback")
    refused = refusal(lambda: stream(iter([*good, b"\x0a\x01\xff", *good]), timeout=10))
    assert words(refused) == ("INVALID_ARGUMENT", "MALFORMED_MESSAGE", "message")
    with closing(sqlite3.connect(workspace.database)) as connection:
        query = "SELECT count(*) FROM feedback WHERE source = 'cut'"
        assert connection.execute(query).fetchone() == (10,)


def test_a_list_is_paged(front: Front, prediction_ids: list[str]) -> None:
    """Following the tokens shows each verdict once, newest first."""
    for number in range(5):
        submit(front, prediction_id=prediction_ids[5], correct=True, source=f"page-{number}")
    sources, token = [], ""
    while True:
        request = pb.ListFeedbackRequest(
            prediction_id=prediction_ids[5], page_size=2, page_token=token
        )
        page = front.feedback.ListFeedback(request, timeout=10)
        assert len(page.feedback) <= 2
        sources += [item.source for item in page.feedback if item.source not in ("bulk", "cut")]
        if not (token := page.next_page_token):
            break
    assert sources == [f"page-{number}" for number in reversed(range(5))]
    everything = front.feedback.ListFeedback(pb.ListFeedbackRequest(task="support"), timeout=10)
    assert len(everything.feedback) == 100


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"page_token": "nonsense"}, "INVALID_PAGE_TOKEN", "page_token"),
        ({"page_size": -1}, "INVALID_PAGE_SIZE", "page_size"),
    ],
)
def test_a_wrong_page_is_refused(
    front: Front, fields: dict[str, Any], reason: str, field: str
) -> None:
    """A token that no list returned and a negative size are INVALID_ARGUMENT."""
    asked = pb.ListFeedbackRequest(**fields)
    refused = refusal(lambda: front.feedback.ListFeedback(asked, timeout=10))
    assert words(refused) == ("INVALID_ARGUMENT", reason, field)
