"""The logs of supervised processes stay bounded."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.plugins.small_disk import clear, fill, mounted
from tests.plugins.waiting import wait_until
from tidemill_core.supervisor import Ended, ProcessSpec, Supervisor, read_processes

LIMIT = 10 * 1024 * 1024
SLEEPER = "import time; time.sleep(600)"
# Writes one megabyte after another.
TALKER = """
import time
while True:
    print("x" * 2**20, flush=True)
    time.sleep(0.05)
"""


def test_a_large_log_is_set_aside_at_the_start(tmp_path: Path) -> None:
    """A log over 10 MB becomes `.log.1`, and the new log starts empty."""
    log = tmp_path / "logs" / "server.log"
    log.parent.mkdir()
    log.write_bytes(b"x" * (LIMIT + 1))
    supervisor = Supervisor([_spec(SLEEPER)], tmp_path)
    supervisor.start()
    supervisor.stop()
    assert log.with_name("server.log.1").stat().st_size > LIMIT
    assert log.stat().st_size == 0


def test_the_log_of_a_process_that_runs_is_bounded(tmp_path: Path) -> None:
    """A log that grows over 10 MB is copied and emptied while its process goes on writing."""
    log, old = (tmp_path / "logs" / name for name in ("server.log", "server.log.1"))
    supervisor = Supervisor([_spec(TALKER)], tmp_path)
    supervisor.start()
    try:

        def goes_on() -> bool:
            assert supervisor.poll() == []
            return old.exists() and log.stat().st_size > 2**20

        wait_until(goes_on, "the log is set aside and written on")
    finally:
        supervisor.hurry()
        supervisor.stop()
    assert old.stat().st_size > LIMIT
    with log.open("rb") as file:  # no hole: the process goes on at the new end
        assert file.read(1) == b"x"


def test_a_full_disk_ends_no_stack(tmp_path: Path) -> None:
    """Processes start, restart and are replaced even when no file can be created."""
    with mounted(tmp_path / "disk"):
        state_dir = tmp_path / "disk"
        supervisor = Supervisor([_spec(SLEEPER)], state_dir)
        supervisor.start()
        try:
            (state_dir / "logs" / "server.log").unlink()
            fill(state_dir)
            os.kill(supervisor.pids()["server"], signal.SIGKILL)
            deaths: list[Ended] = []

            def is_restarted() -> bool:
                deaths.extend(supervisor.poll())
                return bool(deaths and supervisor.pids())

            wait_until(is_restarted, "the process is started again")
            assert [each.exit_code for each in deaths] == [-signal.SIGKILL]
            clear(state_dir)
            supervisor.poll()
            assert {each.pid for each in read_processes(state_dir)} == {*supervisor.pids().values()}
        finally:
            supervisor.hurry()
            supervisor.stop()


def test_a_line_that_cannot_be_written_is_lost() -> None:
    """On a full disk a process logs, goes on, and ends with its own exit code."""
    program = (
        "import structlog, sys\n"
        "from tidemill_core.telemetry import configure_logging\n"
        "configure_logging('test')\n"
        "try:\n"
        "    raise ValueError('x' * 100_000)\n"
        "except ValueError:\n"
        "    structlog.get_logger().exception('broken')\n"
        "structlog.get_logger().info('said', text='\\ud800')\n"
        "sys.exit(7)"
    )
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-c", program], stderr=full, check=False)
    assert done.returncode == 7
    written = subprocess.run(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, check=False
    ).stderr
    assert [json.loads(line)["event"] for line in written.splitlines()] == ["broken", "said"]


def test_half_a_line_is_not_continued(tmp_path: Path) -> None:
    """The first line that is logged when there is room again is complete."""
    program = (
        "import structlog, sys\n"
        "from tidemill_core.telemetry import configure_logging\n"
        "configure_logging('test')\n"
        "for line in sys.stdin:\n"
        "    structlog.get_logger().info(line.strip())\n"
        "    print('said', flush=True)"
    )
    with mounted(tmp_path / "disk"):
        folder = tmp_path / "disk"
        log = folder / "log"
        log.write_bytes(b"x" * 4000 + b"\n")  # 95 bytes of its page are left
        fill(folder)
        with (
            log.open("ab") as output,
            subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
            ) as process,
        ):
            assert process.stdin is not None
            assert process.stdout is not None
            for line in ("torn", "lost", "whole"):
                if line == "whole":
                    clear(folder)
                print(line * 10, file=process.stdin, flush=True)
                assert process.stdout.readline() == "said\n"
            process.stdin.close()
        *_, torn, whole = log.read_text().splitlines()
        assert len(torn) == 95
        assert json.loads(whole)["event"] == "whole" * 10


def _spec(script: str) -> ProcessSpec:
    return ProcessSpec("server", (sys.executable, "-c", script))
