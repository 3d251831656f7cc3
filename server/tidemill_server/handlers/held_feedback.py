"""Feedback that is held for review."""

from dataclasses import dataclass
from functools import partial

from tidemill_core.clock import Clock
from tidemill_core.domain.feedback import FeedbackHold, HoldState
from tidemill_core.errors import InvalidArgument, NotFound
from tidemill_core.storage.database import Page
from tidemill_core.storage.feedback_holds import FeedbackHoldStore, HoldFilter
from tidemill_server.handlers.fields import MAX_COMMENT_LENGTH, MAX_KEY_LENGTH, check_words
from tidemill_server.handlers.task_page import of_task
from tidemill_server.handlers.threads import in_thread
from tidemill_server.inference.router import Router
from tidemill_server.security.acting import acting_name

MAX_IDS = 1000


@dataclass(frozen=True)
class HeldFeedbackHandler:
    """Shows held verdicts, and releases or drops them."""

    holds: FeedbackHoldStore
    router: Router
    clock: Clock

    @in_thread
    def list_held(
        self, which: HoldFilter, state: HoldState | None, page: Page
    ) -> tuple[list[FeedbackHold], str]:
        """Return a page of held verdicts, newest first, and the next page's token."""
        found = self.holds.page(which, state, page)
        every = partial(self.holds.page, HoldFilter(which.task), None)
        return of_task(self.router, which.task, found, every)

    @in_thread
    def resolve(self, which: HoldFilter, state: HoldState | None, actor: str, comment: str) -> int:
        """Release or drop held verdicts, and return how many there were.

        Raises:
            InvalidArgument: the task is unknown, the state is not RELEASED or DROPPED, there are
                too many ids, or a field is too long or has control characters.
            NotFound: ids are given, and none of them is held.
        """
        self.router.task_settings(which.task)
        if state not in (HoldState.RELEASED, HoldState.DROPPED):
            raise InvalidArgument("INVALID_STATE", "state", "must be RELEASED or DROPPED")
        if len(which.feedback_ids) > MAX_IDS:
            rule = f"has {len(which.feedback_ids)} ids; the most are {MAX_IDS:,}"
            raise InvalidArgument("TOO_MANY_IDS", "feedback_ids", rule)
        for each in which.feedback_ids:
            check_words("feedback_ids", each, MAX_KEY_LENGTH)
        for name, value in (("source", which.source), ("actor", actor)):
            check_words(name, value, MAX_KEY_LENGTH)
        check_words("comment", comment, MAX_COMMENT_LENGTH)
        count = self.holds.resolve(which, state, acting_name(actor), comment, self.clock())
        if count == 0 and which.feedback_ids:
            raise NotFound("held verdict", ", ".join(list(which.feedback_ids)[:1]))
        return count
