"""The error of a label that its task does not have, with the labels that may be meant."""

from difflib import get_close_matches
from functools import lru_cache

from tidemill_core.counted import counted
from tidemill_core.errors import InvalidArgument


class UnknownLabel(InvalidArgument):
    """A label that its task does not have; `advice` says how to add it, and may be empty."""

    reason = "UNKNOWN_LABEL"

    def __init__(self, task: str, label: str, known: frozenset[str], advice: str = "") -> None:
        given = label[:100]
        # Errors travel as gRPC metadata, which must stay small.
        close = " or ".join(repr(each[:100]) for each in _similar(given, known))
        meant = f"; did you mean {close}?" if close else "."
        labels = counted(len(known), "label")
        super().__init__(
            self.reason,
            "label",
            f"{given!r} is not one of the {labels} of {task!r}{meant} {advice}".rstrip(),
        )


@lru_cache(1024)  # among a thousand labels it takes 5 ms, and the same wrong label comes often
def _similar(label: str, known: frozenset[str]) -> list[str]:
    folded = {each.casefold(): each for each in sorted(known)}
    return [folded[each] for each in get_close_matches(label.casefold(), folded, 2)]
