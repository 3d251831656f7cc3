"""Rollouts."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from tidemill_core.domain.model import ModelState
from tidemill_core.domain.rollout import Rollout, RolloutState
from tidemill_core.domain.traffic import Traffic
from tidemill_core.errors import FailedPrecondition
from tidemill_core.storage.database import Database
from tidemill_core.storage.deployments import current_deployment, require_deployment
from tidemill_core.storage.model_rows import get_version
from tidemill_core.storage.schema import rollouts

_UNFINISHED = (RolloutState.WAITING, RolloutState.RUNNING)


class RolloutRunning(FailedPrecondition):
    """A change of traffic would spoil the comparison of a rollout."""

    reason = "ROLLOUT_RUNNING"

    def __init__(self, rollout: Rollout) -> None:
        super().__init__(
            f"version {rollout.version} of {rollout.task!r} is in a rollout, so no other version "
            "can be a canary; end it first: tidemill models promote "
            f"{rollout.task} {rollout.version}, or tidemill models traffic {rollout.task} "
            "--champion-only"
        )


def keep_to_one_canary(connection: Connection, task: str, before: Traffic, after: Traffic) -> None:
    """Refuse canaries beside the version of a running rollout, if it gets traffic.

    Raises:
        RolloutRunning: there are some.
    """
    in_traffic = {*before.canaries, *before.shadows, *after.canaries, *after.shadows}
    for rollout in _find(connection, task, [RolloutState.RUNNING]):
        if rollout.version in in_traffic and after.canaries.keys() - {rollout.version}:
            raise RolloutRunning(rollout)


def request_rollout(connection: Connection, task: str, version: int, now: datetime) -> None:
    """Record that a version waits for its rollout, unless the task has no champion yet."""
    if current_deployment(connection, task) is None:
        return
    values = {
        "task": task,
        "version": version,
        "champion": 0,
        "state": RolloutState.WAITING,
        "reason": "passed the gates",
        "create_time": now,
    }
    connection.execute(rollouts.insert(), values)


class RolloutStore:
    """The table of rollouts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def unfinished(self) -> set[str]:
        """Return the tasks that have a rollout which waits or runs."""
        query = select(rollouts.c.task).where(rollouts.c.state.in_(_UNFINISHED)).distinct()
        with self._database.read() as connection:
            return set(connection.execute(query).scalars())

    def current(self, task: str, now: datetime) -> Rollout | None:
        """Return the running rollout of a task, or start the newest one that waits.

        Older ones are skipped, and so are versions that a person has moved on meanwhile.

        Raises:
            NoChampion: the task has no champion.
        """
        with self._database.write(alone_on=rollouts) as connection:
            if running := _find(connection, task, [RolloutState.RUNNING]):
                return running[0]
            waiting = _find(connection, task, [RolloutState.WAITING])
            for older in waiting[1:]:
                skipped = "a newer version passed the gates"
                _close(connection, older, RolloutState.SKIPPED, skipped, now)
            if not waiting:
                return None
            state = get_version(connection, task, waiting[0].version).state
            if state is not ModelState.VALIDATED:
                skipped = f"it is {state} already"
                _close(connection, waiting[0], RolloutState.SKIPPED, skipped, now)
                return None
            champion = require_deployment(connection, task).champion
            values = {"state": RolloutState.RUNNING, "champion": champion, "start_time": now}
            this = rollouts.c.sequence == waiting[0].sequence
            connection.execute(update(rollouts).where(this).values(values))
            return _find(connection, task, [RolloutState.RUNNING])[0]

    def close(self, rollout: Rollout, state: RolloutState, reason: str, now: datetime) -> None:
        """End a rollout."""
        with self._database.write(alone_on=rollouts) as connection:
            _close(connection, rollout, state, reason, now)

    def of_task(self, task: str) -> list[Rollout]:
        """Return a task's rollouts, newest first."""
        with self._database.read() as connection:
            return _find(connection, task, list(RolloutState))


def _find(connection: Connection, task: str, states: Sequence[RolloutState]) -> list[Rollout]:
    query = select(rollouts).where(rollouts.c.task == task, rollouts.c.state.in_(states))
    rows = connection.execute(query.order_by(rollouts.c.sequence.desc())).mappings()
    return [_rollout(row) for row in rows]


def _close(
    connection: Connection, rollout: Rollout, state: RolloutState, reason: str, now: datetime
) -> None:
    this = update(rollouts).where(rollouts.c.sequence == rollout.sequence)
    connection.execute(this.values(state=state, reason=reason, end_time=now))


def _rollout(row: Mapping[Any, Any]) -> Rollout:
    return Rollout(**{**row, "state": RolloutState(row["state"])})
