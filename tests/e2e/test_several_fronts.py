"""Several fronts behind one address."""

import contextlib
import threading
from pathlib import Path

from tests.integration.server.front import Front, Workspace
from tests.integration.server.scraping import samples, total
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until
from tidemill.v1.model_service_pb2 import PromoteModelVersionRequest
from tidemill_client import TidemillClient, Unauthenticated
from tidemill_core.clock import system_clock
from tidemill_core.domain.access import Scope
from tidemill_core.storage.api_keys import NewApiKey

CALLERS = 8


def answered(front: Front) -> float:
    """Return how many Predict calls a front has answered."""
    return total(samples(front), "requests_total", method="PredictionService/Predict", code="OK")


def triton_of(workspace: Workspace) -> RunningTriton:
    """Return a Triton that serves all of a workspace's versions."""
    root, state = workspace.repository.root, workspace.folder / "triton"
    return RunningTriton(root, state, workspace.models)


def test_calls_take_turns_and_outlive_a_front(tmp_path: Path) -> None:
    """While callers ask, one front is killed and one is stopped: no call fails."""
    workspace = Workspace(tmp_path, {"support": 1})
    with triton_of(workspace) as triton, contextlib.ExitStack() as running:
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


def test_fronts_share_keys_traffic_and_ids(tmp_path: Path, postgres_url: str) -> None:
    """Over one PostgreSQL, what one front does holds on another one that shares no folder.

    A new key works on both at once; a prediction of one takes feedback on the other; a promotion
    and a revocation reach both.
    """
    workspace = Workspace(tmp_path, {"swapped": 2}, postgres_url)
    keys = {"TIDEMILL_PREDICTION_ID_KEYS": f'{{"1": "{"5a" * 32}"}}'}
    with triton_of(workspace) as triton, contextlib.ExitStack() as running:
        one, other = (
            running.enter_context(
                Front(
                    workspace,
                    triton.grpc_address,
                    environment={
                        **keys,
                        "TIDEMILL_AUTH__REQUIRED": "true",
                        "TIDEMILL_STATE_DIR": str(tmp_path / name),
                    },
                )
            )
            for name in ("one", "other")
        )
        scopes = frozenset({Scope.PREDICT, Scope.FEEDBACK, Scope.ADMIN})
        new = NewApiKey("shop", scopes, frozenset(), None, None)
        stored, key = workspace.storage.api_keys.create(new, system_clock())
        here, there = (
            running.enter_context(TidemillClient(front.address, api_key=key, timeout=20))
            for front in (one, other)
        )
        found = here.predict("swapped", "lost my card")
        assert there.submit_feedback(found.prediction_id, label="card")
        here.models.PromoteModelVersion(
            PromoteModelVersionRequest(
                task="swapped", model_version=2, actor="ann", comment="better", request_id="1"
            )
        )
        wait_until(
            lambda: there.predict("swapped", "lost my card").model_version == 2, "it is swapped", 20
        )
        workspace.storage.api_keys.revoke(stored.key_id, system_clock())

        def refused() -> bool:
            try:
                there.predict("swapped", "lost my card")
            except Unauthenticated:
                return True
            return False

        wait_until(refused, "the key is refused", 20)
    workspace.storage.database.close()
