"""Benchmarks, against peers too.

SIGTERM ends a benchmark as Ctrl-C does, so that what it started ends with it.
"""

import signal

signal.signal(signal.SIGTERM, signal.default_int_handler)
