"""Streams over HTTP: lines of JSON, and server-sent events."""

import contextlib
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import psutil
import pytest

from tests.integration.server.asking_http import PREDICT, TEXT, VERSIONS, Version, http, problem
from tests.integration.server.front import LABELS, Front, Workspace
from tests.integration.server.scraping import in_flight
from tests.plugins.waiting import wait_until
from tidemill_core.domain.job import Job
from tidemill_server.rpc.watches import MAX_WATCHES

JSON, LINES = ({"content-type": f"application/{each}"} for each in ("json", "x-ndjson"))
STREAM = "/v1/tasks/support:streamPredict"
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


@pytest.fixture(params=VERSIONS)
def client(front: Front, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """Yield a client of each version of HTTP."""
    version: Version = request.param
    with http(front, version) as opened:
        yield opened


def lines(*messages: object) -> bytes:
    """Return a body of lines."""
    return b"".join(json.dumps(each).encode() + b"\n" for each in messages)


def events(text: str) -> list[tuple[str, dict[str, object]]]:
    """Return the name and the data of each event."""
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line != ":")
        if fields:
            found.append((fields.get("event", ""), json.loads(fields["data"])))
    return found


def test_lines_are_answered_in_order(client: httpx.Client) -> None:
    """A text that cannot be predicted has its problem document in its place."""
    body = lines({"id": "a", "text": TEXT}, {"id": "b", "text": ""}) + b"\n \r\n"
    answer = client.post(
        STREAM, content=body + lines({"id": "c", "text": TEXT})[:-1], headers=LINES
    )
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    first, second, third = map(json.loads, answer.text.splitlines())
    assert [first["id"], second["id"], third["id"]] == ["a", "b", "c"]
    assert first["prediction"]["label"] == third["prediction"]["label"]
    assert (second["error"]["status"], second["error"]["reason"]) == (400, "BLANK_TEXT")


def test_events_for_browsers(client: httpx.Client) -> None:
    """The same answers, and an event at the end, so that a browser does not connect again."""
    headers = {**LINES, "accept": "text/event-stream"}
    answer = client.post(STREAM, content=lines({"id": "a", "text": TEXT}), headers=headers)
    assert answer.headers["content-type"] == "text/event-stream"
    (name, first), end = events(answer.text)
    assert (name, first["id"], end) == ("", "a", ("end", {}))


def test_a_wrong_line_ends_the_stream(client: httpx.Client) -> None:
    """The answers before it come first; the problem names the line, as a line or an event."""
    body = lines({"id": "a", "text": TEXT}) + b"\n" + lines({"id": "b", "txt": ""}, {"id": "c"})
    answer = client.post(STREAM, content=body, headers=LINES)
    first, last = map(json.loads, answer.text.splitlines())
    assert (first["id"], last["problem"]["field"]) == ("a", "txt")
    assert "(line 3)" in last["problem"]["detail"]
    events_wanted = {**LINES, "accept": "text/event-stream"}
    name, last = events(client.post(STREAM, content=body, headers=events_wanted).text)[-1]
    assert (name, last["reason"]) == ("problem", "INVALID_FIELD")


@pytest.mark.parametrize(
    ("content", "headers", "expected"),
    [
        (b"no JSON\n", LINES, (400, "INVALID_ARGUMENT", "MALFORMED_MESSAGE")),
        (b'{"id": 1}', LINES, (400, "INVALID_ARGUMENT", "INVALID_FIELD")),
        (
            b"{}",
            {"content-type": "application/json"},
            (415, "INVALID_ARGUMENT", "UNSUPPORTED_MEDIA_TYPE"),
        ),
        (b" " * 3_000_000, LINES, (413, "RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE")),
    ],
)
def test_a_stream_that_fails_at_once(
    client: httpx.Client, content: bytes, headers: dict[str, str], expected: tuple[int, str, str]
) -> None:
    """Before the first answer, the failure is the status of the whole answer."""
    assert problem(client.post(STREAM, content=content, headers=headers))[:3] == expected


def test_an_empty_stream(client: httpx.Client) -> None:
    """It has no answers."""
    answer = client.post(STREAM, content=b"", headers=LINES)
    assert (answer.status_code, answer.content) == (200, b"")


@contextlib.contextmanager
def open_stream(front: Front) -> Iterator[subprocess.Popen[bytes]]:
    """Yield curl with an open stream over HTTP/2: lines go in, and answers come out."""
    options = ["-sN", "--http2-prior-knowledge", "-X", "POST", "-T", "."]
    url = f"http://127.0.0.1:{front.http_port}{STREAM}"
    command = ["curl", *options, "-H", "content-type: application/x-ndjson", url]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, bufsize=0) as caller:
        yield caller
        caller.kill()


def asked(caller: subprocess.Popen[bytes], number: int) -> object:
    """Send a line, and return the id of the next answer."""
    assert caller.stdin
    assert caller.stdout
    caller.stdin.write(lines({"id": f"n{number}", "text": TEXT}))
    return json.loads(caller.stdout.readline())["id"]


@needs_curl
def test_an_answer_comes_before_the_next_line(front: Front) -> None:
    """The caller of an open stream over HTTP/2 need not end it to be answered."""
    with open_stream(front) as caller:
        assert [asked(caller, number) for number in (1, 2, 3)] == ["n1", "n2", "n3"]


def test_many_verdicts_at_once(client: httpx.Client) -> None:
    """The answer counts what is stored, and says why the rest is not."""
    made = client.post(PREDICT, json={"text": TEXT}).json()["prediction_id"]
    good = {"prediction_id": made, "label": LABELS[0], "source": "bulk"}
    body = lines(good, {"prediction_id": "forged", "correct": True}, good)
    answer = client.post("/v1/feedback:batch", content=body, headers=LINES).json()
    assert (answer["accepted_count"], answer["rejected_count"]) == (2, 1)
    (rejection,) = answer["rejections"]
    assert (rejection["index"], rejection["error"]["reason"]) == (1, "INVALID_PREDICTION_ID")


def watched(client: httpx.Client, workspace: Workspace) -> str:
    """Return the path on which a new run is watched."""
    workspace.storage.jobs.set_catalog([Job("retrain", "Trains.", "")])
    run = client.post("/v1/tasks/untrained/jobs/retrain:run", json={}).json()
    return f"/v1/runs/{run['run_id']}:watch"


def test_a_run_is_followed(client: httpx.Client, workspace: Workspace) -> None:
    """Each change is an event, until the run ends."""
    path = watched(client, workspace)
    states: list[object] = []
    with client.stream("GET", path) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        received = ""
        for part in answer.iter_text():
            received += part
            states = [data.get("state") for _, data in events(received)]
            if states == ["JOB_RUN_STATE_QUEUED"]:
                client_path = path.removesuffix(":watch")
                workspace.storage.jobs.cancel(client_path.rpartition("/")[2], datetime.now(UTC))
    assert states == ["JOB_RUN_STATE_QUEUED", "JOB_RUN_STATE_CANCELLED", None]
    assert problem(client.get("/v1/runs/nothing:watch"))[:2] == (404, "NOT_FOUND")


def test_a_browser_that_leaves_frees_its_work(front: Front, workspace: Workspace) -> None:
    """The watch of a run ends soon after its caller is gone, although nothing changes."""
    with http(front) as client:
        path = watched(client, workspace)
    method = "JobService/WatchJobRun"
    with socket.create_connection(("127.0.0.1", front.http_port), 10) as browser:
        browser.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert browser.recv(64).startswith(b"HTTP/1.1 200 ")
        assert in_flight(front, method) == [1]
    wait_until(lambda: in_flight(front, method) == [0], "it is over")
    with http(front) as client:
        client.post(f"{path.removesuffix(':watch')}:cancel", json={})
    assert "unexpected_error" not in front.log()


def test_a_process_has_room_for_some_watches(front: Front, workspace: Workspace) -> None:
    """Beyond it, a watch is 429 with the time to come back, and other calls are answered."""
    with contextlib.ExitStack() as callers, http(front) as client:
        path = watched(client, workspace)
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        for _ in range(MAX_WATCHES):
            watch = socket.create_connection(("127.0.0.1", front.http_port), 30)
            callers.enter_context(watch).sendall(head)
            assert watch.recv(64).startswith(b"HTTP/1.1 200 ")
        refused = client.get(path)
        assert problem(refused)[:3] == (429, "RESOURCE_EXHAUSTED", "TOO_MANY_STREAMS")
        assert refused.headers["retry-after"] == "5"
        assert client.get(path.removesuffix(":watch")).status_code == 200
        client.post(f"{path.removesuffix(':watch')}:cancel", json={})


@needs_curl
def test_a_caller_that_leaves_its_stream_frees_its_work(front: Front) -> None:
    """A stream of predictions ends when its caller is killed."""
    method = "PredictionService/StreamPredict"
    with open_stream(front) as caller:
        assert asked(caller, 1) == "n1"
        assert in_flight(front, method) == [1]
    wait_until(lambda: in_flight(front, method) == [0], "it is over")
    assert "unexpected_error" not in front.log()


_BODIES = (
    (STREAM, "x-ndjson", 413),
    ("/v1/feedback:batch", "x-ndjson", 413),
    (PREDICT, "json", 413),
    ("/v1/tasks/support:batchPredict", "json", 413),
    ("/v1/feedback", "json", 413),
    ("/v1/tasks/support/jobs/retrain:run", "json", 413),
    ("/console/sign-in", "x-www-form-urlencoded", 413),
    ("/console/t/support/try", "x-www-form-urlencoded", 413),
    ("/v1/models", "json", 405),
    ("/v1/nothing", "json", 404),
    ("/docs", "json", 405),
)
"""A path of each group of routes, the type of a body for it, and the answer to 100 MB."""


@pytest.mark.parametrize("length", ["Content-Length: 100000000", "Transfer-Encoding: chunked"])
def test_a_body_of_100_mb_is_not_held(front: Front, length: str) -> None:
    """It is refused after the first megabytes, whether its length is known or it never ends."""
    process = psutil.Process(front.process.pid)
    before = process.memory_info().rss
    for path, kind, status in _BODIES:
        with socket.create_connection(("127.0.0.1", front.http_port), 10) as caller:
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/{kind}"
            caller.sendall(f"{head}\r\n{length}\r\n\r\n".encode())
            sending = threading.Thread(target=_flood, args=(caller, "chunked" in length))
            sending.start()
            assert caller.recv(64).startswith(b"HTTP/1.1 %d " % status)
            caller.shutdown(socket.SHUT_RDWR)
            sending.join(30)
    assert process.memory_info().rss - before < 64 * 1024 * 1024


def _flood(caller: socket.socket, is_chunked: bool) -> None:
    """Send 100 MB, or as much as the front reads."""
    part = b'"' * 65_536
    if is_chunked:
        part = b"%x\r\n%b\r\n" % (len(part), part)
    with contextlib.suppress(OSError):
        for _ in range(100_000_000 // 65_536):
            caller.sendall(part)
