"""One bad row must not cost its neighbours their answers: a call that fails is asked in halves."""

from collections import deque
from collections.abc import Awaitable, Callable

import numpy as np
import numpy.typing as npt

from tidemill_core.errors import ModelOutputInvalid, TidemillError

MAX_FAILED_CALLS = 16
"""Nothing is halved after so many: two bad rows of 128 are always found, and where every row is
bad, 31 calls say so instead of 255."""

Probabilities = npt.NDArray[np.float32]
TokenIds = npt.NDArray[np.int32]
Row = Probabilities | TidemillError
"""The answer to one text: float32 [labels], or why there is none for it."""
Call = Callable[[TokenIds], Awaitable[Probabilities]]
"""Asks for int32 [rows, length] and gets float32 [rows, labels]."""


async def answered(call: Call, ids: TokenIds) -> list[Row]:
    """Ask for all rows; where the model fails them, for their halves, down to the row at fault.

    Args:
        call: asks the model.
        ids: int32 [rows, length], at least one row.

    Returns:
        One row for each of `ids`. Where a half meets anything but a ModelOutputInvalid, Triton
        gone or the time over, that is what it and all that is left have, without being asked.

    Raises:
        TidemillError: the first call failed, and not by ModelOutputInvalid.
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
