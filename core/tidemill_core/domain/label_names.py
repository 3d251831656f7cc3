"""What a task's labels are called now."""

from collections.abc import Mapping

Renames = Mapping[str, str]
"""New names of labels by their old ones. No new name is an old one; several labels that get one
name become one label."""


def current(label: str, renames: Renames) -> str:
    """Return what a label is called now."""
    return renames.get(label, label)


def check_renames(renames: Renames) -> None:
    """Check that each old name leads to a name that stays.

    Raises:
        ValueError: a label is renamed to itself, in a circle, or to a name that is renamed too.
    """
    for old, new in renames.items():
        if old == new:
            raise ValueError(f"{old!r} is renamed to itself")
        last, seen = new, {old}
        while last in renames and last not in seen:
            seen.add(last)
            last = renames[last]
        if last in seen:
            raise ValueError(f"{old!r} and {new!r} are renamed in a circle")
        if last != new:
            raise ValueError(
                f"{old!r} is renamed to {new!r}, which is renamed itself: name {last!r} instead"
            )
