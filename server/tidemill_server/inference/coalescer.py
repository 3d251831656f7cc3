"""Merges concurrent requests into few Triton calls.

Each version has a lane. The first request in a quiet lane goes out at once. While a call is
under way others gather, for a moment and until fewer than MAX_IN_FLIGHT are, and the next call
takes as many as fit. So nothing waits when it is quiet, and batches grow with the load by
themselves: a call costs the front as much time as dozens of rows.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt
import structlog

from tidemill_core.errors import (
    DeadlineExceeded,
    ModelOutputInvalid,
    ResourceExhausted,
    TidemillError,
)
from tidemill_core.triton.client import TritonClient
from tidemill_server.inference.router import ServedModel

MAX_ROWS_A_CALL = 64
MAX_IN_FLIGHT = 8
MAX_QUEUED_ROWS = 16_384
GATHER_SECONDS = 0.002
_RETRY_SECONDS = 0.5

log = structlog.get_logger()

Probabilities = npt.NDArray[np.float32]
TokenIds = npt.NDArray[np.int32]
Row = Probabilities | ModelOutputInvalid
"""The answer to one text: float32 [labels], or why the model has none for it."""


@dataclass(eq=False)
class _Work:
    """Texts that are answered together.

    Attributes:
        texts: 1 to MAX_ROWS_A_CALL.
        deadline: on the event loop's clock.
        patience: the deadline's distance when it came, in seconds.
        answer: one row a text.
    """

    texts: Sequence[str]
    deadline: float
    patience: float
    answer: asyncio.Future[list[Row]]


@dataclass
class _Lane:
    model: ServedModel
    queue: deque[_Work] = field(default_factory=deque)
    queued_rows: int = 0
    in_flight: int = 0


class Coalescer:
    """Asks Triton on behalf of many callers on one event loop."""

    def __init__(self, triton: TritonClient) -> None:
        self._triton = triton
        self._lanes: dict[tuple[str, int], _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def infer(self, model: ServedModel, texts: Sequence[str], deadline: float) -> list[Row]:
        """Classify texts, merged with what other callers ask of the same version.

        A text that makes the model fail costs no other text its answer. Cancelling drops what
        is still queued.

        Args:
            model: who answers.
            texts: checked already.
            deadline: on the event loop's clock, in seconds.

        Returns:
            One a text: its calibrated probabilities, or why it has none.

        Raises:
            ResourceExhausted: MAX_QUEUED_ROWS texts wait already.
            DeadlineExceeded: no answer in time.
            TritonUnavailable: Triton is away.
            ModelVersionNotServed: Triton does not serve the version.
            ModelOutputInvalid: the outputs are not the labels'.
        """
        chunks = [texts[i : i + MAX_ROWS_A_CALL] for i in range(0, len(texts), MAX_ROWS_A_CALL)]
        works = self._submit(model, chunks, deadline)
        try:
            return [row for work in works for row in await work.answer]
        finally:
            for work in works:
                work.answer.cancel()

    def _submit(
        self, model: ServedModel, chunks: Sequence[Sequence[str]], deadline: float
    ) -> list[_Work]:
        lane = self._lanes.setdefault((model.name, model.version), _Lane(model))
        rows = sum(map(len, chunks))
        if lane.queued_rows + rows > MAX_QUEUED_ROWS:
            message = f"{lane.queued_rows} texts wait already; the limit is {MAX_QUEUED_ROWS}"
            raise ResourceExhausted("OVERLOADED", message, _RETRY_SECONDS)
        loop = asyncio.get_running_loop()
        patience = deadline - loop.time()
        works = [_Work(chunk, deadline, patience, loop.create_future()) for chunk in chunks]
        lane.queue.extend(works)
        lane.queued_rows += rows
        if lane.in_flight < MAX_IN_FLIGHT:
            lane.in_flight += 1
            task = loop.create_task(self._drain(lane))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return works

    async def _drain(self, lane: _Lane) -> None:
        try:
            if lane.in_flight > 1:
                await _gather(lane)
            while batch := _take(lane):
                await self._answer(lane.model, batch)
                await _gather(lane)
        finally:
            lane.in_flight -= 1
            if not lane.queue and not lane.in_flight:
                self._lanes.pop((lane.model.name, lane.model.version), None)

    async def _answer(self, model: ServedModel, batch: Sequence[_Work]) -> None:
        try:
            ids = model.encoder.encode([text for work in batch for text in work.texts])
            # The longest deadline: a short one of a neighbour must not end the others' call.
            rows = await self._rows(model, ids, max(work.deadline for work in batch))
        except TidemillError as error:
            _refuse(batch, error)
        except Exception as error:
            log.exception("unexpected_error", model=model.name, version=model.version)
            _refuse(batch, error)
        else:
            left = iter(rows)
            for work in batch:
                answer = list(islice(left, len(work.texts)))
                if not work.answer.done():
                    work.answer.set_result(answer)

    async def _rows(self, model: ServedModel, ids: TokenIds, deadline: float) -> list[Row]:
        """Ask for all rows; where that fails, for each half, down to the row at fault."""
        remaining = deadline - asyncio.get_running_loop().time()
        if remaining <= 0:
            raise DeadlineExceeded(0.0)
        try:
            answers = await self._triton.infer(model.name, model.version, ids, remaining)
        except ModelOutputInvalid as error:
            if len(ids) == 1:
                return [error]
            half = len(ids) // 2
            first = await self._rows(model, ids[:half], deadline)
            return first + await self._rows(model, ids[half:], deadline)
        if answers.shape[1] != len(model.labels):
            detail = f"{answers.shape[1]} probabilities for {len(model.labels)} labels"
            raise ModelOutputInvalid(model.name, model.version, detail)
        return list(answers)


async def _gather(lane: _Lane) -> None:
    if 0 < lane.queued_rows < MAX_ROWS_A_CALL:
        await asyncio.sleep(GATHER_SECONDS)


def _take(lane: _Lane) -> list[_Work]:
    """Take the next batch from a lane; what nobody waits for any more is dropped."""
    now = asyncio.get_running_loop().time()
    batch: list[_Work] = []
    rows = 0
    while lane.queue and rows + len(lane.queue[0].texts) <= MAX_ROWS_A_CALL:
        work = lane.queue.popleft()
        lane.queued_rows -= len(work.texts)
        if work.answer.done():
            continue
        if work.deadline <= now:
            work.answer.set_exception(DeadlineExceeded(work.patience))
            continue
        batch.append(work)
        rows += len(work.texts)
    return batch


def _refuse(batch: Sequence[_Work], error: Exception) -> None:
    for work in batch:
        if not work.answer.done():
            work.answer.set_exception(error)
