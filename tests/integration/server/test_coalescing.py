"""Concurrent requests become few executions."""

import time
from collections.abc import Sequence
from typing import Any

from tests.integration.server.front import Front, Workspace
from tests.integration.server.load import TEXT, Callers
from tests.integration.server.test_outages import halted
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_core.triton.control import VersionStatistics
from tidemill_core.triton.testing import RunningTriton


def statistics(triton: RunningTriton) -> VersionStatistics:
    """What the champion of `support` has done so far."""
    with triton.control() as control:
        return control.statistics("support-onnx")[1]


def ask(fronts: Sequence[Front], count: int) -> list[Any]:
    """Calls in flight, for each front as many."""
    request = pb.PredictRequest(task="support", text=TEXT)
    return [
        each.predictions.Predict.future(request, timeout=10)
        for each in fronts
        for _call in range(count)
    ]


def test_what_comes_while_triton_is_busy_shares_calls(front: Front, triton: RunningTriton) -> None:
    """500 calls that come while Triton is busy are answered by a handful of executions."""
    before = statistics(triton)
    with halted(triton):
        calls = ask([front], 500)
        time.sleep(0.5)
    assert all(call.result().prediction.label for call in calls)
    after = statistics(triton)
    assert after.row_count - before.row_count == 500
    assert after.execution_count - before.execution_count <= 20


def test_triton_merges_what_two_fronts_ask(
    workspace: Workspace, front: Front, triton: RunningTriton
) -> None:
    """Under load from two fronts Triton executes at most half as often as it is asked."""
    with Front(workspace, triton.grpc_address) as other:
        before = statistics(triton)
        with Callers([front, other], 64) as callers:
            time.sleep(3)
        after = statistics(triton)
    requests = after.success_count - before.success_count
    executions = after.execution_count - before.execution_count
    assert callers.load.failures == []
    assert requests > 100
    assert executions * 2 <= requests
