"""A fall of the accuracy, from its alert to its end: the jobs, Triton, people and receivers."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from tests.contract.storage.values import prediction
from tests.integration.jobs.release.conftest import WORDS, Loop
from tests.plugins.receivers import Answer, Request, http_receiver
from tidemill_core.domain.job import JobRunState
from tidemill_core.domain.labeling import Judgement, LabelItemState
from tidemill_core.settings import AlertSettings, FeedbackSettings, LabelingSettings
from tidemill_core.settings.alerts import PagerDutySettings, SlackSettings
from tidemill_core.settings.training import TrainingSettings
from tidemill_core.storage.database import Page
from tidemill_core.storage.jobs import RunRequest
from tidemill_jobs.execute import run_claimed
from tidemill_jobs.monitoring.alerts.sender import Sender
from tidemill_jobs.release.trial import PublishedModel

NEW_TEXTS = [f"refund fee charged twice {number}" for number in range(120)]
"""Texts with a label that the first version has never seen."""


class _Site:
    """A task with its callers and annotators, on a clock that the test moves."""

    def __init__(self, loop: Loop, alerts: AlertSettings) -> None:
        changes = {
            "alerts": alerts,
            "labeling": LabelingSettings(audit_share=1.0, budget=1e6, uncertain_per_run=0),
            "feedback": FeedbackSettings(retrain_cool_down_hours=0),
        }
        self.now = datetime.now(UTC)
        settings = loop.context.settings.model_copy(update=changes)
        self.context = replace(loop.context, settings=settings, clock=lambda: self.now)
        self._sender = Sender(self.context.storage.alert_outbox, alerts, self.context.clock)

    @property
    def champion(self) -> int:
        """The version that answers."""
        deployment = self.context.storage.models.deployment(self.context.task)
        return 0 if deployment is None else deployment.champion

    def run(self, job: str) -> Mapping[str, Any]:
        """Run a job and those that it starts, send the alerts, and return the job's result."""
        context, jobs = self.context, self.context.storage.jobs
        self.now += timedelta(hours=1)
        asked = jobs.enqueue(RunRequest(job, context.task, "test"), self.now)
        while (run := jobs.claim(self.now)) is not None:
            run_claimed(run, context.settings, context.storage, context.triton, context.clock)
        self._sender.tick()
        ended = jobs.get(asked.run_id)
        assert ended.state is JobRunState.SUCCEEDED, ended.error
        return ended.result

    def ask(self, texts: Sequence[str]) -> None:
        """Ask the champion in Triton, and store the answers as the server does."""
        context = self.context
        version = context.storage.models.get(context.task, self.champion)
        model = PublishedModel(version, context.repository, context.triton)
        answers = zip(texts, model.answer(texts), strict=True)
        context.storage.predictions.add(
            [
                prediction(
                    uuid.uuid4().hex,
                    text,
                    task=context.task,
                    model_version=version.version,
                    label=model.manifest.labels[int(found.argmax())],
                    confidence=float(found.max()),
                    scores=(),
                    predict_time=self.now,
                )
                for text, found in answers
            ]
        )

    def label_audits(self, label: str) -> None:
        """Let an annotator give all waiting texts one label."""
        items, task = self.context.storage.label_items, self.context.task
        waiting, _ = items.page(task, [LabelItemState.OPEN], None, Page(1000), self.now)
        for item in waiting:
            items.submit(task, Judgement(item.label_item_id, "ana", label, "", self.now), {})


def _pagerduty_accepts(request: Request) -> Answer:
    """Answer as PagerDuty does."""
    answer = {"status": "success", "dedup_key": request.json["dedup_key"]}
    return 202, {"Content-Type": "application/json"}, json.dumps(answer).encode()


def test_a_fall_is_reported_and_resolves_itself(loop: Loop) -> None:
    """Slack and PagerDuty get the alert; the retraining that it starts learns, and resolves it.

    The new version follows the class shares of the audits, and its gates judge without them.
    """
    loop.change(training=TrainingSettings(follow_audits=True))
    with http_receiver() as slack, http_receiver() as pagerduty:
        pagerduty.answer = _pagerduty_accepts
        alerts = AlertSettings(
            slack=SlackSettings(webhook_url=SecretStr(slack.url)),
            pagerduty=PagerDutySettings(routing_key=SecretStr("k" * 32), url=pagerduty.url),
        )
        site = _Site(loop, alerts)
        site.run("retrain")
        for texts in (NEW_TEXTS[:60], NEW_TEXTS[60:]):
            site.ask(texts)
            site.run("queue_labels")
            site.label_audits("refund")
            site.run("check_accuracy")
            site.run("check_feedback")
    assert site.champion == 2
    made = loop.version(2)
    assert made.trained_because.startswith("accuracy alert: ")
    record = loop.context.repository.manifest(made.task, "onnx", 2).training
    assert record is not None
    assert record.audits == {"refund": 60.0}
    assert record.odds["refund"] > 1 > max(record.odds[label] for label in WORDS)
    raised, resolved = (each.json for each in pagerduty.requests)
    assert (raised["event_action"], resolved["event_action"]) == ("trigger", "resolve")
    assert raised["dedup_key"] == resolved["dedup_key"]
    titles = [each.json["blocks"][0]["text"]["text"] for each in slack.requests]
    assert titles == [f"Critical: {made.task}: accuracy", f"Resolved: {made.task}: accuracy"]
