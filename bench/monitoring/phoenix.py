"""A real Phoenix shows what the front sends: `python -m bench.monitoring.phoenix`.

Phoenix has packages that exclude Tidemill's, so it gets a virtual environment of its own (850 MB; a
few minutes to install). The command starts it on free ports and runs the test of its spans.
"""

# ruff: noqa: S603 -- our own words

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from bench import end_on_sigterm
from tests.plugins.triton import free_ports

VERSION = "20.26.1"
TEST = "tests/integration/server/test_phoenix.py"
_START_SECONDS = 180


def installed(folder: Path) -> Path:
    """Return Phoenix's command in a virtual environment, which is made if it does not exist."""
    command = folder / "bin" / "phoenix"
    if not command.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "pip"), "install", "-q", f"arize-phoenix=={VERSION}"]
        subprocess.run(pip, check=True)
    return command


def wait_for(page: str, phoenix: "subprocess.Popen[bytes]") -> None:
    """Wait until Phoenix answers.

    Raises:
        RuntimeError: it ended, or did not answer in three minutes.
    """
    give_up = time.monotonic() + _START_SECONDS
    while time.monotonic() < give_up and phoenix.poll() is None:
        try:
            httpx.get(f"{page}/healthz", timeout=5.0)
        except httpx.HTTPError:
            time.sleep(0.5)
        else:
            return
    raise RuntimeError("Phoenix did not start; its output is above")


def main() -> int:
    """Run the test against Phoenix and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    default = Path.home() / ".cache" / "tidemill-phoenix"
    parser.add_argument("--venv", type=Path, default=default, help="the virtual environment")
    command = installed(parser.parse_args().venv)
    http_port, grpc_port = free_ports(2)
    page = f"http://127.0.0.1:{http_port}"
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(http_port),
            "PHOENIX_GRPC_PORT": str(grpc_port),
            "PHOENIX_WORKING_DIR": folder,
            "PHOENIX_TELEMETRY_ENABLED": "false",
        }
        phoenix = subprocess.Popen([str(command), "serve"], env=environment)
        try:
            wait_for(page, phoenix)
            given = {"TEST_PHOENIX": f"{page} http://127.0.0.1:{grpc_port}"}
            test = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", TEST]
            return subprocess.run(test, env={**os.environ, **given}, check=False).returncode
        finally:
            phoenix.terminate()
            phoenix.wait()


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
