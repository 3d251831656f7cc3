"""What a case found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Found:
    """What became of one case.

    Attributes:
        case: what was done to the stack.
        wanted: what must hold.
        found: what was seen, in words.
        reached: whether it held.
    """

    case: str
    wanted: str
    found: str
    reached: bool
