"""Bisection of failing calls, so that one bad row does not cost the other rows their answers."""

from collections import deque
from collections.abc import Awaitable, Callable

import numpy as np
import numpy.typing as npt

from tidemill_core.errors import ModelOutputInvalid, TidemillError

MAX_FAILED_CALLS = 16
"""Failed calls after which nothing is halved again. Two bad rows of 128 are always found; if every
row is bad, 31 calls are made instead of 255."""

Probabilities = npt.NDArray[np.float32]
TokenIds = npt.NDArray[np.int32]
Row = Probabilities | TidemillError
"""The answer to one text: float32 [labels], or the error it has instead."""
Call = Callable[[TokenIds], Awaitable[Probabilities]]
"""A call of the model: int32 [rows, length] to float32 [rows, labels]."""


async def answered(call: Call, ids: TokenIds) -> list[Row]:
    """Call the model with all rows; on failure, with their halves, down to the rows at fault.

    Args:
        call: calls the model.
        ids: int32 [rows, length], at least one row.

    Returns:
        One answer per row of `ids`. If a half fails with another error than ModelOutputInvalid,
        such as Triton being away or the deadline passing, it and all rows without an answer yet
        get that error, without another call.

    Raises:
        TidemillError: the first call failed with another error than ModelOutputInvalid.
    """
    try:
        return list(await call(ids))
    except ModelOutputInvalid as error:
        rows: list[Row] = [error] * len(ids)
        if len(ids) > 1:
            await _ask_in_halves(call, ids, rows)
        return rows


async def _ask_in_halves(call: Call, ids: TokenIds, rows: list[Row]) -> None:
    parts = deque(_halves(0, len(ids)))
    failed_calls = 1
    while parts:
        start, end = parts.popleft()
        try:
            rows[start:end] = await call(ids[start:end])
        except ModelOutputInvalid as error:
            rows[start:end] = [error] * (end - start)
            failed_calls += 1
            if end - start > 1 and failed_calls < MAX_FAILED_CALLS:
                parts += _halves(start, end)
        except TidemillError as error:
            for left, right in ((start, end), *parts):
                rows[left:right] = [error] * (right - left)
            return


def _halves(start: int, end: int) -> tuple[tuple[int, int], tuple[int, int]]:
    middle = (start + end) // 2
    return (start, middle), (middle, end)
