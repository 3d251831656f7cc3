"""What became of a file whose items were sent one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tidemill_cli.failure import CommandFailed
from tidemill_cli.output import print_fields, print_json, print_table


@dataclass(frozen=True)
class FileOutcome:
    """What became of a file.

    Attributes:
        accepted: how many items are durable now, repeated ones included.
        rejected: how many are not stored; more than `rejections` if the server did not name them
            all.
        rejections: where each stands in the file, its `reason`, and a `message`; the same keys in
            each.
    """

    accepted: int
    rejected: int
    rejections: Sequence[Mapping[str, Any]]


def print_outcome(outcome: FileOutcome, as_json: bool) -> None:
    """Print how many items of a file were stored, and why the others were not.

    Raises:
        CommandFailed: some were not stored.
    """
    if as_json:
        print_json(asdict(outcome))
    else:
        print_fields({"accepted": outcome.accepted, "rejected": outcome.rejected})
        if rows := outcome.rejections:
            print_table(list(rows[0]), (list(row.values()) for row in rows), empty="")
    if outcome.rejected:
        raise CommandFailed(f"{outcome.rejected} were not stored")
