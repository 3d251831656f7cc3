"""A real Envoy, with the shipped configuration, before two fronts."""

import contextlib
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.integration.server.certificates import Authority
from tests.integration.server.front import Front, Workspace
from tests.integration.server.scraping import samples, total
from tests.plugins.envoy import Envoy, running_envoy
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until
from tidemill_client import TidemillClient, Tls

GUIDE = Path(__file__).parents[3] / "docs" / "many-machines.md"
PREDICT = {"text": "lost my card"}


@pytest.fixture(scope="module")
def fronts(workspace: Workspace, triton: RunningTriton) -> Iterator[tuple[Front, Front]]:
    """Yield two fronts over one workspace."""
    with contextlib.ExitStack() as running:
        one, other = (
            running.enter_context(Front(workspace, triton.grpc_address)) for _ in range(2)
        )
        yield one, other


@pytest.fixture
def envoy(fronts: tuple[Front, Front], tmp_path: Path) -> Iterator[Envoy]:
    """Yield an Envoy before the fronts."""
    ports = [front.port for front in fronts], [front.http_port for front in fronts]
    with running_envoy(tmp_path, *ports) as envoy:
        yield envoy


def test_calls_streams_and_rest_outlive_a_front(fronts: tuple[Front, Front], envoy: Envoy) -> None:
    """Both fronts answer; after the death of one, calls of every kind still succeed."""
    one, other = fronts
    with TidemillClient(envoy.grpc, timeout=60) as client:
        for _ in range(20):
            found = client.predict("support", "lost my card")
        assert client.submit_feedback(found.prediction_id, label="card")
        for front in fronts:
            answered = total(samples(front), "requests_total", method="PredictionService/Predict")
            assert answered > 0
        one.process.kill()
        one.process.wait()
        for _ in range(20):
            client.predict("support", "lost my card")
        assert len(list(client.predict_many(["lost my card"] * 50, task="support"))) == 50
        for _ in range(5):
            answer = httpx.post(f"{envoy.http}/v1/tasks/support:predict", json=PREDICT, timeout=30)
            assert answer.status_code == 200, answer.text
            assert httpx.get(f"{envoy.http}/health", timeout=30).status_code == 200
        lines = httpx.post(
            f"{envoy.http}/v1/tasks/support:streamPredict",
            content='{"text": "lost my card"}\n' * 3,
            headers={"content-type": "application/x-ndjson"},
            timeout=30,
        )
        assert lines.text.count("prediction_id") == 3, lines.text
        wait_until(lambda: envoy.healthy("grpc") == 1, "Envoy finds the front dead")
        one.start()
        wait_until(lambda: envoy.healthy("grpc") == 2, "Envoy finds it alive again")
        other.stop()
        client.predict("support", "lost my card")


def with_tls(resources: dict[str, Any], folder: Path) -> None:
    """Add the guide's blocks to the listeners and the clusters, with the files of a folder."""
    blocks = re.findall(r"```yaml\n(transport_socket:.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    callers, fronts = (block.replace("/etc/envoy", str(folder)) for block in blocks)
    for listener in resources["listeners"]:
        listener["filter_chains"][0] |= _of(listener["name"], callers)
    for cluster in resources["clusters"]:
        cluster |= _of(cluster["name"], fronts)


def _of(name: str, block: str) -> dict[str, Any]:
    """Return a block for gRPC, or with the protocols that its comment names for HTTP."""
    if name == "http":
        block = re.sub(r"(alpn_protocols:) .*(\[.*\])$", r"\1 \2", block, flags=re.MULTILINE)
    return dict(yaml.safe_load(block))


def test_tls_as_in_the_guide(workspace: Workspace, triton: RunningTriton, tmp_path: Path) -> None:
    """With its blocks Envoy speaks TLS with callers and with fronts, whose health it sees."""
    ours = Authority("ours")
    ours.issue().write(tmp_path / "tls.crt", tmp_path / "tls.key")
    roots = tmp_path / "ca.crt"
    roots.write_bytes(ours.certificate)
    names = {"CERTIFICATE": "tls.crt", "PRIVATE_KEY": "tls.key"}
    files = {f"TIDEMILL_TLS__{name}": str(tmp_path / file) for name, file in names.items()}
    front = Front(workspace, triton.grpc_address, environment=files)
    front.launch()
    try:
        ports = [front.port], [front.http_port]
        with running_envoy(tmp_path, *ports, lambda found: with_tls(found, tmp_path)) as envoy:
            with TidemillClient(envoy.grpc, tls=Tls(root_certificates=roots)) as client:
                assert client.predict("support", "lost my card").label
            url = envoy.http.replace("http", "https", 1)
            verify = ssl.create_default_context(cafile=roots)
            assert httpx.get(f"{url}/health", verify=verify, timeout=30).status_code == 200
    finally:
        front.stop()
