"""Benchmarks that are ended from outside."""

import signal
import subprocess
import sys
from pathlib import Path

import bench

_CODE = """
import signal, time
import bench.serving.workspace
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL  # tests import it too
bench.end_on_sigterm()
try:
    print("up", flush=True)
    time.sleep(60)
finally:
    print("unwound", flush=True)
"""
_MAIN = 'if __name__ == "__main__":\n'
_SERVERS = {"echo.py", "litserve_app.py", "mlserver_app.py", "raw_onnx_app.py"}


def test_sigterm_ends_a_benchmark_as_ctrl_c_does() -> None:
    """What a benchmark started is ended: its blocks unwind."""
    with subprocess.Popen(
        [sys.executable, "-c", _CODE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "unwound\n"
    assert process.returncode == -signal.SIGINT


def test_every_benchmark_ends_so() -> None:
    """All but the servers, which hold nothing, set it when they start."""
    modules = [each.read_text() for each in Path(bench.__path__[0]).rglob("*.py")]
    assert sum(_MAIN in each for each in modules) == len(_SERVERS) + sum(
        f"{_MAIN}    end_on_sigterm()\n" in each for each in modules
    )
