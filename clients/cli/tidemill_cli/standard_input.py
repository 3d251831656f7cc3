"""Texts that are piped in."""

import sys
from collections.abc import Iterator

from tidemill_cli.failure import WrongUsage


def stdin_lines(errors: str = "strict") -> Iterator[str]:
    """Yield the lines of standard input, without their ends.

    Args:
        errors: `surrogateescape` accepts bytes that are not UTF-8, as lone surrogates.

    Raises:
        WrongUsage: a line is not UTF-8.
    """
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield line.decode(errors=errors).rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise WrongUsage(f"line {number} of stdin is not UTF-8") from error
