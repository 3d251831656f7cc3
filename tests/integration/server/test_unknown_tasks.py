"""What calls answer about a task that does not exist."""

import json
import re

from google.protobuf.message_factory import GetMessageClass

from tests.integration.server.asking_http import http, problem
from tests.integration.server.front import Front
from tests.integration.server.refusal import refusal
from tidemill_server.gateway.routes import ROUTES
from tidemill_server.services.table import SERVICES


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


def test_no_list_of_an_unknown_task_is_empty(front: Front) -> None:
    """Every list names the existing tasks if it is asked for one that does not exist."""
    lists = [
        method
        for service in SERVICES
        for method in service.methods
        if method.name.startswith("List") and "task" in method.input_type.fields_by_name
    ]
    assert len(lists) >= 10
    for method in lists:
        request = GetMessageClass(method.input_type)(task="never_named")
        call = front.channel.unary_unary(
            f"/{method.containing_service.full_name}/{method.name}",
            type(request).SerializeToString,
            GetMessageClass(method.output_type).FromString,
        )
        refused = refusal(lambda call=call, request=request: call(request, timeout=10))
        assert refused.reason == "UNKNOWN_TASK", method.name
        assert "there is no task 'never_named'; there are: mixed, " in refused.message
