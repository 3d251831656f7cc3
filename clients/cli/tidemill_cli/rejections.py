"""What was not stored of a file."""

from collections.abc import Mapping, Sequence
from typing import Any

from tidemill_cli.failure import CommandFailed
from tidemill_cli.output import print_fields, print_json, print_table


def print_outcome(
    accepted: int, rejected: int, rejections: Sequence[Mapping[str, Any]], as_json: bool
) -> None:
    """Print how many items of a file were stored, and why the others were not.

    Args:
        accepted: how many were stored.
        rejected: how many were not; more than `rejections` if the server did not name them all.
        rejections: where each stands in the file, and why it was refused; the same keys in each.
        as_json: whether to print JSON.

    Raises:
        CommandFailed: some were not stored.
    """
    counts = {"accepted": accepted, "rejected": rejected}
    if as_json:
        print_json({**counts, "rejections": rejections})
    else:
        print_fields(counts)
        if rejections:
            print_table(list(rejections[0]), (list(one.values()) for one in rejections), empty="")
    if rejected:
        raise CommandFailed(f"{rejected} were not stored")
