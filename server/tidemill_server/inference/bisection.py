"""Bisection of failing calls, so that one bad row does not cost the other rows their answers."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidemill_core.errors import ModelOutputInvalid, TidemillError

MAX_FAILED_CALLS = 16
"""Failed calls after which nothing is halved again. Two bad rows of 128 are always found; if every
row is bad, 31 calls are made instead of 255."""

Probabilities = npt.NDArray[np.float32]
TokenIds = npt.NDArray[np.int32]
Call = Callable[[TokenIds], Awaitable[Probabilities]]
"""A call of the model: int32 [rows, length] to float32 [rows, labels]."""


class Rows(NamedTuple):
    """The answers to the rows of a call.

    Attributes:
        probabilities: float32 [rows, labels]; undefined for rows with an error.
        errors: the errors that rows have instead, by their position.
    """

    probabilities: Probabilities
    errors: dict[int, TidemillError]


async def answered(call: Call, ids: TokenIds, labels: int) -> Rows:
    """Call the model with all rows; on failure, with their halves, down to the rows at fault.

    Args:
        call: calls the model.
        ids: int32 [rows, length], at least one row.
        labels: how many probabilities a row has.

    Returns:
        The answers. If a half fails with another error than ModelOutputInvalid, such as Triton
        being away or the deadline passing, it and all rows without an answer yet get that error,
        without another call.

    Raises:
        TidemillError: the first call failed with another error than ModelOutputInvalid.
    """
    try:
        return Rows(await call(ids), {})
    except ModelOutputInvalid as error:
        rows = Rows(np.zeros((len(ids), labels), np.float32), dict.fromkeys(range(len(ids)), error))
        if len(ids) > 1:
            await _ask_in_halves(call, ids, rows)
        return rows


async def _ask_in_halves(call: Call, ids: TokenIds, rows: Rows) -> None:
    parts = deque(_halves(0, len(ids)))
    failed_calls = 1
    while parts:
        start, end = parts.popleft()
        try:
            rows.probabilities[start:end] = await call(ids[start:end])
            for row in range(start, end):
                del rows.errors[row]
        except ModelOutputInvalid as error:
            rows.errors.update(dict.fromkeys(range(start, end), error))
            failed_calls += 1
            if end - start > 1 and failed_calls < MAX_FAILED_CALLS:
                parts += _halves(start, end)
        except TidemillError as error:
            for left, right in ((start, end), *parts):
                rows.errors.update(dict.fromkeys(range(left, right), error))
            return


def _halves(start: int, end: int) -> tuple[tuple[int, int], tuple[int, int]]:
    middle = (start + end) // 2
    return (start, middle), (middle, end)
