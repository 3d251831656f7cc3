"""The container's Triton in the compose files against the embedded one."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidemill_core.settings import Settings
from tidemill_core.triton.embedded import (
    CONTROL_KEY_HEADER,
    EmbeddedTriton,
    prepare,
    unsupported_reason,
)

ROOT = Path(__file__).resolve().parents[3]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(
    (ROOT / "docker-compose.yml").read_text("utf-8")
)["services"]
CONTROL_KEY = "${TIDEMILL_TRITON__CONTROL_KEY:?choose one, for example with openssl rand -hex 32}"

# What differs between the container and the embedded Triton, and is checked by itself or not at
# all: where files lie, what listens where, what is loaded, and what only the wheel needs.
EMBEDDED_ONLY = {
    "--backend-directory",
    "--backend-config",
    "--pinned-memory-pool-byte-size",
    "--allow-gpu-metrics",
}
DIFFERENT = {
    "--model-repository",
    "--load-model",
    "--grpc-address",
    "--http-address",
    "--metrics-address",
}


def flags(arguments: Iterable[str]) -> dict[str, str]:
    """Flags by name; the program before them is left out."""
    _, *given = arguments
    return {name: value for name, _, value in (each.partition("=") for each in given)}


@pytest.mark.skipif(unsupported_reason() is not None, reason="no embedded Triton to compare with")
def test_triton_is_started_like_the_embedded_one(tmp_path: Path) -> None:
    """Flag by flag the container's Triton agrees with the embedded, but for where it runs."""
    embedded = EmbeddedTriton(
        model_repository=tmp_path,
        state_directory=tmp_path / "state",
        grpc_port=Settings.model_fields["triton_grpc_port"].default,
        http_port=Settings.model_fields["triton_http_port"].default,
        metrics_port=Settings.model_fields["triton_metrics_port"].default,
        control_key=CONTROL_KEY,
        load_models=("support-onnx",),
    )
    ours = flags(prepare(embedded).arguments)
    theirs = flags(SERVICES["triton"]["command"])
    assert ours.keys() - theirs.keys() == EMBEDDED_ONLY
    assert theirs.keys() <= ours.keys()
    assert {flag for flag in theirs if theirs[flag] != ours[flag]} == DIFFERENT


def test_triton_listens_where_the_others_call() -> None:
    """Its address is the others' setting, its port the setting's default."""
    given = flags(SERVICES["triton"]["command"])
    assert (
        SERVICES["server"]["environment"]["TIDEMILL_TRITON__URL"]
        == f"triton:{given['--grpc-port']}"
    )
    assert given["--grpc-port"] == str(Settings.model_fields["triton_grpc_port"].default)
    assert given["--grpc-address"] == given["--http-address"] == "0.0.0.0"  # noqa: S104 -- in its container
    assert f"http://127.0.0.1:{given['--http-port']}/" in " ".join(
        SERVICES["triton"]["healthcheck"]["test"]
    )


def test_model_control_needs_the_key() -> None:
    """Over both protocols, loading models asks for the key that only the jobs are given."""
    given = flags(SERVICES["triton"]["command"])
    assert given["--model-control-mode"] == "explicit"
    for flag in ("--grpc-restricted-protocol", "--http-restricted-api"):
        apis, _, key = given[flag].partition(":")
        assert "model-repository" in apis.split(",")
        assert key == f"{CONTROL_KEY_HEADER}={CONTROL_KEY}"


def test_the_gpu_file_only_adds_devices() -> None:
    """The second compose file reserves the GPUs for the one Triton, and changes nothing else."""
    added = yaml.safe_load((ROOT / "docker-compose.gpu.yml").read_text("utf-8"))
    devices = [{"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}]
    reserved = {"deploy": {"resources": {"reservations": {"devices": devices}}}}
    assert added == {"services": {"triton": reserved}}
    assert "deploy" not in SERVICES["triton"]
