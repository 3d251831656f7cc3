"""Texts that wait for labels of people."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from tidemill_core.clock import Clock
from tidemill_core.domain.label_names import current
from tidemill_core.domain.labeling import (
    MAX_LABEL_LENGTH,
    Judgement,
    LabelItem,
    LabelItemState,
    LabelReason,
    by_current_names,
)
from tidemill_core.settings import LabelNames
from tidemill_core.storage.database import Page
from tidemill_core.storage.datasets import DatasetStore
from tidemill_core.storage.label_items import LabelItemStore
from tidemill_core.storage.label_leases import LeaseRequest
from tidemill_core.text_repair import repair
from tidemill_core.unknown_label import UnknownLabel
from tidemill_server.handlers.fields import (
    MAX_KEY_LENGTH,
    InvalidMaxItems,
    check_visible,
    check_words,
)
from tidemill_server.handlers.task_page import of_task
from tidemill_server.handlers.threads import in_thread
from tidemill_server.inference.router import Router

MAX_ITEMS = 40
"""Items of a lease or a page; as many of the largest ones fit into one message."""


@dataclass(frozen=True)
class Lease:
    """The items that an annotator gets to label.

    Attributes:
        items: the items, those that have waited longest first.
        waiting_count: how many items wait for the annotator, these included.
        labels: the labels of the task's newest dataset version and of its settings.
    """

    items: Sequence[LabelItem]
    waiting_count: int
    labels: Sequence[str]


@dataclass(frozen=True)
class LabelingHandler:
    """Leases items to annotators and stores their labels."""

    store: LabelItemStore
    datasets: DatasetStore
    router: Router
    label_names: Mapping[str, LabelNames]
    """The label settings of each task."""
    clock: Clock
    lease_time: timedelta
    """How long an item is reserved for its annotator."""

    @in_thread
    def lease(self, task: str, annotator: str, max_items: int, request_id: str) -> Lease:
        """Lease items to an annotator.

        Raises:
            InvalidArgument: names the field and the rule.
        """
        self._check_caller(task, annotator, request_id)
        if max_items < 0:
            raise InvalidMaxItems(f"{max_items} is negative")
        count, now = min(max_items or 1, MAX_ITEMS), self.clock()
        request = LeaseRequest(task, annotator, count, now + self.lease_time, request_id)
        items, waiting = self.store.lease(request, now)
        return Lease(list(map(self._named, items)), waiting, sorted(self._known_labels(task)))

    @in_thread
    def submit(
        self,
        task: str,
        label_item_id: str,
        annotator: str,
        label: str,
        request_id: str,
        known_only: bool = False,
    ) -> tuple[Judgement, LabelItem]:
        """Store an annotator's label, and return the judgement and the item's new state.

        The returned values have the labels' current names.

        Args:
            task: the item's task.
            label_item_id: the item.
            annotator: the annotator's name.
            label: the label, by its current or an old name.
            request_id: makes repeating safe; may be empty.
            known_only: whether to refuse a label that is new to the task.

        Raises:
            UnknownLabel: the label is new to the task, and `known_only` is set.
            InvalidArgument: names the field and the rule.
            NotFound: the task has no such item.
            FailedPrecondition: the annotator gave another label before, or the item does not wait.
        """
        self._check_caller(task, annotator, request_id)
        check_words("label_item_id", label_item_id, MAX_KEY_LENGTH)
        check_visible("label", label, MAX_LABEL_LENGTH)
        judgement = Judgement(label_item_id, annotator, repair(label), request_id, self.clock())
        renames = self.label_names[task].rename
        if known_only:
            self._check_known(task, current(judgement.label, renames))
        stored, item = self.store.submit(task, judgement, renames)
        return replace(stored, label=current(stored.label, renames)), self._named(item)

    @in_thread
    def list_items(
        self,
        task: str,
        states: Collection[LabelItemState],
        reason: LabelReason | None,
        page: Page,
    ) -> tuple[list[LabelItem], str]:
        """Return a page of items with their judgements, newest first, and the next page's token."""
        shown = page.at_most(MAX_ITEMS)
        rows = self.store.page(task, states, reason, shown, self.clock())
        every = partial(self.store.page, task, (), None, now=self.clock())
        found, token = of_task(self.router, task, rows, every)
        return list(map(self._named, found)), token

    def _named(self, item: LabelItem) -> LabelItem:
        """Return an item with its labels' current names; its task may no longer exist."""
        names = self.label_names.get(item.task)
        return item if names is None else by_current_names(item, names.rename)

    def _known_labels(self, task: str) -> frozenset[str]:
        newest, _ = self.datasets.page(task, Page(size=1))
        labels = [label for version in newest for label in version.label_counts]
        names = self.label_names[task]
        return frozenset(current(label, names.rename) for label in [*labels, *names.accepted()])

    def _check_known(self, task: str, label: str) -> None:
        """Raise UnknownLabel for a label that is new to a task, unless the task has no labels."""
        known = self._known_labels(task)
        if known and label not in known:
            raise UnknownLabel(task, label, known)

    def _check_caller(self, task: str, annotator: str, request_id: str) -> None:
        self.router.task_settings(task)
        check_visible("annotator", annotator, MAX_KEY_LENGTH)
        check_words("request_id", request_id, MAX_KEY_LENGTH)
