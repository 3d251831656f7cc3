"""Changes through one worker, or past both, which take effect in both."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import grpc

from tests.integration.server.front import Workspace
from tests.integration.server.load import TEXT
from tests.integration.server.refusal import of
from tests.integration.server.workers import Workers, running
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until
from tidemill.v1 import model_service_pb2 as model_pb
from tidemill.v1 import model_service_pb2_grpc, prediction_service_pb2_grpc
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_core.clock import system_clock
from tidemill_core.domain.access import Scope
from tidemill_core.storage.api_keys import NewApiKey


class Connections:
    """Enough connections that each worker has some."""

    def __init__(self, workers: Workers, stack: contextlib.ExitStack) -> None:
        own: list[tuple[str, int]] = [("grpc.use_local_subchannel_pool", 1)]
        self.channels: list[grpc.Channel] = []

        def both_answer() -> bool:
            # Either worker may take a connection from the socket that they share.
            channels = [grpc.insecure_channel(workers.address, own) for _ in range(16)]
            self.channels += [stack.enter_context(channel) for channel in channels]
            self.seen_by_all(self.outcome_is("version 1"))
            return workers.answering() == [True, True]

        wait_until(both_answer, "each worker has a connection")

    @staticmethod
    def outcome_is(wanted: str, key: str = "") -> Callable[[grpc.Channel], bool]:
        """Return whether a prediction, with an API key if one is given, has the wanted outcome."""
        metadata = (("authorization", f"Bearer {key}"),) if key else ()
        request = pb.PredictRequest(task="mixed", text=TEXT)

        def is_wanted(channel: grpc.Channel) -> bool:
            ask = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
            try:
                answered = ask(request, timeout=10, metadata=metadata).prediction
                return f"version {answered.model_version}" == wanted
            except grpc.RpcError as error:
                return of(error).reason == wanted

        return is_wanted

    def seen_by_all(self, check: Callable[[grpc.Channel], bool]) -> None:
        """Wait until a check has held once on every connection."""
        left = self.channels

        def none_is_left() -> bool:
            nonlocal left
            left = [channel for channel in left if not check(channel)]
            return not left

        wait_until(none_is_left, "no connection is left")


def test_changes_reach_both_workers(tmp_path: Path, triton: RunningTriton) -> None:
    """Promotions, traffic changes, new keys and revocations take effect in both workers."""
    workspace = Workspace(tmp_path, {"mixed": 3})
    keys = workspace.storage.api_keys
    with running(workspace, triton) as workers, contextlib.ExitStack() as stack:
        connections = Connections(workers, stack)
        outcome_is, seen_by_all = connections.outcome_is, connections.seen_by_all
        models = model_service_pb2_grpc.ModelServiceStub(connections.channels[0])
        promotion = model_pb.PromoteModelVersionRequest(task="mixed", model_version=2)
        models.PromoteModelVersion(promotion, timeout=10)
        seen_by_all(outcome_is("version 2"))
        shadow = model_pb.SetTrafficRequest(task="mixed", shadows=[3])
        models.SetTraffic(shadow, timeout=10)
        share = model_pb.TrafficShare(model_version=3, percent=99)
        models.SetTraffic(model_pb.SetTrafficRequest(task="mixed", canaries=[share]), timeout=10)
        seen_by_all(outcome_is("version 3"))
        new = NewApiKey("shop", frozenset({Scope.PREDICT}))
        key, shown = keys.create(new, system_clock())
        seen_by_all(outcome_is("version 3", shown))
        keys.revoke(key.key_id, system_clock())
        seen_by_all(outcome_is("INVALID_API_KEY", shown))
