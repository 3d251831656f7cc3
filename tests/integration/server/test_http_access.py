"""Access to the HTTP API of a front that requires credentials."""

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.integration.server.asking_http import (
    BODY,
    PREDICT,
    VERSIONS,
    Version,
    bearer,
    http,
    problem,
)
from tests.integration.server.guarded import Guarded
from tests.plugins.waiting import wait_until
from tidemill_core.clock import system_clock
from tidemill_core.domain.access import Scope
from tidemill_core.domain.job import Job
from tidemill_core.storage.api_keys import split_api_key
from tidemill_server.gateway.routes import ROUTES

OTHER_TASK = "/v1/tasks/swapped:predict"


@pytest.fixture(params=VERSIONS)
def client(guarded: Guarded, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """Yield a client of each version of HTTP."""
    version: Version = request.param
    with http(guarded.front, version) as opened:
        yield opened


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "MISSING_CREDENTIAL"),
        ({"authorization": "Basic c2hvcDpzZWNyZXQ="}, "MALFORMED_CREDENTIAL"),
        ({"authorization": "Bearer"}, "MALFORMED_CREDENTIAL"),
        (bearer("tm_0a1b2c3d4e5f_nobody"), "INVALID_API_KEY"),
        (bearer("no.token"), "INVALID_TOKEN"),
    ],
)
def test_without_a_good_credential_nothing_is_answered(
    client: httpx.Client, headers: dict[str, str], reason: str
) -> None:
    """It is 401 with the scheme that is needed, before the body is read; pages are open."""
    for body in (b'{"text": "lost my card"}', b"no JSON"):
        answer = client.post(PREDICT, content=body, headers=headers)
        assert problem(answer)[:3] == (401, "UNAUTHENTICATED", reason)
        assert answer.headers["www-authenticate"] == "Bearer"
    assert client.get("/docs", headers=headers).status_code == 200


def test_every_route_needs_a_credential(client: httpx.Client) -> None:
    """All but health are refused without one, whatever they are sent."""
    for route in ROUTES:
        path = re.sub(r"{\w+}", "1", route.path)
        answer = client.request(route.verb, path)
        if route.rpc == "Health/Check":
            assert answer.status_code == 200
        else:
            assert problem(answer)[2] == "MISSING_CREDENTIAL", route


def test_two_credentials_are_one_too_many(client: httpx.Client, guarded: Guarded) -> None:
    """They are refused, as over gRPC."""
    header = ("authorization", f"Bearer {guarded.key(Scope.PREDICT)}")
    answer = client.post(PREDICT, json=BODY, headers=[header, header])
    assert problem(answer)[2] == "MALFORMED_CREDENTIAL"


def test_a_key_may_do_what_its_scope_and_tasks_say(client: httpx.Client, guarded: Guarded) -> None:
    """Another scope, and another task, is 403."""
    predicting = bearer(guarded.key(Scope.PREDICT, tasks=["support"]))
    judging = bearer(guarded.key(Scope.FEEDBACK))
    made = client.post(PREDICT, json=BODY, headers=predicting)
    assert made.status_code == 200, made.text
    verdict = {"prediction_id": made.json()["prediction_id"], "correct": True}
    assert client.post("/v1/feedback", json=verdict, headers=judging).status_code == 200
    token = bearer(guarded.issuer.token())
    assert client.post(PREDICT, json=BODY, headers=token).status_code == 200
    for path, body, headers, reason in (
        (PREDICT, BODY, judging, "MISSING_SCOPE"),
        ("/v1/feedback", verdict, predicting, "MISSING_SCOPE"),
        (OTHER_TASK, BODY, predicting, "TASK_NOT_ALLOWED"),
        ("/predict", BODY, predicting, "TASK_NOT_ALLOWED"),
        ("/predict", {**BODY, "task": "swapped"}, predicting, "TASK_NOT_ALLOWED"),
    ):
        answer = client.post(path, json=body, headers=headers)
        assert problem(answer)[:3] == (403, "PERMISSION_DENIED", reason)


def test_a_rate_is_told_when_to_come_back(client: httpx.Client, guarded: Guarded) -> None:
    """It is shared with gRPC: 429 with Retry-After in whole seconds, and the exact time."""
    key = guarded.key(Scope.PREDICT, rate=0.5)
    assert guarded.predict((("authorization", f"Bearer {key}"),)).label
    answer = client.post(PREDICT, json=BODY, headers=bearer(key))
    assert problem(answer)[:3] == (429, "RESOURCE_EXHAUSTED", "RATE_LIMITED")
    assert answer.headers["retry-after"] == "2"
    assert 1 < answer.json()["retry_after_seconds"] <= 2


def test_a_revoked_key_is_refused(client: httpx.Client, guarded: Guarded) -> None:
    """Within a second, also on an open connection."""
    key = guarded.key(Scope.PREDICT)
    assert client.post(PREDICT, json=BODY, headers=bearer(key)).status_code == 200
    guarded.workspace.storage.api_keys.revoke(split_api_key(key)[0], system_clock())
    wait_until(
        lambda: client.post(PREDICT, json=BODY, headers=bearer(key)).status_code == 401,
        "the key is refused",
        1.5,
    )


def test_a_revoked_key_sees_no_more_events(client: httpx.Client, guarded: Guarded) -> None:
    """A watch that is open ends with the problem soon after the key of its caller is revoked."""
    guarded.workspace.storage.jobs.set_catalog([Job("retrain", "Trains.", "")])
    key = guarded.key(Scope.ADMIN)
    path = "/v1/tasks/support/jobs/retrain:run"
    run = client.post(path, json={}, headers=bearer(key)).json()["run_id"]
    with client.stream("GET", f"/v1/runs/{run}:watch", headers=bearer(key)) as watch:
        lines = watch.iter_lines()
        assert next(lines).startswith("data: ")
        guarded.workspace.storage.api_keys.revoke(split_api_key(key)[0], system_clock())
        rest = "\n".join(lines)
    assert "event: problem" in rest
    assert "UNAUTHENTICATED" in rest


def test_the_access_log_has_the_caller(client: httpx.Client, guarded: Guarded) -> None:
    """A line of a failed call names the method, the caller, the reason and the address."""
    client.post(OTHER_TASK, json={"text": ""}, headers=bearer(guarded.key(Scope.PREDICT)))
    log = guarded.workspace.folder / "var" / "logs" / "access.log"
    wait_until(
        lambda: log.exists() and '"shop"' in log.read_text() and "BLANK_TEXT" in log.read_text(),
        "the line is written",
        10,
    )
