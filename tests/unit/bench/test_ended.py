"""Benchmarks that are ended from outside."""

import signal
import subprocess
import sys


def test_sigterm_ends_a_benchmark_as_ctrl_c_does() -> None:
    """What a benchmark started is ended: its blocks unwind."""
    code = "import time, bench.serving.workspace\ntry:\n print('up', flush=True); time.sleep(60)\n"
    code += "finally:\n print('unwound', flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as bench:
        assert bench.stdout is not None
        assert bench.stdout.readline() == "up\n"
        bench.send_signal(signal.SIGTERM)
        assert bench.stdout.read() == "unwound\n"
    assert bench.returncode == -signal.SIGINT
