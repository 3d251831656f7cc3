"""What a failed run shows."""

import errno

from tidemill_core.errors import DataError
from tidemill_jobs.execute import failure


def test_a_failed_run_shows_a_reason_and_what_to_do() -> None:
    """A full disk is named as such, and our own errors by their reasons."""
    assert failure(DataError("NO_ROWS", "there are no rows")) == "NO_ROWS: there are no rows"
    full = OSError(errno.ENOSPC, "No space left on device", "/models/3")
    assert failure(full).startswith("DISK_FULL: the disk of /models/3 is full: free some space")
    assert failure(OSError(errno.ENOSPC, "No space")).startswith("DISK_FULL: the disk is full")
    assert failure(KeyError("x")) == "KeyError: 'x'"
