"""Logs: events with fields, one JSON object a line on standard error.

A line that cannot be written, because the disk is full or the terminal is gone, is lost. It never
becomes an error where it was logged.
"""

import contextlib
import logging
import os

import structlog


def configure_logging(process: str) -> None:
    """Set up logging for a process; `process` is in every line."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: _StandardError(),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)


class _StandardError:
    """What structlog writes lines with, whatever their level."""

    def msg(self, line: str) -> None:
        data = (line + "\n").encode("utf-8", "backslashreplace")
        # Not through sys.stderr: what its buffer cannot write fails again when the process ends.
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(2, data) :]

    debug = info = warning = error = critical = msg
