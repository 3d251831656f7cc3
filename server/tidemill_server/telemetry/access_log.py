"""The access log: one line of JSON per RPC, written when the RPC ends.

A thread writes the lines, so a slow or full disk never delays a call; it loses lines, which are
counted. All workers append to one file. A full file is renamed to end in `.1` and replaces the
previous one of that name. The log contains no texts and no credentials.
"""

import contextlib
import fcntl
import json
import os
import threading
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

import structlog

from tidemill_server.telemetry.metrics import Metrics

MAX_HELD_LINES = 20_000
"""Bound on the lines that wait for the disk; further lines are dropped."""
MAX_BYTES = 100_000_000
"""Size at which the file is rotated."""
_MAX_VALUE_LENGTH = 200
_INTERVAL_SECONDS = 0.05
_MAX_LINES_A_WRITE = 1000
_CLOSE_SECONDS = 2.0
_COMPLAINT_SECONDS = 60.0

_OPTIONAL = ("reason", "task", "caller", "peer", "request_id", "trace_id")
_quoted = json.encoder.encode_basestring_ascii
log = structlog.get_logger()


class AccessLog:
    """The access log, which takes lines on one thread and writes them on another.

    Args:
        path: the file; its folder is created.
        metrics: counts the lines.
        max_bytes: size at which the file is rotated.
    """

    def __init__(self, path: Path, metrics: Metrics, max_bytes: int = MAX_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = _LogFile(path, max_bytes)
        self._written = metrics.access_log_lines["written"]
        self._dropped = metrics.access_log_lines["dropped"]
        self._lines: deque[tuple[float, str, str, float, tuple[str, ...]]] = deque()
        self._complain_at = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def write(
        self,
        method: str,
        code: str,
        reason: str,
        seconds: float,
        *,
        task: str = "",
        caller: str = "",
        peer: str = "",
        request_id: str = "",
        trace_id: str = "",
    ) -> None:
        """Take a line, without blocking. Values of optional fields are cut at 200 characters.

        Args:
            method: such as `PredictionService/Predict`.
            code: name of the gRPC status.
            reason: the error's reason; empty if the code is OK.
            seconds: how long the call took.
            task: the task that the request names.
            caller: name of the key or subject of the token.
            peer: the caller's address in gRPC's form.
            request_id: the caller's id of the request.
            trace_id: in hexadecimal digits; empty if the call is not traced.
        """
        if len(self._lines) >= MAX_HELD_LINES:
            self._dropped.inc()
            return
        values = (reason, task, caller, peer, request_id, trace_id)
        self._lines.append((time.time(), method, code, seconds, values))

    def close(self) -> None:
        """Write the pending lines, for at most two seconds."""
        self._closing.set()
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        while not self._closing.wait(_INTERVAL_SECONDS):
            self._write_all()
        self._write_all()
        self._file.close()

    def _write_all(self) -> None:
        while self._lines:
            count = min(len(self._lines), _MAX_LINES_A_WRITE)
            text = "".join(_line(*self._lines.popleft()) for _ in range(count))
            try:
                self._file.append(text.encode("utf-8", "backslashreplace"))
            except OSError as error:
                self._dropped.inc(count)
                self._complain(error)
            else:
                self._written.inc(count)

    def _complain(self, error: OSError) -> None:
        now = time.monotonic()
        if now >= self._complain_at:
            self._complain_at = now + _COMPLAINT_SECONDS
            log.error("access_log_not_written", detail=str(error))


def _line(at: float, method: str, code: str, seconds: float, values: tuple[str, ...]) -> str:
    """Return a line, put together by hand: encoding it whole costs several times as much."""
    optional = [
        f', "{name}": {_quoted(value[:_MAX_VALUE_LENGTH])}'
        for name, value in zip(_OPTIONAL, values, strict=True)
        if value
    ]
    timestamp = datetime.fromtimestamp(at, UTC).isoformat("T", "milliseconds")
    return (
        f'{{"event": "rpc", "timestamp": "{timestamp}", "method": "{method}", "code": "{code}", '
        f'"milliseconds": {seconds * 1000:.3f}{"".join(optional)}}}\n'
    )


class _LogFile:
    """A file that several processes append to, and that any of them rotates when it is full."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._descriptor: int | None = None
        self._is_torn = False

    def append(self, lines: bytes) -> None:
        """Append whole lines, in one piece.

        Raises:
            OSError: the disk is full, or the file cannot be written.
        """
        descriptor = self._current()
        rest = b"\n" * self._is_torn + lines
        while rest:
            written = os.write(descriptor, rest)
            rest = rest[written:]
            self._is_torn = bool(rest)

    def close(self) -> None:
        """Close the file, if it is open."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _current(self) -> int:
        """Return the descriptor of the current file, after rotating it if it is full."""
        if self._descriptor is not None and not self._is_in_place(self._descriptor):
            self.close()
        if self._descriptor is None:
            self._descriptor = self._open()
        if os.fstat(self._descriptor).st_size >= self._max_bytes:
            self._rotate(self._descriptor)
            self.close()
            self._descriptor = self._open()
        return self._descriptor

    def _open(self) -> int:
        self._is_torn = False
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        return os.open(self._path, flags, 0o600)

    def _rotate(self, descriptor: int) -> None:
        # Locked, so that a second process that finds the file full does not rotate the new one.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if self._is_in_place(descriptor):
            self._path.replace(self._path.with_name(self._path.name + ".1"))

    def _is_in_place(self, descriptor: int) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        return False
