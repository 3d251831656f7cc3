"""Turns in a lane's queue."""

import asyncio

from opentelemetry.trace import INVALID_SPAN

from tidemill_server.inference.query import Query
from tidemill_server.inference.work import QUANTUM_ROWS, FairQueue, Flow, Work

UNARY: Flow = ("alice", "Predict")
BATCHES: Flow = ("alice", "BatchPredict")
OTHERS: Flow = ("bob", "BatchPredict")


class Queue:
    """A queue of numbered works."""

    def __init__(self) -> None:
        self.queue = FairQueue()
        self._flows: dict[int, Flow] = {}

    def add(self, flow: Flow, rows: int, count: int = 1) -> None:
        """Queue works of a flow."""
        query = Query("support", flow[1], 0.0, 0.0)
        for _ in range(count):
            work = Work(query, ["card"] * rows, 1.0, INVALID_SPAN, 0.0)
            self._flows[id(work)] = flow
            self.queue.add(flow, work)

    def take(self, rows: int) -> list[Flow]:
        """Return the flow of each work of the next call."""
        return [self._flows[id(work)] for work in self.queue.take(rows)]


async def test_alone_a_flow_takes_all() -> None:
    """One flow's works come in their order, up to the rows of a call."""
    queue = Queue()
    queue.add(BATCHES, 32, count=5)
    assert [queue.take(64) for _ in range(4)] == [[BATCHES] * 2, [BATCHES] * 2, [BATCHES], []]
    assert queue.queue.rows == 0


async def test_few_texts_do_not_wait_behind_batches() -> None:
    """A text that finds batches queued is in the next call."""
    queue = Queue()
    queue.add(BATCHES, 32, count=10)
    queue.add(OTHERS, 32, count=10)
    queue.add(UNARY, 1)
    assert queue.take(64)[0] == UNARY


async def test_busy_flows_get_equal_rows() -> None:
    """Flows that always have texts waiting get the same rows, however large their works are."""
    queue = Queue()
    queue.add(UNARY, 1, count=1000)
    queue.add(BATCHES, 32, count=40)
    queue.add(OTHERS, 8, count=200)
    sizes = {UNARY: 1, BATCHES: 32, OTHERS: 8}
    taken = [flow for _ in range(30) for flow in queue.take(64)]
    rows = {flow: taken.count(flow) * size for flow, size in sizes.items()}
    assert max(rows.values()) - min(rows.values()) <= 32 + QUANTUM_ROWS


async def test_a_work_that_does_not_fit_waits_for_the_next_call() -> None:
    """A call is not filled beyond its rows, and no work is lost."""
    queue = Queue()
    queue.add(BATCHES, 20, count=4)
    assert [len(queue.take(64)) for _ in range(3)] == [3, 1, 0]
    await asyncio.sleep(0)
