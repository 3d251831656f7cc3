"""Bodies of lines, however the network cuts them."""

import json
from collections import defaultdict
from itertools import pairwise
from typing import Any

import anyio
from hypothesis import given
from hypothesis import strategies as st

from tidemill.v1.prediction_service_pb2 import DESCRIPTOR, StreamPredictRequest
from tidemill_server.gateway.http_call import HttpCall
from tidemill_server.gateway.operation import operation_of
from tidemill_server.gateway.own_names import OwnNames
from tidemill_server.gateway.routes import ROUTES
from tidemill_server.rpc.methods import methods_of
from tidemill_server.transports.room import Room, Share

ROUTE = next(route for route in ROUTES if route.rpc == "PredictionService/StreamPredict")
METHODS = methods_of(DESCRIPTOR.services_by_name["PredictionService"], defaultdict(lambda: Any))
OPERATION = operation_of(ROUTE, METHODS[f"/tidemill.v1.{ROUTE.rpc}"], {})
SCOPE = {
    "headers": [(b"host", b"localhost"), (b"content-type", b"application/x-ndjson")],
    "query_string": b"",
    "path_params": {"task": "support"},
}


async def read(parts: list[bytes]) -> list[StreamPredictRequest]:
    """Return the messages of a body that arrives in parts."""
    left = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    events = iter([*left, {"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        return next(events)

    async def write(_: bytes) -> None:
        raise NotImplementedError

    room = Room()
    call = HttpCall(OPERATION, SCOPE, receive, write, OwnNames("localhost", ()), Share(room))
    found = []
    while (message := await call.read()) is not None:
        found.append(StreamPredictRequest.FromString(message))
    return found


TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=6)
CUTS = st.lists(st.integers(0, 400), max_size=8)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\n \n"])


@given(TEXTS, CUTS, ENDS, st.booleans())
def test_each_line_is_a_message(
    texts: list[str], cuts: list[int], end: bytes, has_last_end: bool
) -> None:
    """Lines and characters may be cut anywhere, and blank lines count for nothing."""
    lines = [json.dumps({"text": text}, ensure_ascii=False).encode() for text in texts]
    body = end.join(lines) + (end if has_last_end else b"")
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    parts = [body[begin:stop] for begin, stop in pairwise(places)]
    messages = anyio.run(read, parts)
    assert [message.text for message in messages] == texts
    assert {message.task for message in messages} <= {"support"}
