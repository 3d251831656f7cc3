"""The predictor on errors, and its metrics."""

import asyncio
import contextlib
import gc
import itertools
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.integration.server.asking import Asked, asked
from tests.integration.server.front import Workspace
from tests.integration.server.models import LABELS, LENGTH, WORDS, tokenizer_json
from tests.plugins.fake_triton import FakeTriton, fails, healthy, label_of, no_answer, slow
from tests.plugins.waiting import until
from tidemill_core.domain.traffic import Traffic
from tidemill_core.errors import (
    DeadlineExceeded,
    InvalidArgument,
    ResourceExhausted,
    TritonUnavailable,
)
from tidemill_core.storage.deployments import Change
from tidemill_core.text import TextEncoder
from tidemill_server.inference.admission import FIRST_LIMIT
from tidemill_server.inference.query import Query

MODEL = "support-onnx"
BROKEN = fails(grpc.StatusCode.INTERNAL, "the run failed")
AWAY = fails(grpc.StatusCode.UNAVAILABLE, "Socket closed")


def query(method: str = "Predict", seconds: float = 40.0, **fields: Any) -> Query:
    """Return a query to `support`."""
    now = asyncio.get_running_loop().time()
    fields = {"task": "support", **fields}
    return Query(**fields, method=method, deadline=now + seconds, arrival=now)


def value(world: Asked, name: str, **labels: str) -> float | None:
    """Return a sample of the metrics; None if there is none."""
    return world.metrics.registry.get_sample_value(f"tidemill_{name}", labels)


@contextlib.asynccontextmanager
async def predicting(
    workspace: Workspace, triton: FakeTriton, max_queue_delay: float = 1.0
) -> AsyncIterator[Asked]:
    """A predictor; what asyncio complains of while it lasts fails the test."""
    complaints: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, what: complaints.append(what))
    async with asked(workspace, triton.address, max_queue_delay) as world, asyncio.timeout(120):
        yield world
    gc.collect()
    loop.set_exception_handler(before)
    assert complaints == []


@pytest.fixture
def triton() -> Iterator[FakeTriton]:
    """Yield a Triton that is healthy at first."""
    with FakeTriton() as running:
        yield running


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return three versions, two of them shadows."""
    made = Workspace(tmp_path, {"support": 3})
    change = Change("test", "", "", datetime.now(UTC))
    made.storage.models.set_traffic("support", Traffic({}, (2, 3)), change)
    return made


def shadows_asked(triton: FakeTriton) -> set[int]:
    """Return the versions besides the champion that were called."""
    return {version for _model, version, _rows in triton.calls} - {1}


async def test_shadows_neither_delay_nor_fail_anybody(
    workspace: Workspace, triton: FakeTriton
) -> None:
    """With a hanging and a failing shadow, callers get the champion's answers in time."""
    triton.behave(MODEL, 2, no_answer)
    triton.behave(MODEL, 3, BROKEN)
    encoder = TextEncoder(tokenizer_json(), LENGTH)
    async with predicting(workspace, triton) as world:
        for word in WORDS:
            begin = time.monotonic()
            calls = [world.handler.predict(query(), f"{word} {other}") for other in WORDS]
            answers = await asyncio.gather(*calls)
            assert time.monotonic() - begin < 5
            ids = encoder.encode([answer.text for answer in answers])
            assert [answer.label for answer in answers] == [LABELS[label_of(row)] for row in ids]
            assert {answer.model_version for answer in answers} == {1}
        assert shadows_asked(triton) == {2, 3}


async def test_shadows_see_nothing_while_callers_need_the_room(
    workspace: Workspace, triton: FakeTriton
) -> None:
    """Above half of the limit no copies are made; below it they are."""
    async with predicting(workspace, triton) as world:
        busy = int(FIRST_LIMIT / 2) + 1
        world.admission.unary.enter(busy)
        for _ in range(5):
            await world.handler.predict(query(), "card")
        await asyncio.sleep(0.1)  # time for copies, of which there are none
        assert shadows_asked(triton) == set()
        world.admission.unary.leave(busy)
        await world.handler.predict(query(), "card")
        await until(lambda: shadows_asked(triton) == {2, 3}, "both shadows are asked")


async def test_every_chunk_of_a_batch_that_fails_is_heard(
    workspace: Workspace, triton: FakeTriton
) -> None:
    """The first failure fails the batch, and every other error is retrieved."""

    def first_hangs(ids: Any, context: Any) -> bytes:
        return (no_answer if ids[0, 0] != ids[-1, 0] else AWAY)(ids, context)

    triton.behave(MODEL, 1, first_hangs)
    async with predicting(workspace, triton) as world:
        batch = query("BatchPredict")
        with pytest.raises(TritonUnavailable):
            await world.handler.predict_batch(batch, ["lost", *["card"] * 1023])
        await until(
            lambda: (world.admission.patient.rows, world.admission.patient.waiting_rows) == (0, 0),
            "nothing of the batch is under way",
            5,
        )


async def test_texts_that_are_refused_are_counted(workspace: Workspace, triton: FakeTriton) -> None:
    """Refused texts are counted, alone or in a batch; an unknown task is `unknown`."""
    async with predicting(workspace, triton) as world:
        for wrong in (query(top_k=-1), query(task="nonsense"), query()):
            with pytest.raises(InvalidArgument):
                await world.handler.predict(wrong, " ")
        await world.handler.predict_batch(query("BatchPredict"), ["card", "", "\0", " "])
        with pytest.raises(InvalidArgument):
            await world.handler.predict_batch(query("BatchPredict"), ["card"] * 1025)
        counted = {
            labels: value(
                world,
                "prediction_errors_total",
                **dict(zip(("method", "task", "reason"), labels, strict=True)),
            )
            for labels in (
                ("Predict", "support", "INVALID_TOP_K"),
                ("Predict", "unknown", "UNKNOWN_TASK"),
                ("Predict", "support", "BLANK_TEXT"),
                ("BatchPredict", "support", "BLANK_TEXT"),
                ("BatchPredict", "support", "CONTROL_CHARACTERS"),
                ("BatchPredict", "support", "BATCH_TOO_LARGE"),
            )
        }
        assert list(counted.values()) == [1, 1, 1, 2, 1, 1025]


async def test_a_refusal_is_immediate(workspace: Workspace, triton: FakeTriton) -> None:
    """A unary call above the limit is refused before anything waits, and was never in flight."""
    async with predicting(workspace, triton) as world:
        world.admission.unary.limit = 0.0
        refused = asyncio.create_task(world.handler.predict(query(), "card"))
        await asyncio.sleep(0)  # one turn of the loop
        assert (refused.done(), world.admission.unary.rows) == (True, 0)
        with pytest.raises(ResourceExhausted, match="0 texts are in flight"):
            await refused


async def test_unary_calls_do_not_wait_behind_batches(
    workspace: Workspace, triton: FakeTriton
) -> None:
    """Unary calls are answered while four batches of 200 texts wait, and then these are, too."""
    triton.behave(MODEL, 1, slow(0.02))
    async with predicting(workspace, triton) as world:
        await world.handler.predict(query(), "card")
        batch = query("BatchPredict")
        batches = [
            asyncio.create_task(world.handler.predict_batch(batch, ["card"] * 200))
            for _ in range(4)
        ]
        for _ in range(5):
            await world.handler.predict(query(), "card")
        assert not any(each.done() for each in batches)
        answers = await asyncio.gather(*batches)
    assert [len(each) for each in answers] == [200] * 4
    assert max(rows for _model, version, rows in triton.calls if version == 1) <= 64


async def test_deadlines_that_end_before_triton_teach_the_limit(
    workspace: Workspace, triton: FakeTriton
) -> None:
    """Deadlines that pass while texts wait for a slow call are a sign of overload."""
    over = threading.Event()

    def held(ids: Any, context: Any) -> bytes:
        over.wait(60)
        return healthy(ids, context)

    triton.behave(MODEL, 1, held)
    async with predicting(workspace, triton, 0.01) as world:
        first = asyncio.create_task(world.handler.predict(query(), "card"))
        await until(lambda: triton.calls, "Triton is asked")
        calls = [world.handler.predict(query(seconds=0.2), "card") for _ in range(20)]
        waiting = asyncio.gather(*calls, return_exceptions=True)
        await asyncio.sleep(0.3)  # their deadlines pass
        over.set()
        found = await waiting
        assert {type(each) for each in found} == {DeadlineExceeded}
        assert world.admission.unary.limit < FIRST_LIMIT
        await first


async def test_deadlines_that_end_in_triton_teach_nothing(
    workspace: Workspace, triton: FakeTriton
) -> None:
    """A slow model without a queue is not an overload, so the limit stays."""
    triton.behave(MODEL, 1, no_answer)
    async with predicting(workspace, triton, 0.01) as world:
        for _ in range(10):
            with pytest.raises(DeadlineExceeded):
                await world.handler.predict(query(seconds=0.3), "card")
        assert world.admission.unary.limit == FIRST_LIMIT


async def test_calls_that_triton_does_not_answer_hold_up_no_others(
    workspace: Workspace, triton: FakeTriton
) -> None:
    """While three calls go on without their callers, others are answered, and none is queued."""
    behaviors = itertools.chain([no_answer] * 3, itertools.repeat(healthy))
    triton.behave(MODEL, 1, lambda ids, context: next(behaviors)(ids, context))
    async with predicting(workspace, triton) as world:
        for _ in range(3):
            with pytest.raises(DeadlineExceeded):
                await world.handler.predict(query(seconds=0.3), "card")
        for _ in range(5):
            await world.handler.predict(query(), "card")
        await until(lambda: world.coalescer.load("support") == (0, 3), "no text is queued")


async def test_texts_whose_callers_are_gone_leave_the_queue(
    workspace: Workspace, triton: FakeTriton
) -> None:
    """While Triton answers no call, texts leave at their deadline, or with their caller."""
    triton.behave(MODEL, 1, no_answer)
    async with predicting(workspace, triton) as world:
        late, canceled = (
            [asyncio.create_task(world.handler.predict(each, "card")) for _ in range(200)]
            for each in (query(seconds=1), query())
        )
        await until(lambda: world.coalescer.load("support")[1] == 4, "Triton has all calls")
        for call in canceled:
            call.cancel()
        found = await asyncio.gather(*late, *canceled, return_exceptions=True)
        assert {type(each) for each in found} == {DeadlineExceeded, asyncio.CancelledError}
        assert world.coalescer.load("support") == (0, 4)
