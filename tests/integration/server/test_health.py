"""Health and reflection, as load balancers and tools use them."""

from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from tests.integration.server.front import BOTH_TRANSPORTS, Front, Workspace
from tests.integration.server.refusal import refusal, words
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until
from tidemill.v1.prediction_service_pb2 import PredictRequest
from tidemill_server.rpc.watches import MAX_WATCHES

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def health(front: Front, service: str) -> int:
    """Return a service's health."""
    request = health_pb2.HealthCheckRequest(service=service)
    return int(health_pb2_grpc.HealthStub(front.channel).Check(request, timeout=5).status)


@BOTH_TRANSPORTS
@pytest.mark.parametrize(
    ("service", "status"),
    [
        ("", SERVING),
        ("tidemill.task.support", SERVING),
        ("tidemill.task.mixed", SERVING),
        ("tidemill.task.untrained", NOT_SERVING),
    ],
)
def test_health_is_told_by_task(front: Front, service: str, status: int) -> None:
    """The front is SERVING; a task is if its champion is loaded."""
    wait_until(lambda: health(front, "tidemill.task.mixed") == SERVING, "the tasks are checked")
    wait_until(lambda: health(front, service) == status, "it has its own health")


def test_one_damaged_task_leaves_the_others(tmp_path: Path, triton: RunningTriton) -> None:
    """With a damaged tokenizer, the front serves all other tasks, and logs why."""
    workspace = Workspace(tmp_path, {"support": 1, "swapped": 1})
    folder = workspace.repository.folder("swapped", "onnx", 1)
    (folder / "tokenizer.json").write_text("{")
    expected = ("FAILED_PRECONDITION", "CHAMPION_UNREADABLE", "")
    with Front(workspace, triton.grpc_address) as front:
        ask = front.predictions.Predict
        wait_until(lambda: health(front, "tidemill.task.support") == SERVING, "the task is SERVING")
        assert health(front, "tidemill.task.swapped") == NOT_SERVING
        good, bad = (PredictRequest(task=task, text="card") for task in ("support", "swapped"))
        assert ask(good, timeout=5).prediction.label
        assert words(refusal(lambda: ask(bad, timeout=5))) == expected
        assert front.process.poll() is None


@BOTH_TRANSPORTS
def test_an_unknown_service_is_not_found(front: Front) -> None:
    """An unknown service is NOT_FOUND, as the health protocol says."""
    assert refusal(lambda: health(front, "unheard.of")).code == grpc.StatusCode.NOT_FOUND.name


@BOTH_TRANSPORTS
def test_health_can_be_watched(front: Front) -> None:
    """Watch sends the state immediately and keeps the stream open."""
    stub = health_pb2_grpc.HealthStub(front.channel)
    watch = stub.Watch(health_pb2.HealthCheckRequest(service="tidemill.task.support"), timeout=10)
    assert next(watch).status == SERVING
    watch.cancel()
    assert "unexpected_error" not in front.log()


@BOTH_TRANSPORTS
def test_health_can_be_watched_by_more_callers_than_other_things(front: Front) -> None:
    """A client with health checking sends no calls to a server whose health it cannot watch."""
    stub = health_pb2_grpc.HealthStub(front.channel)
    watches = [
        stub.Watch(health_pb2.HealthCheckRequest(), timeout=30) for _ in range(MAX_WATCHES + 1)
    ]
    assert {next(watch).status for watch in watches} == {SERVING}
    for watch in watches:
        watch.cancel()


@BOTH_TRANSPORTS
def test_reflection_lists_every_service(front: Front) -> None:
    """Tools find all services and messages without the proto files."""
    database = ProtoReflectionDescriptorDatabase(front.channel)
    names = (
        "Access",
        "Prediction",
        "Feedback",
        "Labeling",
        "Dataset",
        "Model",
        "Monitoring",
        "Job",
    )
    expected = {f"tidemill.v1.{name}Service" for name in names}
    others = {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "inference.GRPCInferenceService",
    }
    assert set(database.get_services()) == expected | others
    file = database.FindFileContainingSymbol("tidemill.v1.PredictionService")
    assert file.name == "tidemill/v1/prediction_service.proto"


@BOTH_TRANSPORTS
@pytest.mark.parametrize("version", ["v1alpha", "v1"])
def test_both_versions_of_reflection_answer(front: Front, version: str) -> None:
    """A tool that knows only `grpc.reflection.v1` sees the services, too."""
    reflect: Any = front.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = reflect(iter([asked]), timeout=5)
    names = {service.name for service in answer.list_services_response.service}
    assert "tidemill.v1.PredictionService" in names
