"""Turns in a lane's queue."""

from opentelemetry.trace import INVALID_SPAN

from tidemill_server.inference.query import BATCH_METHOD, Query
from tidemill_server.inference.work import QUANTUM_ROWS, FairQueue, Work

QUERY = Query("support", BATCH_METHOD, 0.0, 0.0)


class Queue:
    """A queue whose works are known by their callers."""

    def __init__(self) -> None:
        self.queue = FairQueue[Work]()
        self._callers: dict[Work, str] = {}

    def add(self, caller: str, rows: int, count: int = 1) -> None:
        """Queue works of a caller."""
        for _ in range(count):
            work = Work(QUERY, ["card"] * rows, 1.0, INVALID_SPAN, 0.0)
            self._callers[work] = caller
            self.queue.add(caller, work, rows)

    def take(self, rows: int) -> list[str]:
        """Return the caller of each work of the next call."""
        return [self._callers[work] for work in self.queue.take(rows)]


async def test_alone_a_caller_takes_all() -> None:
    """One caller's works come in their order, up to the rows of a call."""
    queue = Queue()
    queue.add("alice", 32, count=5)
    assert [len(queue.take(64)) for _ in range(4)] == [2, 2, 1, 0]
    assert queue.queue.rows == 0


async def test_few_texts_do_not_wait_behind_many() -> None:
    """A text that finds many of others queued is in the next call."""
    queue = Queue()
    queue.add("alice", 32, count=10)
    queue.add("bob", 32, count=10)
    queue.add("carol", 1)
    assert queue.take(64)[0] == "carol"


async def test_busy_callers_get_equal_rows() -> None:
    """Callers who always have texts queued get the same rows, however large their works are."""
    queue, sizes = Queue(), {"alice": 1, "bob": 32, "carol": 8}
    for caller, size in sizes.items():
        queue.add(caller, size, count=1024 // size)
    taken = [caller for _ in range(30) for caller in queue.take(64)]
    rows = [taken.count(caller) * size for caller, size in sizes.items()]
    assert max(rows) - min(rows) <= 32 + QUANTUM_ROWS


async def test_callers_with_one_work_at_a_time_do_not_starve_others() -> None:
    """Two callers whose next work arrives after each call leave the third one its share."""
    queue, taken = Queue(), []
    queue.add("alice", 16, count=30)
    for caller in ["bob", "carol"] * 15:
        queue.add(caller, 16)
        taken += queue.take(16)
    assert taken.count("alice") >= 10


async def test_a_work_that_does_not_fit_is_in_the_next_call() -> None:
    """A call is not filled beyond its rows, and no work is lost."""
    queue = Queue()
    queue.add("alice", 20, count=4)
    assert [len(queue.take(64)) for _ in range(3)] == [3, 1, 0]
