"""Texts from the command line or from standard input."""

import sys
from collections.abc import Iterator, Sequence

from tidemill_cli.failure import WrongUsage


def given_texts(texts: Sequence[str], errors: str = "strict") -> list[str]:
    """Return the texts of a command line; if its only text is `-`, the lines of standard input.

    Args:
        texts: the arguments.
        errors: `surrogateescape` accepts bytes that are not UTF-8, as lone surrogates.

    Raises:
        WrongUsage: a line of standard input is not UTF-8.
    """
    return list(_stdin_lines(errors)) if texts == ["-"] else list(texts)


def _stdin_lines(errors: str) -> Iterator[str]:
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield line.decode(errors=errors).rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise WrongUsage(f"line {number} of stdin is not UTF-8") from error
