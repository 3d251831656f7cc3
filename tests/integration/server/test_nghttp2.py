"""nghttp2's own programs as gRPC callers."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.server.front import BOTH_TRANSPORTS, Front
from tests.integration.server.raw_http2 import frame
from tidemill.v1 import prediction_service_pb2 as pb

pytestmark = [
    BOTH_TRANSPORTS,
    pytest.mark.skipif(
        shutil.which("nghttp") is None or shutil.which("h2load") is None,
        reason="nghttp and h2load are not installed; they are in Debian's package nghttp2",
    ),
]
HEADERS = ("-H", "te: trailers", "-H", "content-type: application/grpc")


def run(folder: Path, front: Front, *command: str, text: str = "lost my card") -> str:
    """Run a program that calls Predict, and return what it prints."""
    body = folder / "body"
    body.write_bytes(frame(pb.PredictRequest(task="support", text=text).SerializeToString()))
    url = f"http://{front.address}/tidemill.v1.PredictionService/Predict"
    done = subprocess.run(
        [*command, *HEADERS, "-d", str(body), url],
        capture_output=True,
        encoding="utf-8",
        errors="replace",  # nghttp prints the answer's bytes, too
        timeout=30,
        check=True,
    )
    return done.stdout


def test_nghttp_gets_an_answer_and_its_trailers(front: Front, tmp_path: Path) -> None:
    """An answer ends with grpc-status 0, and a refusal with its code and message."""
    answered = run(tmp_path, front, "nghttp", "-v", "--no-dep")
    assert ":status: 200" in answered
    assert "grpc-status: 0" in answered
    refused = run(tmp_path, front, "nghttp", "-v", "--no-dep", text=" ")
    assert "grpc-status: 3" in refused
    assert "grpc-message: " in refused


def test_h2load_is_answered_on_many_streams(front: Front, tmp_path: Path) -> None:
    """Calls on 4 connections with 16 streams each all end with HTTP status 200."""
    said = run(tmp_path, front, "h2load", "-n", "400", "-c", "4", "-m", "16")
    assert "400 succeeded, 0 failed, 0 errored, 0 timeout" in said
    assert "400 2xx" in said
