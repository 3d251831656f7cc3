"""The states of a job run."""

from tidemill_core.domain.job import JobRunState


def test_ended() -> None:
    """A run that succeeded, failed or was canceled has ended; the others have not."""
    ended = {state for state in JobRunState if state.ended}
    assert ended == {JobRunState.SUCCEEDED, JobRunState.FAILED, JobRunState.CANCELLED}
