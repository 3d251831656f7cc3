"""One client of several Tritons, which misbehave on request."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from tests.plugins.fake_triton import FakeTriton, fails
from tidemill_core.errors import ModelOutputInvalid, ModelVersionNotServed, TritonUnavailable
from tidemill_core.triton.client import TritonClient
from tidemill_core.triton.connection import Connection
from tidemill_core.triton.control import TritonControl
from tidemill_core.triton.grpc_wire import CallFailed

MODEL = "support-onnx"
UNKNOWN = fails(grpc.StatusCode.NOT_FOUND, "unknown model")


@contextlib.asynccontextmanager
async def client_of(*tritons: FakeTriton) -> AsyncIterator[TritonClient]:
    """Yield a client of all of them."""
    client = TritonClient(",".join(triton.address for triton in tritons))
    yield client
    await client.close()


async def test_calls_take_turns(token_ids: Any) -> None:
    """The front's calls one after another go to both Tritons alike."""
    with FakeTriton() as one, FakeTriton() as other:
        async with client_of(one, other) as client:
            for _ in range(10):
                await client.infer(MODEL, 1, token_ids(1), 10)
        assert (len(one.calls), len(other.calls)) == (5, 5)


def test_calls_of_the_jobs_take_turns(token_ids: Any) -> None:
    """The jobs' calls one after another go to both Tritons alike."""
    with FakeTriton() as one, FakeTriton() as other:
        with TritonControl(f"{one.address},{other.address}", "key") as control:
            for _ in range(10):
                control.infer(MODEL, 1, token_ids(1))
        assert (len(one.calls), len(other.calls)) == (5, 5)


async def test_another_one_answers_for_one_without_the_version(token_ids: Any) -> None:
    """The other Triton answers for one without the version; if neither has it, it is not served."""
    with FakeTriton() as one, FakeTriton() as other:
        one.behave(MODEL, 2, UNKNOWN)
        async with client_of(one, other) as client:
            for _ in range(4):
                await client.infer(MODEL, 2, token_ids(1), 10)
            other.behave(MODEL, 2, UNKNOWN)
            with pytest.raises(ModelVersionNotServed):
                await client.infer(MODEL, 2, token_ids(1), 10)


async def test_a_failed_run_is_not_repeated(token_ids: Any) -> None:
    """What fails because of the model or its input fails once: no Triton does better."""
    with FakeTriton() as one, FakeTriton() as other:
        for triton in (one, other):
            triton.behave(MODEL, 3, fails(grpc.StatusCode.INTERNAL, "the run failed"))
        async with client_of(one, other) as client:
            with pytest.raises(ModelOutputInvalid):
                await client.infer(MODEL, 3, token_ids(1), 10)
        assert len(one.calls) + len(other.calls) == 1


async def test_one_that_is_away_costs_nothing(token_ids: Any) -> None:
    """With one Triton gone the other answers; with both gone, or no name, calls fail at once."""
    with FakeTriton() as one:
        with FakeTriton() as other:
            client = TritonClient(f"{one.address},{other.address}")
            for _ in range(4):
                await client.infer(MODEL, 1, token_ids(1), 10)
        for _ in range(4):
            await client.infer(MODEL, 1, token_ids(1), 10)
        assert await client.model_ready(MODEL, 1)
        assert await client.all_ready(MODEL, 1)
    with pytest.raises(TritonUnavailable):
        await client.infer(MODEL, 1, token_ids(1), 10)
    assert not await client.all_ready(MODEL, 1)
    await client.close()


async def test_a_name_stands_for_its_addresses(token_ids: Any) -> None:
    """A DNS name is looked up; one that DNS does not know is like a Triton that is away."""
    with FakeTriton() as triton:
        named = TritonClient(f"dns:///localhost:{triton.address.rpartition(':')[2]}")
        await named.infer(MODEL, 1, token_ids(1), 10)
        await named.close()
    for target in ("dns:///tritons.invalid:8001", "dns:///a..b:8001", "a..b:8001", "[::1::]:8001"):
        unknown = TritonClient(target)
        with capture_logs() as logged:
            with pytest.raises(TritonUnavailable, match="does not answer"):
                await unknown.infer(MODEL, 1, token_ids(1), 10)
            assert not await unknown.model_ready(MODEL, 1)
        events = [each["event"] for each in logged]
        assert events.count("tritons_not_looked_up") == target.startswith("dns:")  # not each time
        await unknown.close()


def test_a_name_that_dns_does_not_know_yet_is_waited_for() -> None:
    """A headless Service has no address before its first pod is ready."""
    with (
        TritonControl("dns:///tritons.invalid:8001", "key") as control,
        pytest.raises(TritonUnavailable) as caught,
    ):
        control.wait_ready(0.1)
    assert "not ready within 0.1 s" in caught.value.detail


@pytest.mark.parametrize("is_connecting", [True, False])
async def test_one_that_dns_no_longer_names_keeps_no_connection(is_connecting: bool) -> None:
    """Its calls fail, also those that come later, and no connection to it is left open."""
    left_open = asyncio.Queue[bytes]()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the client closes the connection
        writer.close()
        await writer.wait_closed()
        left_open.put_nowait(b"closed")

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        connection = Connection(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        call = asyncio.create_task(connection.call("/a/b", b"", 10))
        while not is_connecting and connection._link is None:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        connection.give_up("DNS does not name it any more")
        for each in (call, connection.call("/a/b", b"", 10)):
            with pytest.raises(CallFailed, match="UNAVAILABLE"):
                await each
        await asyncio.wait_for(left_open.get(), 10)
        assert left_open.empty()
