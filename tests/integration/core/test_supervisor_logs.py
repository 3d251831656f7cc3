"""The logs of supervised processes stay bounded."""

import sys
import time
from pathlib import Path

from tidemill_core.supervisor import ProcessSpec, Supervisor

LIMIT = 10 * 1024 * 1024
SLEEPER = "import time; time.sleep(600)"
# Writes a megabyte after the other.
TALKER = """
import time
while True:
    print("x" * 2**20, flush=True)
    time.sleep(0.05)
"""


def test_a_large_log_is_set_aside_at_the_start(tmp_path: Path) -> None:
    """A log over 10 MB becomes `.log.1`, and the new one begins empty."""
    log = tmp_path / "logs" / "server.log"
    log.parent.mkdir()
    log.write_bytes(b"x" * (LIMIT + 1))
    supervisor = Supervisor([_spec(SLEEPER)], tmp_path)
    supervisor.start()
    supervisor.stop()
    assert log.with_name("server.log.1").stat().st_size > LIMIT
    assert log.stat().st_size == 0


def test_the_log_of_a_process_that_runs_is_bounded(tmp_path: Path) -> None:
    """A log that grows over 10 MB is set aside and emptied under its process, which writes on."""
    log, old = (tmp_path / "logs" / name for name in ("server.log", "server.log.1"))
    supervisor = Supervisor([_spec(TALKER)], tmp_path)
    supervisor.start()
    try:
        deadline = time.monotonic() + 30
        while not (old.exists() and log.stat().st_size > 2**20):
            assert supervisor.poll() == []
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        supervisor.hurry()
        supervisor.stop()
    assert old.stat().st_size > LIMIT
    with log.open("rb") as file:  # no hole: it goes on at the new end
        assert file.read(1) == b"x"


def _spec(script: str) -> ProcessSpec:
    return ProcessSpec("server", (sys.executable, "-c", script))
