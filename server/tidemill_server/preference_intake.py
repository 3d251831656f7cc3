"""What a judgement of a preference pair must be like before it is stored."""

from dataclasses import dataclass

from tidemill_core.clock import Clock
from tidemill_core.domain.preference import Preference
from tidemill_core.domain.split import normalise
from tidemill_core.errors import InvalidArgument
from tidemill_core.storage.preferences import new_preference_id
from tidemill_server.inference.query import (
    MAX_COMMENT_LENGTH,
    MAX_KEY_LENGTH,
    check_visible,
    check_words,
)
from tidemill_server.inference.router import Router

MAX_TEXT_LENGTH = 16_000
"""Characters of a prompt or an answer."""


@dataclass(frozen=True)
class Judgement:
    """A judgement as it came in."""

    task: str
    prompt: str
    chosen: str
    rejected: str
    annotator: str
    reason: str
    request_id: str


class PreferenceIntake:
    """Checks judgements. No database is asked."""

    def __init__(self, router: Router, clock: Clock) -> None:
        self._router = router
        self._clock = clock

    def check(self, judgement: Judgement) -> Preference:
        """A judgement ready to be stored.

        Raises:
            InvalidArgument: names the field and the rule.
        """
        if judgement.task:
            self._router.task_settings(judgement.task)
        for field in ("prompt", "chosen", "rejected"):
            check_visible(field, getattr(judgement, field), MAX_TEXT_LENGTH)
        check_visible("annotator", judgement.annotator, MAX_KEY_LENGTH)
        check_words("reason", judgement.reason, MAX_COMMENT_LENGTH)
        check_words("request_id", judgement.request_id, MAX_KEY_LENGTH)
        if normalise(judgement.chosen) == normalise(judgement.rejected):
            rule = "is the same answer as chosen, but for case, spacing or Unicode form"
            raise InvalidArgument("SAME_ANSWER", "rejected", rule)
        return Preference(
            preference_id=new_preference_id(), create_time=self._clock(), **vars(judgement)
        )
