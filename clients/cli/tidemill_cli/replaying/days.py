"""The replayed days: callers, users and annotators by day, and the jobs at midnight."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby

from tidemill.v1.job_service_pb2 import ListJobRunsRequest
from tidemill.v1.model_service_pb2 import ListDeploymentsRequest
from tidemill_cli.failure import CommandFailed
from tidemill_cli.listing import CALL_SECONDS
from tidemill_cli.replaying.dated_rows import DatedRow
from tidemill_cli.replaying.people import Annotators, Users
from tidemill_cli.replaying.stack import ReplayStack
from tidemill_client import Prediction, TidemillError

_STEP = timedelta(hours=8)
"""How far the clock moves at a time by day. The rows of a step are sent in one call."""
_MOST_ROWS = 512
_LABELING = timedelta(hours=23)
"""The time of day at which the annotators work."""
_ROUTES_SECONDS = 1.0
"""The server looks for a new champion every quarter of a second."""


@dataclass(frozen=True)
class Answer:
    """The answer to one row.

    Attributes:
        row: the row.
        label: the predicted label; empty if there was no answer.
        model_version: the version that answered; 0 if none did.
    """

    row: DatedRow
    label: str
    model_version: int

    @property
    def is_right(self) -> bool:
        """Whether the label is the true one."""
        return self.label == self.row.label


@dataclass
class Replay:
    """A replay in a running stack.

    Attributes:
        stack: the stack.
        task: the task.
        users: the users.
        annotators: the annotators.
        night_seconds: how long the machine took for the nights so far.
    """

    stack: ReplayStack
    task: str
    users: Users
    annotators: Annotators
    night_seconds: float = 0.0
    _champion: int = 0
    _newest: str = ""

    def first_night(self, midnight: datetime) -> None:
        """Train the first version.

        Raises:
            CommandFailed: it was not released.
        """
        self._night(midnight)
        if not self._champion:
            raise CommandFailed(f"the first model was not released: {self._why()}")

    def day(self, day: date, rows: Sequence[DatedRow]) -> list[Answer]:
        """Send the rows of a day, let people act, and let the night's jobs run."""
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        answers: list[Answer] = []
        for moment, some in _steps(midnight, rows):
            self.stack.clock.set(moment)
            answers += self._send(some)
            self.stack.look()
        self.stack.clock.set(midnight + _LABELING)
        self.annotators.traffic += len(answers)
        self.annotators.label(self.stack.client)
        if self._newest:
            self.stack.wait_until_stored(self._newest)
        self._night(midnight + timedelta(days=1))
        return answers

    def _send(self, rows: Sequence[DatedRow]) -> list[Answer]:
        answers: list[Answer] = []
        for start in range(0, len(rows), _MOST_ROWS):
            some = rows[start : start + _MOST_ROWS]
            results = self.stack.client.predict_batch(self.task, [row.text for row in some])
            both = zip(some, results, strict=True)
            answered = [(row, each) for row, each in both if isinstance(each, Prediction)]
            self.users.judge(self.stack.client, answered)
            answers += map(_answer, some, results)
            self._newest = answered[-1][1].prediction_id if answered else self._newest
        return answers

    def _night(self, midnight: datetime) -> None:
        start = time.monotonic()
        self.stack.do_what_is_due(midnight)
        request = ListDeploymentsRequest(task=self.task, page_size=1)
        newest = self.stack.client.models.ListDeployments(request, timeout=CALL_SECONDS)
        champion = max((each.champion for each in newest.deployments), default=0)
        if champion != self._champion:
            time.sleep(_ROUTES_SECONDS)
            self._champion = champion
        self.night_seconds += time.monotonic() - start

    def _why(self) -> str:
        request = ListJobRunsRequest(job="retrain", task=self.task, page_size=1)
        runs = self.stack.client.jobs.ListJobRuns(request, timeout=CALL_SECONDS).job_runs
        found = [run.error or str(run.result["reason"]) for run in runs]
        return found[0] if found else "no training ran"


def _steps(midnight: datetime, rows: Sequence[DatedRow]) -> list[tuple[datetime, list[DatedRow]]]:
    """Return a day's rows by the step of the clock.

    Where all rows of a day have the same time, as those with a date only, they are spread over it.
    """
    first, count = rows[0].time if rows else midnight, len(rows)
    spread = count > 1 and all(row.time == first for row in rows)

    def step(numbered: tuple[int, DatedRow]) -> int:
        number, row = numbered
        passed = number * timedelta(days=1) / count if spread else row.time - midnight
        return passed // _STEP

    groups = groupby(enumerate(rows), step)
    return [(midnight + at * _STEP, [row for _, row in some]) for at, some in groups]


def _answer(row: DatedRow, result: Prediction | TidemillError) -> Answer:
    if isinstance(result, Prediction):
        return Answer(row, result.label, result.model_version)
    return Answer(row, "", 0)
