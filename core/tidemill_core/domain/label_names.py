"""The current names of a task's labels."""

from collections.abc import Mapping

Renames = Mapping[str, str]
"""New names of labels by old names. No new name is an old name; labels that get the same name are
merged."""


def current(label: str, renames: Renames) -> str:
    """Return a label's current name."""
    return renames.get(label, label)


def check_renames(renames: Renames) -> None:
    """Check that each old name leads to a current name.

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
                f"{old!r} is renamed to {new!r}, which is renamed too: rename it to {last!r}"
            )
