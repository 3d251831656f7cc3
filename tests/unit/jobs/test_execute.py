"""What a run shows once it ended."""

import errno

import polars as pl
import pytest
from sqlalchemy.exc import OperationalError

from tidemill_core.errors import DataError
from tidemill_jobs.execute import ending, failure


def test_a_failed_run_shows_a_reason_and_what_to_do() -> None:
    """A full disk is named as such, and our own errors by their reasons."""
    assert failure(DataError("NO_ROWS", "there are no rows")) == "NO_ROWS: there are no rows"
    full = OSError(errno.ENOSPC, "No space left on device", "/models/3")
    assert failure(full).startswith("DISK_FULL: the disk of /models/3 is full: free some space")
    assert failure(OSError(errno.ENOSPC, "No space")).startswith("DISK_FULL: the disk is full")
    assert failure(KeyError("x")) == "KeyError: 'x'"


def test_a_full_disk_is_named_whichever_library_writes() -> None:
    """Polars raises errors of its own, and so does SQLAlchemy."""
    frame = pl.DataFrame({"text": ["a"] * 1000})
    for write in (frame.write_parquet, frame.write_csv, frame.lazy().sink_parquet):
        with pytest.raises((OSError, pl.exceptions.PolarsError)) as caught:
            write("/dev/full")
        assert failure(caught.value).startswith("DISK_FULL: ")
    full = OperationalError("INSERT", {}, Exception("database or disk is full"))
    assert failure(full).startswith("DISK_FULL: ")


def test_a_run_that_succeeded_shows_how_it_ended() -> None:
    """A rejected version, one that waits, a report and a decision are named; the rest is done."""
    reason = "gate champion: 2.1 points below the champion"
    judged = {"model_version": 3, "state": "REJECTED", "reason": reason}
    assert ending(judged) == f"version 3 was rejected: {reason}"
    assert ending({**judged, "state": "AWAITING_APPROVAL"}) == "version 3 waits for an approval"
    assert ending({**judged, "state": "CHAMPION"}) == "done"
    assert ending({"skipped": "no classes"}) == "skipped: no classes"
    assert ending({"verdict": "ALERT", "summary": "too slow"}) == "too slow"
    assert ending({"decision": "ROLL_BACK", "reason": "more errors"}) == "more errors"
    assert ending({"decision": "TOO_FEW", "reason": ""}) == "done"
    assert ending({}) == "done"
