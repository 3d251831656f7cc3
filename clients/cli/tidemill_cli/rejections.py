"""The outcome of a file whose items were sent one by one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidemill_cli.failure import CommandFailed
from tidemill_cli.output import print_fields, print_json, print_table

_PLACES = 5
"""The number of places that are shown for one reason."""


@dataclass(frozen=True)
class FileOutcome:
    """The outcome of a file.

    Attributes:
        accepted: the number of durable items, including repeated ones.
        rejected: the number of items that are not stored; larger than `len(rejections)` if the
            server did not list them all.
        rejections: for each, its place in the file, its `reason` and a `message`; all have the
            same keys.
    """

    accepted: int
    rejected: int
    rejections: Sequence[Mapping[str, Any]]


def print_outcome(outcome: FileOutcome, as_json: bool, advice: str = "") -> None:
    """Print how many items of a file were stored, and each reason why others were not.

    Args:
        outcome: the outcome of the file.
        as_json: whether to print JSON, which has every rejection.
        advice: what to do about the rejected items; may be empty.

    Raises:
        CommandFailed: some were not stored.
    """
    if as_json:
        print_json(outcome)
    else:
        print_fields({"accepted": outcome.accepted, "rejected": outcome.rejected})
        if rows := outcome.rejections:
            print_table(["times", *rows[0]], _grouped(rows), empty="")
    if outcome.rejected:
        message = f"not stored: {outcome.rejected}"
        raise CommandFailed(f"{message}; {advice}" if advice else message)


def _grouped(rejections: Sequence[Mapping[str, Any]]) -> Iterator[list[Any]]:
    """Yield a row for each reason and message: the number of rejections, and their places."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for rejection in rejections:
        groups.setdefault((rejection["reason"], rejection["message"]), []).append(rejection)
    for group in groups.values():
        yield [len(group), *(_listed([str(one[key]) for one in group]) for key in group[0])]


def _listed(values: Sequence[str]) -> str:
    once = list(dict.fromkeys(values))
    return ", ".join(once[:_PLACES]) + (", …" if len(once) > _PLACES else "")
