"""The sections about feedback and people's labels: `[feedback]` and `[labeling]`."""

from typing import Annotated

from pydantic import AfterValidator, Field

from tidemill_core.settings.section import Section
from tidemill_core.settings.times import MOST_DAYS, MOST_HOURS

Trust = Annotated[float, Field(ge=0.001, le=1.0), AfterValidator(lambda trust: round(trust, 3))]


class FeedbackSettings(Section):
    """Feedback: how far it is trusted, and when Tidemill retrains by itself."""

    retrain_after: int = Field(default=1000, ge=1)
    """New trusted examples that start a retraining: texts that feedback or people labeled. A text
    counts once. It does not count if the split holds it out, or if the last retraining learned it
    with the same label. For a task with preference pairs: new pairs."""
    retrain_on_accuracy_alert: bool = True
    """Whether an unresolved accuracy alert starts a retraining."""
    retrain_on_accuracy_cost: float = Field(default=0.01, gt=0, le=1)
    """Start a retraining if the newest drift report says that drift costs at least this much
    accuracy; 1 turns this off."""
    retrain_max_age_days: float | None = Field(default=None, gt=0, le=MOST_DAYS)
    """Start a retraining if the last successful one began this many days ago; unset: never."""
    retrain_cool_down_hours: float = Field(default=24.0, ge=0, le=MOST_HOURS)
    """Hours after a retraining began in which an alert, drift or age starts no other one. New
    examples do not wait for it."""
    trust: dict[str, Trust] = {}
    """Probability that a feedback source's verdicts are right, by the source's name; 1 for others.
    It is the weight of the verdicts in training and where verdicts contradict each other, in whole
    thousandths. A source with an entry has no daily limit and is not judged by its agreement."""
    min_source_agreement: float = Field(default=0.7, ge=0, lt=1)
    """A source's verdicts are held if it agrees with people's labels less often than this, with a
    probability of at least 95 %."""
    max_source_verdicts_per_day: int = Field(default=2000, ge=1)
    """Most verdicts a day that one named source may give while others give some too; more are held.
    Feedback without a source has no limit."""
    quorum: int = Field(default=2, ge=1, le=100)
    """Where sources contradict each other, how many more of them must give one label than any other
    before it counts; until then all verdicts on the prediction are held."""
    max_suspects: int = Field(default=100, ge=1, le=10_000)
    """Most label errors that `find_label_errors` reports, the least likely labels first."""


class LabelingSettings(Section):
    """Texts that people label."""

    judgements: int = Field(default=1, ge=1, le=9)
    """Annotators that judge a text; up to two more are asked if they disagree."""
    lease_minutes: float = Field(default=30.0, gt=0, le=60 * MOST_HOURS)
    """How long a leased text is reserved for its annotator, in minutes."""
    audit_share: float = Field(default=0.01, ge=0.0, le=1.0)
    """Share of the predictions that people label for an unbiased estimate of accuracy."""
    uncertain_per_run: int = Field(default=50, ge=0)
    """Most predictions that each run of `queue_labels` queues because the model is uncertain."""
    budget: float = Field(default=200.0, gt=0)
    """Texts a day that `queue_labels` queues, for all reasons together; fractions add up over days.
    If the audits would take more than half of it, their share of the predictions is smaller."""
