"""Preferences: pairs of answers, and which of the two is better."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from tidemill_core.clock import Clock
from tidemill_core.domain.preference import Preference, PreferencePair, pair_of
from tidemill_core.domain.split import normalize
from tidemill_core.errors import InvalidArgument
from tidemill_core.storage.database import Page
from tidemill_core.storage.preferences import PreferenceStore
from tidemill_server.handlers.fields import (
    MAX_COMMENT_LENGTH,
    MAX_KEY_LENGTH,
    InvalidMaxItems,
    check_visible,
    check_words,
)
from tidemill_server.handlers.task_page import of_task
from tidemill_server.handlers.threads import in_thread
from tidemill_server.inference.router import Router

MAX_TEXT_LENGTH = 16_000
"""Characters of a prompt or an answer."""
MAX_A_PAGE = 100
"""As many of the largest judgements, or pairs, fit into one message."""


@dataclass(frozen=True)
class NewPreference:
    """A submitted preference between two answers."""

    task: str
    prompt: str
    chosen: str
    rejected: str
    annotator: str
    reason: str
    request_id: str


@dataclass(frozen=True)
class PreferenceHandler:
    """Stores and lists pairs and judgements."""

    store: PreferenceStore
    router: Router
    clock: Clock

    @in_thread
    def submit(self, new: NewPreference) -> Preference:
        """Store which of two answers is better.

        Raises:
            InvalidArgument: names the field and the rule.
        """
        answers = {"chosen": new.chosen, "rejected": new.rejected}
        self._check_pair(new.task, new.prompt, answers)
        check_visible("annotator", new.annotator, MAX_KEY_LENGTH)
        check_words("reason", new.reason, MAX_COMMENT_LENGTH)
        check_words("request_id", new.request_id, MAX_KEY_LENGTH)
        preference_id = uuid.uuid4().hex
        return self.store.add(
            Preference(preference_id=preference_id, create_time=self.clock(), **vars(new))
        )

    @in_thread
    def list_judgements(self, task: str, page: Page) -> tuple[list[Preference], str]:
        """Return a page of preferences, newest first, and the next page's token."""
        found = self.store.page(task, page.at_most(MAX_A_PAGE))
        return of_task(self.router, task, found, partial(self.store.page, task))

    @in_thread
    def submit_pair(self, task: str, prompt: str, first: str, second: str) -> PreferencePair:
        """Store a pair of answers for people to judge.

        Raises:
            InvalidArgument: names the field and the rule.
        """
        self._check_pair(task, prompt, {"first": first, "second": second})
        return self.store.add_pair(pair_of(task, prompt, (first, second), self.clock()))

    @in_thread
    def next_pairs(self, task: str, annotator: str, max_items: int) -> list[PreferencePair]:
        """Return pairs that an annotator has not judged.

        Raises:
            InvalidArgument: names the field and the rule.
        """
        self._check_task(task)
        check_visible("annotator", annotator, MAX_KEY_LENGTH)
        if not 0 <= max_items <= MAX_A_PAGE:
            raise InvalidMaxItems(f"must be 0 to {MAX_A_PAGE}")
        return self.store.waiting_pairs(task, annotator, max_items or 1)

    def _check_task(self, task: str) -> None:
        """Raise InvalidArgument for a task that does not exist; a pair needs none."""
        if task:
            self.router.task_settings(task)

    def _check_pair(self, task: str, prompt: str, answers: Mapping[str, str]) -> None:
        """Check the parts of a pair; `answers` has both by their field."""
        self._check_task(task)
        for field_name, value in {"prompt": prompt, **answers}.items():
            check_visible(field_name, value, MAX_TEXT_LENGTH)
        one, other = answers
        if normalize(answers[one]) == normalize(answers[other]):
            rule = f"is the same answer as {one}, except for case, spacing or Unicode form"
            raise InvalidArgument("SAME_ANSWER", other, rule)
