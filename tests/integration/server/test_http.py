"""The HTTP API, asked over real connections."""

from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest

from tests.integration.server.asking_http import (
    BODY,
    PREDICT,
    TEXT,
    VERSIONS,
    Version,
    http,
    problem,
)
from tests.integration.server.front import LABELS, MAX_TEXT_LENGTH, Front
from tests.integration.server.refusal import of
from tests.integration.server.test_metrics import grown
from tests.plugins.waiting import wait_until
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_server.gateway.routes import ROUTES

JSON = {"content-type": "application/json"}


@pytest.fixture(params=VERSIONS)
def client(front: Front, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """Yield a client of each version of HTTP."""
    version: Version = request.param
    with http(front, version) as opened:
        yield opened
        assert opened.get("/docs").http_version == version


def test_a_prediction_is_that_of_grpc(client: httpx.Client, front: Front) -> None:
    """Label, confidence and version are the same, and the prediction is stored under its id."""
    asked = pb.PredictRequest(task="support", text=TEXT, top_k=2)
    expected = front.predictions.Predict(asked, timeout=10).prediction
    for path, body in ((PREDICT, {}), ("/predict", {"task": "support"})):
        answer = client.post(path, json={**BODY, **body, "top_k": 2, "request_id": "over http"})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        got = answer.json()
        assert (got["label"], got["model_version"]) == (expected.label, expected.model_version)
        assert got["confidence"] == pytest.approx(expected.confidence)
        assert [score["label"] for score in got["scores"]] == [s.label for s in expected.scores]
        assert got["abstained"] is expected.abstained
        stored = pb.GetPredictionRequest(prediction_id=got["prediction_id"])
        wait_until(lambda s=stored: _is_stored(front, s), "the prediction is stored")
        assert front.predictions.GetPrediction(stored, timeout=10).request_id == "over http"


def _is_stored(front: Front, request: pb.GetPredictionRequest) -> bool:
    try:
        return bool(front.predictions.GetPrediction(request, timeout=10).task)
    except grpc.RpcError as error:
        return of(error).code != "NOT_FOUND"


def test_feedback_is_stored(client: httpx.Client) -> None:
    """The answer is the verdict as stored, with either `correct` or `label`."""
    made = client.post(PREDICT, json=BODY).json()["prediction_id"]
    right = {"prediction_id": made, "correct": False, "source": "ann", "request_id": f"r{made}"}
    first, again = (client.post("/v1/feedback", json=right) for _ in range(2))
    assert first.status_code == 200, first.text
    assert first.json() == again.json()
    stored = first.json()
    assert (stored["prediction_id"], stored["task"], stored["correct"]) == (made, "support", False)
    assert "label" not in stored
    named = {"prediction_id": made, "label": LABELS[1], "source": "bob"}
    assert client.post("/v1/feedback", json=named).json()["label"] == LABELS[1]
    for body, reason in (
        ({"prediction_id": made}, "MISSING_VERDICT"),
        ({"prediction_id": made, "label": "no such label"}, "UNKNOWN_LABEL"),
        ({"prediction_id": made[:-2] + "xx", "correct": True}, "INVALID_PREDICTION_ID"),
        ({"prediction_id": made, "correct": True, "label": "a"}, "INVALID_FIELD"),
    ):
        assert problem(client.post("/v1/feedback", json=body))[:3] == (
            *(400, "INVALID_ARGUMENT"),
            reason,
        )


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (PREDICT, {"text": " "}, (400, "INVALID_ARGUMENT", "BLANK_TEXT", "text")),
        (PREDICT, {"text": "a\x00b"}, (400, "INVALID_ARGUMENT", "CONTROL_CHARACTERS", "text")),
        (PREDICT, {}, (400, "INVALID_ARGUMENT", "BLANK_TEXT", "text")),
        (PREDICT, {**BODY, "top_k": -1}, (400, "INVALID_ARGUMENT", "INVALID_TOP_K", "top_k")),
        ("/predict", BODY, (400, "INVALID_ARGUMENT", "UNKNOWN_TASK", "task")),
        ("/v1/tasks/no:predict", BODY, (400, "INVALID_ARGUMENT", "UNKNOWN_TASK", "task")),
        ("/v1/tasks/%ff:predict", BODY, (400, "INVALID_ARGUMENT", "UNKNOWN_TASK", "task")),
        ("/v1/tasks/untrained:predict", BODY, (400, "FAILED_PRECONDITION", "NO_CHAMPION", "")),
        (PREDICT, {**BODY, "x": 1}, (400, "INVALID_ARGUMENT", "INVALID_FIELD", "x")),
        ("/nothing", BODY, (404, "", "", "")),
        ("/v1/tasks/support", BODY, (404, "", "", "")),
        ("/docs", BODY, (405, "", "", "")),
    ],
)
def test_errors_have_the_reasons_of_grpc(
    client: httpx.Client, path: str, body: dict[str, Any], expected: tuple[int, str, str, str]
) -> None:
    """A problem document has the canonical code, the reason and the field."""
    assert problem(client.post(path, json=body)) == expected


def test_a_text_that_is_too_long_is_told_the_limit(client: httpx.Client) -> None:
    """The task's limit counts in characters; beyond the body's limit the answer is 413."""
    for size, expected in ((MAX_TEXT_LENGTH + 1, "TEXT_TOO_LONG"), (1_000_000, "TEXT_TOO_LONG")):
        answer = client.post(PREDICT, json={"text": "a" * size})
        assert problem(answer)[:3] == (400, "INVALID_ARGUMENT", expected)
    declared = client.post(PREDICT, json={"text": "a" * 3_000_000})
    assert problem(declared)[:3] == (413, "RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE")
    parts = (b'{"text": "' if i == 0 else b"a" * 65_536 for i in range(60))
    assert problem(client.post(PREDICT, content=parts, headers=JSON))[0] == 413
    assert client.post(PREDICT, json=BODY).status_code == 200


@pytest.mark.parametrize(
    ("headers", "content", "expected"),
    [
        ({"content-type": "text/plain"}, b"{}", (415, "UNSUPPORTED_MEDIA_TYPE")),
        (
            {"content-type": "application/x-www-form-urlencoded"},
            b"text=a",
            (415, "UNSUPPORTED_MEDIA_TYPE"),
        ),
        (
            {"content-type": "application/json; charset=latin-1"},
            b"{}",
            (415, "UNSUPPORTED_MEDIA_TYPE"),
        ),
        ({"content-type": "application/grpc"}, b"\0\0\0\0\0", (415, "")),
        ({}, b"{}", (415, "UNSUPPORTED_MEDIA_TYPE")),
        ({**JSON, "content-encoding": "gzip"}, b"\x1f\x8b", (415, "UNSUPPORTED_MEDIA_TYPE")),
        ({**JSON, "request-timeout": "soon"}, b"{}", (400, "INVALID_TIMEOUT")),
        ({**JSON, "request-timeout": "-1"}, b"{}", (400, "INVALID_TIMEOUT")),
        ({**JSON, "request-timeout": "0.0"}, b"{}", (400, "INVALID_TIMEOUT")),
        ({**JSON, "request-timeout": "nan"}, b"{}", (400, "INVALID_TIMEOUT")),
        (JSON, b"", (400, "MALFORMED_MESSAGE")),
        (JSON, b'{"text": "\xff"}', (400, "MALFORMED_MESSAGE")),
        (JSON, b'{"text": "\\ud800"}', (400, "MALFORMED_MESSAGE")),
        (JSON, b'{"text": "a", "text": "b"}', (400, "MALFORMED_MESSAGE")),
        (JSON, b"[" * 50_000, (400, "MALFORMED_MESSAGE")),
        ({**JSON, "host": "evil.example"}, b"{}", (403, "HOST_NOT_ALLOWED")),
        ({**JSON, "origin": "http://evil.example"}, b"{}", (403, "ORIGIN_NOT_ALLOWED")),
        ({**JSON, "origin": "null"}, b"{}", (403, "ORIGIN_NOT_ALLOWED")),
        ({**JSON, "origin": "http://localhost:3000"}, b"{}", (403, "ORIGIN_NOT_ALLOWED")),
    ],
)
def test_bad_requests(
    client: httpx.Client, headers: dict[str, str], content: bytes, expected: tuple[int, str]
) -> None:
    """Each is refused with its reason, and the next request on the connection is answered."""
    answer = client.post(PREDICT, content=content, headers=headers)
    assert answer.status_code == expected[0], answer.text
    if expected[1]:
        assert problem(answer)[2] == expected[1]
    assert client.post(PREDICT, json=BODY).status_code == 200


def test_a_page_of_its_own_may_call(client: httpx.Client) -> None:
    """The origin is the server's own; no answer allows another site to read it."""
    origin = str(client.base_url).rstrip("/")
    answer = client.post(PREDICT, json=BODY, headers={"origin": origin})
    assert answer.status_code == 200
    preflight = client.options(PREDICT, headers={"origin": "http://evil.example"})
    assert preflight.status_code == 405
    assert not [name for name in (*answer.headers, *preflight.headers) if "allow-origin" in name]


def test_methods_that_a_path_does_not_have(client: httpx.Client) -> None:
    """The answer lists those that it has; HEAD is GET without the body, but not of events."""
    for method, path, allowed in (
        ("GET", PREDICT, "POST"),
        ("DELETE", "/v1/feedback", "POST, GET, HEAD"),
        ("HEAD", "/v1/runs/1:watch", "GET"),
    ):
        answer = client.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    head, got = client.head("/health"), client.get("/health")
    assert (head.status_code, head.content, head.headers) == (200, b"", got.headers)


@pytest.mark.parametrize(
    ("method", "path", "detail"),
    [
        ("GET", "/v1/nothing", "there is no such path; /docs lists all of them"),
        ("GET", PREDICT, "the path does not take this method; it takes POST"),
        ("POST", "/docs", "the path does not take this method; it takes GET"),
    ],
)
def test_a_request_that_is_no_call_is_explained(
    client: httpx.Client, method: str, path: str, detail: str
) -> None:
    """A path or a method that does not exist has a problem document in plain words."""
    answer = client.request(method, path)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == detail


def test_the_openapi_page_loads_nothing(client: httpx.Client) -> None:
    """The document names the routes and their fields; the page shows them without scripts."""
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {route.path for route in ROUTES}
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    for word in ("/v1/tasks/{task}:predict", "prediction_id", "top_k", "curl -s"):
        assert word in page.text
    for loading in ("<script", "src=", "url(", "@import"):
        assert loading not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    for path in ("/docs", "/openapi.json"):
        assert problem(client.get(path, headers={"host": "evil.example"}))[0] == 403


def test_a_deadline_that_cannot_be_met(client: httpx.Client) -> None:
    """The call is refused or ends in time: 429 or 504, and a long timeout is answered."""
    answer = client.post(PREDICT, json=BODY, headers={"request-timeout": "0.000001"})
    assert problem(answer)[:2] == (504, "DEADLINE_EXCEEDED")
    fitting = client.post(PREDICT, json=BODY, headers={"request-timeout": "999999999"})
    assert fitting.status_code == 200


def test_calls_are_counted_and_logged_as_over_grpc(client: httpx.Client, front: Front) -> None:
    """The metrics have the method and the reason."""
    counted = {"requests_total": {"method": "PredictionService/Predict", "reason": "BLANK_TEXT"}}
    assert grown(front, counted, lambda: client.post(PREDICT, json={"text": ""})) == {
        "requests_total": 1
    }
