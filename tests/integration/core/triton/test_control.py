"""Loading, unloading and swapping versions."""

import threading
from contextlib import closing
from http import client as http_client
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.plugins.triton import RunningTriton
from tidemill_core.errors import ModelLoadFailed, ModelVersionNotServed, TritonUnavailable
from tidemill_core.triton.control import TritonControl
from tidemill_core.triton.server_control import ControlKeyRefused


def cut_in_half(path: Path) -> None:
    """Truncate a file to its first half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_load_serves_exactly_the_configured_versions(
    control: TritonControl, publish: Any, configure: Any
) -> None:
    """A load serves exactly the versions of config.pbtxt; after an unload there are none."""
    for version in (1, 2, 3):
        publish("exactly-onnx", version)
    for versions in ((1,), (1, 3), (2,)):
        configure("exactly-onnx", *versions)
        control.load("exactly-onnx")
        assert control.ready_versions("exactly-onnx") == set(versions)
    control.unload("exactly-onnx")
    control.unload("exactly-onnx")
    assert control.ready_versions("exactly-onnx") == set()


def test_a_truncated_version_fails_and_the_other_goes_on(
    control: TritonControl,
    repository: Path,
    publish: Any,
    configure: Any,
    token_ids: Any,
) -> None:
    """Half a model file fails the load with Triton's words; the served version goes on."""
    name = "truncated-onnx"
    publish(name, 1)
    configure(name, 1)
    control.load(name)
    publish(name, 2)
    cut_in_half(repository / name / "2" / "model.onnx")
    configure(name, 1, 2)
    with pytest.raises(ModelLoadFailed, match="version 2 is at UNAVAILABLE"):
        control.load(name)
    assert control.ready_versions(name) == {1}
    assert control.infer(name, 1, token_ids(2)).shape == (2, 4)
    with pytest.raises(ModelVersionNotServed):
        control.infer(name, 2, token_ids(2))
    configure(name, 1)
    control.load(name)
    assert control.ready_versions(name) == {1}


def test_a_cold_start_serves_the_versions_left_in_the_configuration(
    tmp_path: Path, repository: Path, publish: Any, configure: Any, token_ids: Any
) -> None:
    """Triton starts though a version is truncated, and serves the others at the next load."""
    for version in (1, 2):
        publish("cold-onnx", version)
    publish("whole-onnx", 1)
    cut_in_half(repository / "cold-onnx" / "2" / "model.onnx")
    configure("cold-onnx", 1, 2)
    configure("whole-onnx", 1)
    with (
        RunningTriton(repository, tmp_path, ("cold-onnx", "whole-onnx")) as triton,
        triton.control() as control,
    ):
        assert control.ready_versions("whole-onnx") == {1}
        assert control.ready_versions("cold-onnx") == set()
        configure("cold-onnx", 1)
        control.load("cold-onnx")
        assert control.ready_versions("cold-onnx") == {1}
        triton.kill()
        triton.start()
        assert control.infer("cold-onnx", 1, token_ids(1)).shape == (1, 4)


def test_a_swap_under_load_loses_nothing(
    control: TritonControl, publish: Any, configure: Any, token_ids: Any
) -> None:
    """Calls of a version that stays do not fail while others are loaded and unloaded."""
    for version in (1, 2, 3):
        publish("swap-onnx", version)
    configure("swap-onnx", 1)
    control.load("swap-onnx")
    ids, done, answered = token_ids(1), threading.Event(), [0, 0]
    failures: list[Exception] = []

    def call(caller: int) -> None:
        while not done.is_set():
            try:
                control.infer("swap-onnx", 1, ids)
                answered[caller] += 1
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=call, args=(caller,)) for caller in range(len(answered))]
    for thread in threads:
        thread.start()
    try:
        for versions in ((1, 2), (1, 3), (1,), (1, 2, 3), (1, 2)):
            configure("swap-onnx", *versions)
            control.load("swap-onnx")
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert min(answered) > 20


def test_the_repository_is_closed_to_those_without_the_key(triton: RunningTriton) -> None:
    """Neither gRPC nor HTTP loads, lists or maps memory without the right key."""
    with TritonControl(f"{triton.grpc_address},127.0.0.1:1", "another key") as control:
        for forbidden in (control.load, control.unload, control.ready_versions):
            with pytest.raises(ControlKeyRefused, match=triton.grpc_address):
                forbidden("any")
    with grpc.insecure_channel(triton.grpc_address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError, match="restricted"):
            stub.SystemSharedMemoryStatus(service_pb2.SystemSharedMemoryStatusRequest())
        with pytest.raises(grpc.RpcError, match="restricted"):
            stub.LogSettings(service_pb2.LogSettingsRequest())
    http = http_client.HTTPConnection(triton.http_address)
    with closing(http):
        http.request("POST", "/v2/repository/index")
        assert http.getresponse().status == 403


def test_a_model_without_a_folder_cannot_be_loaded(control: TritonControl) -> None:
    """Triton's refusal is a ModelLoadFailed with the model's name."""
    with pytest.raises(ModelLoadFailed, match="missing-onnx"):
        control.load("missing-onnx")


def test_a_change_fails_if_no_triton_answers() -> None:
    """A load that no Triton has done is an error; the caller tries again later."""
    with TritonControl("127.0.0.1:1,127.0.0.1:2", "key") as control:
        with pytest.raises(TritonUnavailable):
            control.load("support-onnx")
        with pytest.raises(TritonUnavailable):
            control.ready_versions("support-onnx")
