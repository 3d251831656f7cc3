"""One client of several Tritons, which misbehave on request."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from tests.plugins.fake_triton import FakeTriton, fails
from tidemill_core.errors import ModelOutputInvalid, ModelVersionNotServed, TritonUnavailable
from tidemill_core.triton.client import TritonClient
from tidemill_core.triton.control import TritonControl

MODEL = "support-onnx"
UNKNOWN = fails(grpc.StatusCode.NOT_FOUND, "unknown model")


@contextlib.asynccontextmanager
async def client_of(*tritons: FakeTriton) -> AsyncIterator[TritonClient]:
    """Yield a client of all of them."""
    client = TritonClient(",".join(triton.address for triton in tritons))
    yield client
    await client.close()


@pytest.mark.parametrize("clients", ["the front", "the jobs"])
async def test_calls_take_turns(clients: str, token_ids: Any) -> None:
    """Calls one after another go to both Tritons alike."""
    with FakeTriton() as one, FakeTriton() as other:
        async with client_of(one, other) as client:
            with TritonControl(f"{one.address},{other.address}", "key") as control:
                for _ in range(10):
                    if clients == "the front":
                        await client.infer(MODEL, 1, token_ids(1), 10)
                    else:
                        control.infer(MODEL, 1, token_ids(1))
        assert (len(one.calls), len(other.calls)) == (5, 5)


async def test_another_one_answers_for_one_without_the_version(token_ids: Any) -> None:
    """A version that one Triton lacks is answered by the other; without any, it is not served."""
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
    unknown = TritonClient("dns:///tritons.invalid:8001")
    with pytest.raises(TritonUnavailable, match="does not answer"):
        await unknown.infer(MODEL, 1, token_ids(1), 10)
    assert not await unknown.model_ready(MODEL, 1)
    await unknown.close()
