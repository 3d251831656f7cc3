"""The client in plain grpcio, without a server."""

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "grpc" / "predict.py"


def test_the_example_explains_a_missing_server_instead_of_a_traceback() -> None:
    """It prints gRPC's code and message, and fails."""
    command = [sys.executable, str(EXAMPLE), "127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stdout.startswith("error: UNAVAILABLE: ")


def test_the_example_has_a_help() -> None:
    """Its help names the arguments, and asks no server."""
    command = [sys.executable, str(EXAMPLE), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "[HOST:PORT] [TASK]" in done.stdout
