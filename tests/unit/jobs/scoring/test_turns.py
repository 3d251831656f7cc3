"""The turns of a batch beside online callers."""

from tidemill_jobs.scoring.turns import LARGE_ROWS, SMALL_ROWS, SharedTurns


def test_calls_are_small_while_others_ask() -> None:
    """Calls are large while only the batch asks, and small once Triton counts calls of others."""
    counts = [0]
    turns = SharedTurns(lambda: counts[0], look_seconds=0.0)

    def rows() -> int:
        with turns.turn() as found:
            counts[0] += 1
            return found

    assert [rows() for _ in range(5)] == [LARGE_ROWS] * 5
    counts[0] += 50
    assert [rows() for _ in range(3)] == [SMALL_ROWS] * 3


def test_a_restarted_triton_is_not_a_caller() -> None:
    """Counts that start again at zero slow nothing down."""
    counts = iter([100, 101, 0, 1])
    turns = SharedTurns(lambda: next(counts), look_seconds=0.0)
    for _ in range(3):
        with turns.turn() as found:
            assert found == LARGE_ROWS
