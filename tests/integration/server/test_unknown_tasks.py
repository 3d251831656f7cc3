"""What calls answer about a task that does not exist."""

import json
import re

from tests.integration.server.asking_http import http, problem
from tests.integration.server.front import Front
from tidemill_server.gateway.routes import ROUTES


def test_an_unknown_task_has_one_reason(front: Front) -> None:
    """Every call that acts on a task, or gives rights to one, refuses an unknown one alike."""
    found, one = {}, (400, "INVALID_ARGUMENT", "UNKNOWN_TASK", "task")
    names = {"task": "no", "job": "retrain"}
    with http(front) as client:
        for route in ROUTES:
            body = json.dumps(route.example).replace("END_TIME", "2999-01-01T00:00:00Z")
            if "{task}" in route.path or (route.verb != "GET" and "TASK" in body):
                path = re.sub(r"{(\w+)}", lambda name: names.get(name[1], "1"), route.path)
                content = body.replace("TASK", "no")
                answer = client.request(
                    route.verb, path, content=content, headers={"content-type": "application/json"}
                )
                if route.rpc != "PredictionService/StreamPredict":  # the error is in a line
                    found[route.rpc] = problem(answer)
    assert len(found) > 15
    assert found == dict.fromkeys(found, one) | {"AccessService/CreateApiKey": (*one[:3], "tasks")}
