"""The result of a case."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Found:
    """The result of one case.

    Attributes:
        case: the failure.
        wanted: the requirement.
        found: the observations, in words.
        reached: whether the requirement holds.
    """

    case: str
    wanted: str
    found: str
    reached: bool
