"""Simulated users, who judge predictions, and annotators, who label texts; with set habits."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tidemill.v1 import labeling_service_pb2 as labeling_pb
from tidemill.v1.feedback_service_pb2 import StreamFeedbackRequest
from tidemill_cli.listing import CALL_SECONDS
from tidemill_cli.messages import enum_name
from tidemill_cli.replaying.dated_rows import DatedRow
from tidemill_client import Prediction, TidemillClient

CORRECTED = 0.15
"""The share of wrong answers that users correct."""
MISTAKEN = 0.05
"""The share of the corrections that are wrong themselves."""
CONFIRMED = 0.01
"""The share of right answers that users confirm."""
LABELED = 0.05
"""The largest share of the traffic that annotators label."""
_USERS = 200
_ANNOTATOR = "annotator"
_LEASED = 40


@dataclass
class Users:
    """Users who correct some wrong answers and confirm some right ones.

    Attributes:
        chance: decides who judges what.
        labels: the labels that a mistaken user may choose from.
        given: counts of `corrections`, of them `mistakes`, of `confirmations`, and of verdicts that
            the server `refused`.
    """

    chance: random.Random
    labels: Sequence[str]
    given: Counter[str] = field(default_factory=Counter)

    def judge(self, client: TidemillClient, answers: Sequence[tuple[DatedRow, Prediction]]) -> None:
        """Send the verdicts on the answers to rows."""
        verdicts = list(self._verdicts(answers))
        if verdicts:
            response = client.feedback.StreamFeedback(iter(verdicts), timeout=CALL_SECONDS)
            self.given["refused"] += response.rejected_count

    def _verdicts(
        self, answers: Sequence[tuple[DatedRow, Prediction]]
    ) -> Iterator[StreamFeedbackRequest]:
        for row, answer in answers:
            draw, user = self.chance.random(), f"user-{self.chance.randrange(_USERS)}"
            judged = answer.prediction_id
            if answer.label == row.label and draw < CONFIRMED:
                self.given["confirmations"] += 1
                yield StreamFeedbackRequest(prediction_id=judged, correct=True, source=user)
            elif answer.label != row.label and draw < CORRECTED:
                label = self._correction(row.label)
                yield StreamFeedbackRequest(prediction_id=judged, label=label, source=user)

    def _correction(self, truth: str) -> str:
        self.given["corrections"] += 1
        if self.chance.random() >= MISTAKEN:
            return truth
        self.given["mistakes"] += 1
        return self.chance.choice([label for label in self.labels if label != truth] or [truth])


@dataclass
class Annotators:
    """People who label what Tidemill chooses, up to `LABELED` of the traffic.

    Attributes:
        task: the task.
        truth: the true labels by text.
        traffic: how many predictions were made.
        given: how many labels they gave, by the reason for which the text was chosen.
    """

    task: str
    truth: Mapping[str, str]
    traffic: int = 0
    given: Counter[str] = field(default_factory=Counter)

    def label(self, client: TidemillClient) -> None:
        """Label the texts that wait, as far as the budget allows."""
        while (budget := int(LABELED * self.traffic) - self.given.total()) > 0:
            wanted = min(budget, _LEASED)
            request = labeling_pb.LeaseLabelItemsRequest(
                task=self.task, annotator=_ANNOTATOR, max_items=wanted
            )
            leased = client.labeling.LeaseLabelItems(request, timeout=CALL_SECONDS).label_items
            for item in leased:
                label = self.truth.get(item.text)
                if label is None:
                    continue
                client.labeling.SubmitLabel(
                    labeling_pb.SubmitLabelRequest(
                        task=self.task,
                        label_item_id=item.label_item_id,
                        annotator=_ANNOTATOR,
                        label=label,
                    ),
                    timeout=CALL_SECONDS,
                )
                self.given[enum_name(item, "reason")] += 1
            if len(leased) < wanted:
                return
