"""What requests to label must be like before anything is handed out or stored."""

from datetime import timedelta

from tidemill_core.clock import Clock
from tidemill_core.domain.labeling import MAX_LABEL_LENGTH, Judgement, clean_label
from tidemill_core.errors import InvalidArgument
from tidemill_core.storage.label_leases import LeaseRequest
from tidemill_server.inference.query import MAX_KEY_LENGTH, check_visible, check_words
from tidemill_server.inference.router import Router

MAX_ITEMS = 40
"""Items of a lease or a page: so many of the largest fit into one message."""


class LabelIntake:
    """Checks who asks for items, and what annotators say of them. No database is asked.

    Args:
        router: knows the tasks.
        clock: the time.
        lease_minutes: how long an item is kept for its annotator.
    """

    def __init__(self, router: Router, clock: Clock, lease_minutes: float) -> None:
        self.clock = clock
        self._router = router
        self._lease = timedelta(minutes=lease_minutes)

    def lease(self, task: str, annotator: str, max_items: int, request_id: str) -> LeaseRequest:
        """A wish for items.

        Raises:
            InvalidArgument: names the field and the rule.
        """
        self._check_caller(task, annotator, request_id)
        if max_items < 0:
            raise InvalidArgument("INVALID_MAX_ITEMS", "max_items", f"{max_items} is negative")
        count = min(max_items or 1, MAX_ITEMS)
        return LeaseRequest(task, annotator, count, self.clock() + self._lease, request_id)

    def judgement(
        self, task: str, label_item_id: str, annotator: str, label: str, request_id: str
    ) -> Judgement:
        """A judgement ready to be stored, its label cleaned.

        Raises:
            InvalidArgument: names the field and the rule.
        """
        self._check_caller(task, annotator, request_id)
        check_words("label_item_id", label_item_id, MAX_KEY_LENGTH)
        check_visible("label", label, MAX_LABEL_LENGTH)
        return Judgement(label_item_id, annotator, clean_label(label), request_id, self.clock())

    def _check_caller(self, task: str, annotator: str, request_id: str) -> None:
        self._router.task_settings(task)
        check_visible("annotator", annotator, MAX_KEY_LENGTH)
        check_words("request_id", request_id, MAX_KEY_LENGTH)
