"""Rows that make a model fail, and the other rows of their call."""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import pytest

from tidemill_core.errors import (
    DeadlineExceeded,
    ModelOutputInvalid,
    TidemillError,
    TritonUnavailable,
)
from tidemill_server.inference.bisection import (
    MAX_FAILED_CALLS,
    Probabilities,
    Rows,
    TokenIds,
    answered,
)

ROWS = 128
IDS = np.arange(ROWS, dtype=np.int32).reshape(ROWS, 1)


@dataclass
class Model:
    """Answers a row with its own number, and fails for bad ones; counts its calls.

    Attributes:
        bad: rows that make it fail.
        last: calls that it lives for, and how it fails then.
    """

    bad: Collection[int] = ()
    last: tuple[int, TidemillError] | None = None
    calls: list[int] = field(default_factory=list)

    async def __call__(self, ids: TokenIds) -> Probabilities:
        """Answer, or fail."""
        self.calls.append(len(ids))
        if self.last is not None and len(self.calls) > self.last[0]:
            raise self.last[1]
        if set(self.bad) & set(ids[:, 0].tolist()):
            raise ModelOutputInvalid("support-onnx", 1, "NaN")
        return ids.astype(np.float32)


async def ask(model: Model) -> Rows:
    """Return the answers to all rows."""
    return await answered(model, IDS, 1)


def failed(rows: Rows) -> dict[int, type[object]]:
    """Return the errors by row, and assert that every other row has its own answer."""
    numbers = [i for i in range(ROWS) if i not in rows.errors]
    assert rows.probabilities[numbers, 0].tolist() == numbers
    return {i: type(error) for i, error in rows.errors.items()}


@pytest.mark.parametrize("bad", [(), (0,), (127,), (70,), (5, 6), (0, 64), (31, 96)])
async def test_a_bad_row_costs_no_other_its_answer(bad: tuple[int, ...]) -> None:
    """Up to two bad rows of a full call are found, and only they fail."""
    model = Model(bad)
    assert failed(await ask(model)) == dict.fromkeys(bad, ModelOutputInvalid)
    assert len(model.calls) <= 1 + 2 * 7 * len(bad)


async def test_one_call_is_enough_where_nothing_fails() -> None:
    """Good rows take one call."""
    model = Model()
    assert failed(await ask(model)) == {}
    assert model.calls == [ROWS]


async def test_calls_are_bounded_where_every_row_is_bad() -> None:
    """128 bad rows take 31 calls, not 255."""
    model = Model(range(ROWS))
    assert len(failed(await ask(model))) == ROWS
    assert len(model.calls) == 2 * MAX_FAILED_CALLS - 1


async def test_good_halves_are_asked_beyond_the_bound() -> None:
    """If a quarter of the rows is bad, the other three are answered."""
    model = Model(range(32))
    assert failed(await ask(model)) == dict.fromkeys(range(32), ModelOutputInvalid)


@pytest.mark.parametrize("end", [TritonUnavailable("triton:1", "gone"), DeadlineExceeded(0.5)])
async def test_answers_before_the_end_are_kept(end: TidemillError) -> None:
    """If Triton goes away or time is up between the halves, earlier answers stay."""
    model = Model(bad=(127,), last=(2, end))
    errors = failed(await ask(model))
    assert errors == dict.fromkeys(range(64, 128), type(end))
    assert model.calls == [128, 64, 64]


async def test_a_first_call_that_meets_nobody_fails_for_all() -> None:
    """Without Triton there is one call, and its error."""
    model = Model(last=(0, TritonUnavailable("triton:1", "gone")))
    with pytest.raises(TritonUnavailable):
        await ask(model)
    assert model.calls == [128]
