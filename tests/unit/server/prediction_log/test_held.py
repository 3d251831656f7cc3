"""Predictions in memory, up to a bound."""

from tests.contract.storage.values import later, prediction
from tidemill_server.prediction_log.held import HeldPredictions


def ids(held: HeldPredictions) -> list[str]:
    """Take and return all held ids, oldest first."""
    return [each.prediction_id for each in held.take()]


def test_the_oldest_are_lost_at_the_bound() -> None:
    """At the bound on rows, each new row drops the oldest, and the queue reports it."""
    held = HeldPredictions(max_rows=3)
    assert [held.add([prediction(f"p{n}")]) for n in range(5)] == [0, 0, 0, 1, 1]
    assert ids(held) == ["p2", "p3", "p4"]


def test_long_texts_are_bounded_too() -> None:
    """At the bound on characters, a text drops as many of the oldest as necessary."""
    held = HeldPredictions(max_rows=100, max_characters=10)
    assert [held.add([prediction(f"p{n}", "four")]) for n in range(2)] == [0, 0]
    assert held.add([prediction("long", "nine char")]) == 2
    assert ids(held) == ["long"]
    assert held.add([prediction("next", "ten charac")]) == 0


def test_a_batch_put_back_is_the_oldest_again() -> None:
    """A batch that could not be written is first again, and the first to be dropped."""
    held = HeldPredictions(max_rows=3)
    for n in range(3):
        held.add([prediction(f"p{n}", predict_time=later(n))])
    batch = held.take()
    assert [each.prediction_id for each in batch] == ["p0", "p1", "p2"]
    assert held.oldest_time is None
    assert held.add([prediction("p3", predict_time=later(3))]) == 0
    assert held.put_back(batch) == 1
    assert held.oldest_time == later(1)
    assert ids(held) == ["p1", "p2", "p3"]


def test_a_batch_is_bounded_by_rows_and_characters() -> None:
    """A batch has at most 500 rows, and ends after a million characters."""
    held = HeldPredictions(max_rows=2000)
    for n in range(501):
        held.add([prediction(f"short{n}")])
    for n in range(12):
        held.add([prediction(f"long{n}", "x" * 100_000)])
    assert [len(held.take()) for _ in range(4)] == [500, 11, 2, 0]
