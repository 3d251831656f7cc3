"""Texts that are piped in."""

import sys
from collections.abc import Iterator

from tidemill_cli.failure import WrongUsage


def stdin_lines() -> Iterator[str]:
    """The lines of standard input, without their ends.

    Raises:
        WrongUsage: a line is not UTF-8.
    """
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield line.decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise WrongUsage(f"line {number} of stdin is not UTF-8") from error
