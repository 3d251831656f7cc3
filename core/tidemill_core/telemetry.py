"""Logs: events with fields, one JSON object per line on standard error, in ASCII.

A line that cannot be written, because the disk is full or the terminal is gone, is lost. It raises
no error.
"""

import contextlib
import logging
import os

import structlog


def configure_logging(process: str) -> None:
    """Set up logging for a process, with its name in every line."""
    lines = _StandardError()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)


class _StandardError:
    """A logger that writes structlog's lines of any level to standard error."""

    def __init__(self) -> None:
        self._is_torn = False

    def msg(self, line: str) -> None:
        data = b"\n" * self._is_torn + f"{line}\n".encode()
        rest = data
        # Not through sys.stderr: a line left in its buffer fails again when the process ends.
        with contextlib.suppress(OSError):
            while rest:
                rest = rest[os.write(2, rest) :]
        # A disk that is almost full may take half a line; the next line must not continue it.
        self._is_torn = bool(rest) if len(rest) < len(data) else self._is_torn

    debug = info = warning = error = critical = msg
