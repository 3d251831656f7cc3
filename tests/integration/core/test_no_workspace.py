"""Tests of a stack's processes, started by hand outside a workspace."""

import os
import subprocess
import sys
from pathlib import Path

MODULES = ("tidemill_core.triton.main", "tidemill_jobs.main", "tidemill_server.main")


def test_outside_a_workspace_no_process_starts(tmp_path: Path) -> None:
    """Each says that there is no tidemill.toml, and creates nothing."""
    environment = {key: value for key, value in os.environ.items() if "TIDEMILL" not in key}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for module in MODULES
    ]
    try:
        outputs = [process.communicate(timeout=120)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    for process, output in zip(started, outputs, strict=True):
        assert process.returncode == 1
        assert f"there is no {tmp_path / 'tidemill.toml'}: change to a workspace's folder" in output
    assert not list(tmp_path.iterdir())
