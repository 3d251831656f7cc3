"""The access log: the content of a line, and the cost of a slow or full disk."""

import fcntl
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.unit.server.telemetry.conftest import PREDICT
from tidemill_server.telemetry.access_log import MAX_HELD_LINES, AccessLog
from tidemill_server.telemetry.metrics import Metrics


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the log's path."""
    return tmp_path / "logs" / "access.log"


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def count(metrics: Metrics, outcome: str) -> float | None:
    """Return the number of lines with an outcome."""
    return metrics.registry.get_sample_value(
        "tidemill_access_log_lines_total", {"outcome": outcome}
    )


def test_a_line_tells_who_asked_what_and_how_it_ended(path: Path, metrics: Metrics) -> None:
    """A line has every field, and only the owner can read the file."""
    log = AccessLog(path, metrics)
    log.write(
        PREDICT,
        "RESOURCE_EXHAUSTED",
        "OVERLOADED",
        0.0123456,
        task="support",
        caller="mobile",
        peer="ipv4:127.0.0.1:5000",
        request_id="r-1",
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    )
    log.close()
    (line,) = lines(path)
    assert line.pop("timestamp").endswith("+00:00")
    assert line == {
        "event": "rpc",
        "method": PREDICT,
        "code": "RESOURCE_EXHAUSTED",
        "reason": "OVERLOADED",
        "milliseconds": 12.346,
        "task": "support",
        "caller": "mobile",
        "peer": "ipv4:127.0.0.1:5000",
        "request_id": "r-1",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_not_known_is_left_out(path: Path, metrics: Metrics) -> None:
    """A call without task, key or trace has no such fields."""
    log = AccessLog(path, metrics)
    log.write("Health/Check", "OK", "", 0.001)
    log.close()
    assert set(lines(path)[0]) == {"event", "timestamp", "method", "code", "milliseconds"}


def test_callers_cannot_write_lines_of_their_own(path: Path, metrics: Metrics) -> None:
    """Line breaks are escaped, long values cut, and lone surrogates are harmless."""
    log = AccessLog(path, metrics)
    log.write(PREDICT, "OK", "", 0.0, task="x" * 5000, request_id='a\n{"event": "b"}\ud800')
    log.close()
    (line,) = lines(path)
    assert line["task"] == "x" * 200
    assert line["request_id"].startswith('a\n{"event": "b"}')


def test_lines_are_counted(path: Path, metrics: Metrics) -> None:
    """All lines are written by the end, and the metric counts them."""
    log = AccessLog(path, metrics)
    for _ in range(2500):
        log.write(PREDICT, "OK", "", 0.001)
    log.close()
    assert len(lines(path)) == count(metrics, "written") == 2500
    assert count(metrics, "dropped") == 0


def test_a_disk_that_hangs_costs_lines_not_time(path: Path, metrics: Metrics) -> None:
    """While the disk hangs, calls continue, and dropped lines are counted."""
    path.parent.mkdir()
    os.mkfifo(path)  # opening it waits for a reader, like a hanging disk
    log = AccessLog(path, metrics)
    taking = threading.Thread(target=_fill, args=(log,))
    taking.start()
    taking.join(30)
    assert not taking.is_alive()
    dropped = count(metrics, "dropped")
    assert dropped is not None
    # The lines of one write may have left the buffer before it was full.
    assert 0 < dropped <= 2000
    reader = threading.Thread(target=path.read_bytes)
    reader.start()  # the disk comes back
    log.close()
    reader.join(30)
    assert count(metrics, "written") == MAX_HELD_LINES + 2000 - dropped


def _fill(log: AccessLog) -> None:
    for _ in range(MAX_HELD_LINES + 2000):
        log.write(PREDICT, "OK", "", 0.001)


def test_a_disk_that_is_full_costs_lines_and_is_told_once(metrics: Metrics) -> None:
    """Dropped lines are counted, and the error is logged once a minute."""
    with structlog.testing.capture_logs() as told:
        log = AccessLog(Path("/dev/full"), metrics)
        log.write(PREDICT, "OK", "", 0.001)
        log.close()
        assert count(metrics, "dropped") == 1
        log = AccessLog(Path("/dev/full"), metrics)
        for _ in range(3000):
            log.write(PREDICT, "OK", "", 0.001)
        log.close()
    assert count(metrics, "dropped") == 3001
    assert [line["event"] for line in told] == ["access_log_not_written"] * 2


def test_a_full_file_is_set_aside_once_for_all_workers(path: Path, metrics: Metrics) -> None:
    """Of two workers that find it full, one rotates it, and both continue in the new file."""
    path.parent.mkdir()
    path.write_text('{"method": "before"}\n' * 500)
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        workers = [AccessLog(path, metrics, max_bytes=4000) for _ in range(2)]
        for each in workers:
            each.write(PREDICT, "OK", "", 0.001)
        time.sleep(0.5)  # by now both have found it full and wait for the lock
    for each in workers:
        each.close()
    assert [line["method"] for line in lines(path)] == [PREDICT] * 2
    aside = path.with_name("access.log.1")
    assert [line["method"] for line in lines(aside)] == ["before"] * 500


def test_a_file_that_was_taken_away_is_made_anew(path: Path, metrics: Metrics) -> None:
    """If another program rotates the log, it continues under its own name."""
    log = AccessLog(path, metrics)
    log.write(PREDICT, "OK", "", 0.001)
    log.close()
    path.rename(path.with_name("taken"))
    log = AccessLog(path, metrics)
    log.write(PREDICT, "OK", "", 0.001)
    log.close()
    assert len(lines(path)) == 1
