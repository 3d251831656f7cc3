"""The job `erase_texts` with texts that cleaning changes."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.contract.storage.values import (
    judgement,
    label_request,
    prediction,
)
from tests.integration.jobs.conftest import NOW
from tests.integration.jobs.data.building import build
from tests.integration.jobs.data.erasing.requests import ask, left_over
from tidemill_core.storage.database import Page
from tidemill_core.storage.label_leases import LeaseRequest
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.erasing.erase import run
from tidemill_jobs.data.publishing.dataset import read_dataset

RAW = "write to ann@example.org at cafÃ©"
CLEANED = "write to [EMAIL] at café"


def _redacting(context: JobContext, *kinds: str) -> JobContext:
    task = context.task_settings.model_copy(update={"redact": list(kinds)})
    settings = context.settings.model_copy(update={"tasks": {"support": task}})
    return replace(context, settings=settings)


@pytest.fixture
def redacted(context: JobContext, source: Path) -> JobContext:
    """Return a run for a task that redacts e-mail addresses, with a version."""
    source.write_text(f"text,label\n{RAW},a\nx,a\ny,b\n", encoding="utf-8")
    context = _redacting(context, "email")
    assert CLEANED in set(read_dataset(build(context).uri)["text"])
    return context


def _published(context: JobContext) -> set[str]:
    """Return the texts of all versions."""
    versions, _ = context.storage.datasets.page("support", Page())
    return {text for version in versions for text in read_dataset(version.uri)["text"]}


@pytest.mark.parametrize("asked", [RAW, CLEANED])
def test_a_text_that_cleaning_changed_is_found(redacted: JobContext, asked: str) -> None:
    """The raw and the cleaned text are both erased, whichever one is requested."""
    redacted.storage.predictions.add([prediction("p1", text=RAW)])
    ask(redacted, asked)
    result = run(redacted)
    assert (result["erased_datasets"], result["erased_intake"]) == (1, 1)
    assert result["erased_predictions"] == 1
    assert _published(redacted) == {"x", "y"}


@pytest.mark.parametrize("asked", [RAW, CLEANED])
def test_a_version_that_was_cleaned_otherwise_is_found(redacted: JobContext, asked: str) -> None:
    """The settings in the version's manifest count, not the current ones."""
    ask(redacted, asked)
    run(_redacting(redacted))
    assert _published(redacted) == {"x", "y"}


def test_a_cleaned_text_does_not_come_back_as_a_label(redacted: JobContext) -> None:
    """A label of the cleaned text, which people were shown, is erased with the raw text."""
    storage = redacted.storage
    storage.label_items.add([label_request(CLEANED)], 1, NOW)
    wish = LeaseRequest("support", "bob", 1, NOW + timedelta(minutes=5))
    ([item], _) = storage.label_items.lease(wish, NOW)
    storage.label_items.submit("support", judgement(item.label_item_id, "b"), {})
    build(redacted)
    ask(redacted, RAW)
    assert run(redacted)["erased_label_items"] == 1
    build(redacted)
    assert _published(redacted) == {"x", "y"}
    storage.database.close()
    assert left_over(redacted.settings.state_dir, "write to") == []
