"""The job `send_arize`: predictions, and the labels that verdicts give them, in Arize.

Each batch that Arize accepted moves a position in the database, so a run that fails or is killed is
continued by the next one, and rows are sent at least once. Arize knows a prediction by its id, so a
second copy replaces the first.
"""

import warnings
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tidemill_core.counted import counted
from tidemill_core.domain.model import ModelVersion
from tidemill_core.errors import ConfigurationError
from tidemill_core.extras import installation
from tidemill_core.settings import ArizeSettings
from tidemill_core.storage.database import MAX_PAGE_SIZE, Page
from tidemill_core.storage.exports import ExportedPrediction, ExportStore
from tidemill_core.text_repair import TextRepair
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.monitoring.tools.arize_embeddings import embeddings, open_reader
from tidemill_jobs.monitoring.tools.arize_rows import (
    MAX_TEXT,
    Rows,
    SentTexts,
    prediction_rows,
    verdict_rows,
)

if TYPE_CHECKING:  # part of the extra [arize]
    from tidemill_jobs.monitoring.tools.arize_client import ArizeClient

RECEIVER = "arize"
BATCH_ROWS = 10_000
LAG = timedelta(minutes=10)
"""Rows are sent when they are this old, because some reach the database late."""
_VERDICTS = "verdicts"


def run(context: JobContext) -> Result:
    """Send what Arize does not have yet.

    Returns:
        `prediction_count` and `verdict_count`: the rows that were sent.

    Raises:
        ConfigurationError: `[arize]` has no api_key or space_id, or the SDK is not installed.
        ArizeUnavailable: Arize did not answer, or refused the rows.
        StorageUnavailable: the database does not answer.
    """
    task, until = context.task, context.clock() - LAG
    client, texts = _client(context.settings.arize, task), _texts(context)
    versions, _ = context.storage.models.page(task, Page(MAX_PAGE_SIZE))
    sent = 0
    for version in reversed(versions):
        for count in _send_predictions(context, client, version, until, texts):
            sent += count
            context.progress(0.5, f"sent {counted(sent, 'prediction')}")
    context.progress(0.8, "sending verdicts")
    verdicts = _send_verdicts(context.storage.exports, task, client, until)
    return {"prediction_count": sent, "verdict_count": verdicts}


def _texts(context: JobContext) -> SentTexts | None:
    """Return which texts, or what a version makes of them, may leave; None for none."""
    task, arize = context.task_settings, context.settings.arize
    if not (arize.send_texts or arize.send_embeddings) or task.store_text != "plain":
        return None
    days = task.text_retention_days
    return SentTexts(
        repair=TextRepair(redact=tuple(task.redact)),
        kept_since=None if days is None else context.clock() - timedelta(days=days),
        erased=context.storage.erasures.hashes(context.task).keys(),
    )


def _send_predictions(
    context: JobContext,
    client: "ArizeClient",
    version: ModelVersion,
    until: datetime,
    texts: SentTexts | None,
) -> Iterator[int]:
    """Send a version's answers, and yield the size of each batch that was taken."""
    store, stream = context.storage.exports, f"predictions {version.version}"
    while True:
        place = _place(store.position(RECEIVER, context.task, stream))
        batch = store.predictions(context.task, version.version, place, until, BATCH_ROWS)
        if not batch:
            return
        rows = {**prediction_rows(batch), **_text_rows(context, version, batch, texts)}
        client.send(rows, str(version.version))
        last = f"{batch[-1].predict_time.isoformat()} {batch[-1].prediction_id}"
        store.advance(RECEIVER, context.task, stream, last)
        yield len(batch)


def _text_rows(
    context: JobContext,
    version: ModelVersion,
    batch: Sequence[ExportedPrediction],
    texts: SentTexts | None,
) -> Rows:
    """Return the columns that come from texts, if some may leave."""
    if texts is None:
        return {}
    sent, arize = [texts.of(each) for each in batch], context.settings.arize
    rows: dict[str, Sequence[Any]] = {}
    if arize.send_texts:
        rows["text"] = [text[:MAX_TEXT] for text in sent]
    if arize.send_embeddings and (reader := open_reader(context.repository, version)):
        rows["embedding"] = embeddings(reader, sent)
    return rows


def _place(position: str) -> tuple[datetime, str] | None:
    time, _, prediction_id = position.partition(" ")
    return (datetime.fromisoformat(time), prediction_id) if position else None


def _send_verdicts(store: ExportStore, task: str, client: "ArizeClient", until: datetime) -> int:
    sent = 0
    while True:
        after = int(store.position(RECEIVER, task, _VERDICTS) or 0)
        batch = store.verdicts(task, after, until, BATCH_ROWS)
        if not batch:
            return sent
        if labeled := [each for each in batch if each.label is not None]:
            client.send(verdict_rows(labeled), "")
        store.advance(RECEIVER, task, _VERDICTS, str(batch[-1].sequence))
        sent += len(labeled)


def _client(settings: ArizeSettings, task: str) -> "ArizeClient":
    if not (settings.api_key.get_secret_value() and settings.space_id):
        raise ConfigurationError("nothing was sent: set both arize.api_key and arize.space_id")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from tidemill_jobs.monitoring.tools.arize_client import ArizeClient
    except ImportError as error:
        missing = f"Arize's SDK is not installed here: {installation('arize')}"
        raise ConfigurationError(missing) from error
    return ArizeClient(settings, task)
