"""Mistakes of callers: each is a separate error, in its place."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.integration.clients.calls import BOTH, Asyncio, Threads
from tests.integration.clients.scripted import BIG, ScriptedServer
from tidemill.v1.prediction_service_pb2 import StreamPredictRequest
from tidemill_client import (
    AsyncTidemillClient,
    InvalidRequest,
    MessageTooLarge,
    Prediction,
    TidemillClient,
    TidemillError,
)

Client = Threads | Asyncio
BOTH_CLIENTS = pytest.mark.parametrize("client", BOTH, ids=repr)
MEGABYTE = 1024 * 1024
BAD_TEXTS = pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (math.nan, "NOT_A_STRING"),
        (None, "NOT_A_STRING"),
        (b"bytes", "NOT_A_STRING"),
        ("half a \ud83d pair", "NOT_UNICODE"),
        ("x" * 25 * MEGABYTE, "TEXT_TOO_LONG"),
    ],
    ids=["nan", "None", "bytes", "surrogate", "long"],
)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """Yield the test's own server."""
    with ScriptedServer() as running:
        yield running


def labels(results: list[Prediction | TidemillError]) -> list[str]:
    """Return labels, and the reasons of errors."""
    return [one.reason if isinstance(one, TidemillError) else one.label for one in results]


@BOTH_CLIENTS
@BAD_TEXTS
def test_a_text_that_cannot_be_sent_is_the_callers_mistake(
    client: Client, server: ScriptedServer, bad: Any, reason: str
) -> None:
    """`predict` names the field and the rule, and nothing is sent."""
    with pytest.raises(InvalidRequest) as raised:
        client.call("predict", server.address, "t", bad, request_id="r")
    error = raised.value
    assert (error.reason, error.field, error.request_id) == (reason, "text", "r")
    assert len(str(error)) < 200
    assert server.calls == 0


@BOTH_CLIENTS
@BAD_TEXTS
def test_a_bad_text_of_a_batch_has_its_error_in_its_place(
    client: Client, server: ScriptedServer, bad: Any, reason: str
) -> None:
    """The texts around it are answered, and the error has its number."""
    results = client.call("predict_batch", server.address, "t", ["a", bad, "b", "", "c"])
    assert labels(results) == ["a", reason, "b", "SCRIPTED", "c"]
    assert isinstance(results[1], InvalidRequest)
    assert results[1].field == "texts[1]"


@BOTH_CLIENTS
@BAD_TEXTS
def test_a_bad_text_of_many_has_its_error_in_its_place(
    client: Client, server: ScriptedServer, bad: Any, reason: str
) -> None:
    """A bad text at any place, or all bad texts: the others are answered in order."""
    texts = [bad, "a", bad, bad, "b", bad]
    for window in (1, 2, 256):
        results = client.many(server.address, texts, window=window, timeout=60)
        assert labels(results) == [reason, "a", reason, reason, "b", reason]
    server.calls = 0
    assert labels(client.many(server.address, [bad, bad], timeout=60)) == [reason, reason]
    assert server.calls == 0


@pytest.mark.parametrize("field", ["task", "request_id", "routing_key", "attributes"])
@BOTH_CLIENTS
def test_another_field_that_cannot_be_sent_is_named(
    client: Client, server: ScriptedServer, field: str
) -> None:
    """A lone surrogate in another field is reported with the field."""
    bad: Any = {"a": "\ud800"} if field == "attributes" else "\ud800"
    with pytest.raises(InvalidRequest) as raised:
        client.call("predict", server.address, **{"task": "t", "text": "a", field: bad})
    assert (raised.value.field, raised.value.reason) == (field, "UNUSABLE_VALUE")


@BOTH_CLIENTS
@pytest.mark.parametrize(("top_k", "rule"), [(2**40, "out of range"), ("3", "str"), (None, "")])
def test_a_number_that_cannot_be_sent_is_named(
    client: Client, server: ScriptedServer, top_k: Any, rule: str
) -> None:
    """A value that is out of range or no number is not a library's error; None is the default."""
    if not rule:
        assert client.call("predict", server.address, "t", "a", top_k=top_k).label == "a"
        return
    with pytest.raises(InvalidRequest, match=rule) as raised:
        client.call("predict", server.address, "t", "a", top_k=top_k)
    assert raised.value.field == "top_k"


@BOTH_CLIENTS
def test_a_request_over_the_limit_is_not_sent(client: Client, server: ScriptedServer) -> None:
    """It is the caller's mistake, with its own class, for batches and verdicts too."""
    with pytest.raises(MessageTooLarge, match="send less"):
        client.call("predict_batch", server.address, "t", ["x" * 100_000] * 210)
    with pytest.raises(MessageTooLarge):
        client.call("predict", server.address, "t", "a", attributes={"a": "x" * 21 * MEGABYTE})
    with pytest.raises(MessageTooLarge) as raised:
        client.call(
            "submit_feedback", server.address, "p", correct=True, comment="x" * 21 * MEGABYTE
        )
    assert raised.value.reason == "MESSAGE_TOO_LARGE"
    assert isinstance(raised.value, InvalidRequest)
    assert server.calls == 0


@BOTH_CLIENTS
def test_an_answer_over_the_limit_is_no_overload(client: Client, server: ScriptedServer) -> None:
    """An answer over the limit of the client is the same error, and is not retried."""
    with pytest.raises(MessageTooLarge):
        client.call("predict", server.address, "t", BIG)
    with pytest.raises(MessageTooLarge):
        client.many(server.address, ["a", BIG], timeout=60)
    assert server.calls == 2


@BOTH_CLIENTS
def test_a_servers_lower_limit_is_no_overload(client: Client) -> None:
    """A text that a server or a proxy refuses for its size is an error in its place."""
    with ScriptedServer(max_message_bytes=10_000) as server:
        with pytest.raises(MessageTooLarge):
            client.call("predict", server.address, "t", "x" * 20_000)
        texts = ["a", "x" * 20_000, "b", "x" * 30_000, "c"]
        found = labels(client.many(server.address, texts, timeout=60))
    assert found == ["a", "MESSAGE_TOO_LARGE", "b", "MESSAGE_TOO_LARGE", "c"]


async def test_a_request_of_a_stream_over_the_limit_has_its_error_in_its_place(
    server: ScriptedServer,
) -> None:
    """`predict_stream` answers the requests around it, in both clients."""
    texts = ["a", "x" * 21 * MEGABYTE, "b"]
    requests = [StreamPredictRequest(id=text[:1], text=text) for text in texts]
    wanted = [("a", "a"), ("x", "MESSAGE_TOO_LARGE"), ("b", "b")]
    with TidemillClient(server.address) as client:
        found = list(client.predict_stream(requests))
    assert [(name, *labels([result])) for name, result in found] == wanted
    async with AsyncTidemillClient(server.address) as asynchronous:
        found = [each async for each in asynchronous.predict_stream(requests)]
    assert [(name, *labels([result])) for name, result in found] == wanted


async def test_an_error_of_the_callers_own_requests_is_raised_as_it_is(
    server: ScriptedServer,
) -> None:
    """Both clients raise it after the answers, in place of gRPC's error or a cancellation."""

    def failing(last: Any) -> Iterator[Any]:
        yield StreamPredictRequest(id="a", text="a")
        yield last
        raise KeyError("mine")

    async def asynchronous(last: Any) -> AsyncIterator[Any]:
        for each in failing(last):
            yield each

    async def answered(requests: Any) -> list[str]:
        async with AsyncTidemillClient(server.address) as aio:
            return [name async for name, _ in aio.predict_stream(requests)]

    for last, kind, words in (
        (StreamPredictRequest(id="b", text="b"), KeyError, "mine"),
        ("b", TypeError, r"requests\[1\] is a str; it must be a StreamPredictRequest"),
    ):
        with TidemillClient(server.address) as client, pytest.raises(kind, match=words):
            list(client.predict_stream(failing(last)))
        for requests in (failing, asynchronous):
            with pytest.raises(kind, match=words):
                await answered(requests(last))


@BOTH_CLIENTS
@pytest.mark.parametrize("window", [math.nan, "5", None, 0, -1])
def test_a_window_that_is_no_number_is_refused(
    client: Client, server: ScriptedServer, window: Any
) -> None:
    """The error names the value, where NaN waited forever."""
    with pytest.raises(ValueError, match=f"window is .*{window}.*; it must be a number"):
        client.many(server.address, ["a"], window=window, timeout=60)
    assert server.calls == 0


@BOTH_CLIENTS
@pytest.mark.parametrize("bad", [{"a": 3}, {3: "a"}, {"a": None}, ["a"], "a", 5])
def test_attributes_that_are_no_strings_are_shown(
    client: Client, server: ScriptedServer, bad: Any
) -> None:
    """The rule says what attributes are, not that a dictionary is the wrong type."""
    with pytest.raises(InvalidRequest, match="it must map strings to strings") as raised:
        client.call("predict", server.address, "t", "a", attributes=bad)
    assert raised.value.field == "attributes"


@BOTH_CLIENTS
@pytest.mark.parametrize("timeout", [Fraction(60), np.float32(60), np.int64(60)], ids=repr)
def test_a_timeout_may_be_any_real_number(
    client: Client, server: ScriptedServer, timeout: Any
) -> None:
    """A number of another library is a number of seconds."""
    assert client.call("predict", server.address, "t", "a", timeout=timeout).label == "a"
    assert labels(client.many(server.address, ["a"], timeout=timeout)) == ["a"]


@BOTH_CLIENTS
@pytest.mark.parametrize(
    "timeout", [math.inf, 1e10, 1e18, 10**400], ids=["inf", "1e10", "1e18", "1e400"]
)
def test_a_very_long_timeout_waits(client: Client, server: ScriptedServer, timeout: float) -> None:
    """Infinity and timeouts of many years wait, and are not already over."""
    assert client.call("predict", server.address, "t", "a", timeout=timeout).label == "a"
    assert labels(client.many(server.address, ["a"], timeout=timeout)) == ["a"]
    options = {"timeout": timeout, "keepalive_seconds": timeout}
    assert client.call("predict", server.address, "t", "a", client=options).label == "a"


@BOTH_CLIENTS
@pytest.mark.parametrize("timeout", [math.nan, -1, -math.inf, "5", Decimal(5)])
def test_a_timeout_that_is_no_time_is_refused(
    client: Client, server: ScriptedServer, timeout: Any
) -> None:
    """The error names the argument and its value."""
    with pytest.raises(ValueError, match="timeout is"):
        client.call("predict", server.address, "t", "a", timeout=timeout)
    with pytest.raises(ValueError, match="timeout is"):
        client.many(server.address, ["a"], timeout=timeout)
    for name in ("timeout", "keepalive_seconds"):
        with pytest.raises(ValueError, match=f"{name} is"):
            client.call("predict", server.address, "t", "a", client={name: timeout})
    assert server.calls == 0


def test_an_asynchronous_client_may_be_made_before_its_loop(server: ScriptedServer) -> None:
    """It connects in the loop of its first call; outside of a loop, the error says what to do."""
    client = AsyncTidemillClient(server.address)

    async def ask() -> str:
        try:
            return (await client.predict("t", "a")).label
        finally:
            await client.close()

    with pytest.raises(RuntimeError, match=r"asyncio\.run"):
        _ = client.models
    assert asyncio.run(ask()) == "a"
    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(client.predict("t", "a"))
