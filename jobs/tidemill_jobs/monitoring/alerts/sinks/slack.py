"""The sink `slack`: a message with blocks by an incoming webhook."""

import logging
from collections.abc import Iterator
from http.client import HTTPException

from slack_sdk.errors import SlackClientError
from slack_sdk.models.blocks import (
    Block,
    ContextBlock,
    HeaderBlock,
    MarkdownTextObject,
    PlainTextObject,
    SectionBlock,
)
from slack_sdk.webhook import WebhookClient

from tidemill_core.domain.alert import AlertEvent
from tidemill_core.settings.alerts import SlackSettings
from tidemill_jobs.monitoring.alerts.sink import TIMEOUT_SECONDS, NotDelivered, Notification
from tidemill_jobs.monitoring.unanswered import why_unanswered

_MAX_HEADER = 150
_MAX_TEXT = 2900
"""Longest text of a block, under Slack's limit of 3,000 characters."""
_OK = 200
# The client's own messages include the webhook's URL, which is a secret.
_SILENT = logging.Logger("slack", logging.CRITICAL + 1)


class SlackSink:
    """Posts each notification to a channel."""

    def __init__(self, settings: SlackSettings) -> None:
        url = settings.webhook_url.get_secret_value()
        self._client = WebhookClient(
            url, timeout=TIMEOUT_SECONDS, retry_handlers=[], logger=_SILENT
        )

    def send(self, notification: Notification) -> None:
        """Post the notification."""
        try:
            answer = self._client.send(
                text=_escaped(f"{notification.title}. {notification.message}", _MAX_TEXT),
                blocks=list(_blocks(notification)),
            )
        except (OSError, HTTPException, ValueError, SlackClientError) as error:
            raise NotDelivered(f"no answer: {why_unanswered(error)}") from error
        if answer.status_code != _OK:
            after = {name.lower(): value for name, value in answer.headers.items()}
            raise NotDelivered.by_status(answer.status_code, str(after.get("retry-after", "")))


def _blocks(notification: Notification) -> Iterator[Block]:
    alert = notification.alert
    title = notification.title[:_MAX_HEADER]
    yield HeaderBlock(text=PlainTextObject(text=title, emoji=False))
    yield SectionBlock(text=_markdown(_escaped(notification.message, _MAX_TEXT) or "-"))
    if notification.event is AlertEvent.TRIGGER and alert.advice:
        yield SectionBlock(text=_markdown(_escaped(f"*What to do:* {alert.advice}", _MAX_TEXT)))
    report = _escaped(notification.report, _MAX_TEXT)
    shown = f"<{report}|Report>" if notification.link else f"Report: `{report}`"
    about = [f"Task {alert.task}", f"Version {alert.model_version or '-'}"]
    if report:
        about.append(shown)
    about.append(f"Alert `{alert.alert_id}`")
    yield ContextBlock(elements=[_markdown(each) for each in about])


def _markdown(text: str) -> MarkdownTextObject:
    return MarkdownTextObject(text=text, verbatim=True)


def _escaped(text: str, longest: int) -> str:
    """Return a text in which Slack sees no markup of links and mentions."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped if len(escaped) <= longest else escaped[: longest - 1].rpartition(" ")[0] + "…"
