"""A query, prepared to be a subquery."""

import re

from tidemill_core.errors import DataError

_TOKENS = re.compile(
    r"""(?P<passed> \s+ | --[^\n]* | /\*.*?(\*/|\Z) )
    | (?P<end> ; )
    | (?<!\w)[eE]'([^'\\]|\\.|'')*'
    | '([^']|'')*' | "([^"]|"")*" | `[^`]*` | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$
    | .""",
    re.DOTALL | re.VERBOSE,
)
"""Spaces and comments, ends of statements, quoted text and names, and everything else."""


def single_query(query: str, place: str) -> str:
    """Return the query without the semicolons and comments at its end.

    Raises:
        DataError: NOT_ONE_QUERY.
    """
    end, is_ended = 0, False
    for token in _TOKENS.finditer(query):
        if token["end"]:
            is_ended = True
        elif not token["passed"]:
            if is_ended:
                raise _not_one(place, "holds several statements")
            end = token.end()
    if not end:
        raise _not_one(place, "is empty")
    return query[:end]


def _not_one(place: str, problem: str) -> DataError:
    return DataError("NOT_ONE_QUERY", f"{place}: the query {problem}; write one SELECT")
