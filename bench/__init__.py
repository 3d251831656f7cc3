"""Benchmarks, against peers too."""

import signal


def end_on_sigterm() -> None:
    """Make SIGTERM end a benchmark as Ctrl-C does, so that what it started ends with it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
