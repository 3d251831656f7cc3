"""Several fronts behind one address."""

import contextlib
import threading

from tests.integration.server.front import Front, Workspace
from tests.integration.server.scraping import samples, total
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until
from tidemill_client import TidemillClient

CALLERS = 8


def answered(front: Front) -> float:
    """Return how many Predict calls a front has answered."""
    return total(samples(front), "requests_total", method="PredictionService/Predict", code="OK")


def test_calls_take_turns_and_outlive_a_front(workspace: Workspace, triton: RunningTriton) -> None:
    """While callers ask, one front is killed and one is stopped: no call fails."""
    with contextlib.ExitStack() as running:
        fronts = [running.enter_context(Front(workspace, triton.grpc_address)) for _ in range(3)]
        address = "ipv4:" + ",".join(front.address for front in fronts)
        client = running.enter_context(TidemillClient(address, timeout=30))
        stopping, failures, calls = threading.Event(), [], []

        def ask() -> None:
            while not stopping.is_set():
                try:
                    calls.append(client.predict("support", "lost my card").prediction_id)
                except Exception as error:
                    failures.append(error)

        callers = [threading.Thread(target=ask) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        try:
            wait_until(
                lambda: failures or min(map(answered, fronts)) > 50, "each front answers", 60
            )
            fronts[0].process.kill()
            fronts[0].process.wait()
            after = len(calls)
            wait_until(lambda: len(calls) > after + 200, "the others answer", 60)
            fronts[1].process.terminate()
            fronts[1].process.wait()
            after = len(calls)
            wait_until(lambda: len(calls) > after + 200, "the last one answers", 60)
        finally:
            stopping.set()
            for caller in callers:
                caller.join()
        assert failures == []
