"""Few Triton executions for concurrent requests."""

from typing import Any

from tests.integration.server.front import Front, Workspace
from tests.integration.server.load import TEXT
from tests.integration.server.scraping import in_flight
from tests.integration.server.test_outages import halted
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until
from tidemill.v1 import prediction_service_pb2 as pb

PREDICT = "PredictionService/Predict"


def ask(front: Front, count: int) -> list[Any]:
    """Start calls."""
    request = pb.PredictRequest(task="support", text=TEXT)
    return [front.predictions.Predict.future(request, timeout=60) for _call in range(count)]


def test_what_comes_while_triton_is_busy_shares_calls(front: Front, triton: RunningTriton) -> None:
    """60 calls that arrive while Triton is busy take a handful of executions."""
    before = triton.statistics("support-onnx")
    with halted(triton):
        calls = ask(front, 60)
        wait_until(lambda: in_flight(front, PREDICT) == [60], "all calls are under way")
    assert all(call.result().prediction.label for call in calls)
    after = triton.statistics("support-onnx")
    assert after.inference_count - before.inference_count == 60
    assert after.execution_count - before.execution_count <= 6


def test_triton_merges_what_two_fronts_ask(
    workspace: Workspace, front: Front, triton: RunningTriton
) -> None:
    """For calls of two fronts at the same time, Triton executes at most a sixteenth as often."""
    with Front(workspace, triton.grpc_address) as other:
        fronts = [front, other]
        for each in fronts:
            each.predictions.Predict(pb.PredictRequest(task="support", text=TEXT), timeout=60)
        before = triton.statistics("support-onnx")
        with halted(triton):
            calls = [call for each in fronts for call in ask(each, 160)]
            for each in fronts:
                wait_until(lambda: in_flight(each, PREDICT) == [160], "all calls are under way")  # noqa: B023 -- waited for at once
        assert all(call.result().prediction.label for call in calls)
        after = triton.statistics("support-onnx")
    executions = after.execution_count - before.execution_count
    assert after.inference_count - before.inference_count == 320
    assert executions * 16 <= len(calls)
