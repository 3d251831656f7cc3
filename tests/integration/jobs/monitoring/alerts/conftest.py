"""Receivers of alerts, and what is sent to them."""

from collections.abc import Iterator

import pytest

from tests.plugins.receivers import HttpReceiver, MailReceiver, http_receiver, mail_receiver


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    """An HTTP server that keeps the requests it gets."""
    with http_receiver() as running:
        yield running


@pytest.fixture
def mailbox() -> Iterator[MailReceiver]:
    """A mail server that keeps the mails it gets."""
    with mail_receiver() as running:
        yield running
