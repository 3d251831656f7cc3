"""Holds: verdicts that do not count until someone releases them.

`is_trusted` is the one condition that says which verdicts count. Every query that learns or
measures from feedback uses it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update

from tidemill_core.domain.feedback import FeedbackHold, HoldReason, HoldState
from tidemill_core.storage.database import Database, Page
from tidemill_core.storage.schema import feedback, feedback_holds

_HOLDS_A_TRANSACTION = 500


def is_trusted() -> ColumnElement[bool]:
    """Return the condition that a row of `feedback` counts: it is neither held nor dropped."""
    held = select(feedback_holds.c.feedback_id).where(
        feedback_holds.c.feedback_id == feedback.c.feedback_id,
        feedback_holds.c.state != HoldState.RELEASED,
    )
    return ~held.exists()


@dataclass(frozen=True)
class HoldFilter:
    """Which holds are meant; an empty field means all.

    Attributes:
        task: only this task's.
        source: only verdicts of this source.
        reason: only those held for this reason.
        feedback_ids: only these verdicts.
    """

    task: str = ""
    source: str = ""
    reason: HoldReason | None = None
    feedback_ids: Collection[str] = ()

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions on `feedback_holds`."""
        columns = feedback_holds.c
        wanted = {columns.task: self.task, columns.source: self.source, columns.reason: self.reason}
        found = [column == value for column, value in wanted.items() if value]
        if self.feedback_ids:
            found.append(columns.feedback_id.in_(list(self.feedback_ids)))
        return found


class FeedbackHoldStore:
    """The table of holds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, holds: Sequence[FeedbackHold]) -> None:
        """Hold verdicts. One that was held before, even if it was released, stays as it is.

        Only one that is held because others contradict it can be held for another reason.

        Raises:
            StorageUnavailable: the transactions before the failed one remain.
        """
        columns = feedback_holds.c
        weak = (columns.state == HoldState.HELD, columns.reason == HoldReason.CONTRADICTION)
        for start in range(0, len(holds), _HOLDS_A_TRANSACTION):
            rows = [asdict(hold) for hold in holds[start : start + _HOLDS_A_TRANSACTION]]
            these = columns.feedback_id.in_([row["feedback_id"] for row in rows])
            with self._database.write(alone_on=feedback_holds) as connection:
                connection.execute(delete(feedback_holds).where(these, *weak))
                self._database.insert_ignoring_repeats(connection, feedback_holds, rows)

    def page(
        self, which: HoldFilter, state: HoldState | None, page: Page
    ) -> tuple[list[FeedbackHold], str]:
        """Return a page of holds, newest first, and the next page's token."""
        conditions = which.conditions()
        return self._database.page(_hold, feedback_holds, page, *conditions, state=state)

    def all_of(self, task: str) -> list[FeedbackHold]:
        """Return all holds of a task, oldest first."""
        query = select(feedback_holds).where(feedback_holds.c.task == task)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(feedback_holds.c.sequence)).mappings()
            return list(map(_hold, rows))

    def count_held(self, task: str) -> dict[str, int]:
        """Return how many verdicts of a task are held, by reason."""
        columns = feedback_holds.c
        query = select(columns.reason, func.count()).group_by(columns.reason)
        held = query.where(columns.task == task, columns.state == HoldState.HELD)
        with self._database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(held)}

    def resolve(
        self, which: HoldFilter, state: HoldState, actor: str, comment: str, now: datetime
    ) -> int:
        """Release or drop the held verdicts that are meant, and return how many there were."""
        columns = feedback_holds.c
        values = {"state": state, "actor": actor, "comment": comment, "resolve_time": now}
        change = update(feedback_holds).where(*which.conditions(), columns.state == HoldState.HELD)
        with self._database.write() as connection:
            return connection.execute(change.values(**values)).rowcount


def _hold(row: Mapping[Any, Any]) -> FeedbackHold:
    values = {name: value for name, value in row.items() if name != "sequence"}
    chosen = {"reason": HoldReason(values["reason"]), "state": HoldState(values["state"])}
    return FeedbackHold(**(values | chosen))
