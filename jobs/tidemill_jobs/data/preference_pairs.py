"""Dataset versions of preference pairs: one row a pair, labeled with the answer that won."""

from collections.abc import Container, Iterator, Sequence
from typing import Any

import polars as pl

from tidemill_core.domain.dataset import DatasetVersion, Exclusion, Outcome
from tidemill_core.domain.preference import JudgedPair, Preference, pairs_of
from tidemill_core.domain.split import content_hash, split_of
from tidemill_core.rewards import PAIR_LABELS, pair_text
from tidemill_core.storage.database import MAX_PAGE_SIZE, Page
from tidemill_core.storage.preferences import PreferenceStore
from tidemill_core.text_repair import TextRepair
from tidemill_jobs.context import JobContext, Progress
from tidemill_jobs.data.deciding.held_out_repeats import repeat_held_out
from tidemill_jobs.data.landing.intake import Intake
from tidemill_jobs.data.publishing.dataset import EXAMPLE_COLUMNS, QUARANTINE_COLUMNS, Content
from tidemill_jobs.data.publishing.successor import publish_next
from tidemill_jobs.data.task_folders import TaskFolders

SOURCE = "preferences"


def build_pairs(context: JobContext, progress: Progress) -> DatasetVersion:
    """Build the dataset version of a task's preference pairs.

    The split of a pair is its prompt's, so no prompt is in two splits. A pair's weight is the share
    of its annotators who chose the winner.

    Raises:
        DataError: the version cannot be written.
        RunCanceled: someone stopped the run; nothing is published.
    """
    task, storage = context.task, context.storage
    folders = TaskFolders.below(context.settings.state_dir, task)
    with Intake(folders.intake).locked(progress):
        folders.remove_left_over()
        progress(0.0, "reading the preference pairs")
        pairs = pairs_of(reversed(list(_judgements(storage.preferences, task))))
        repair = TextRepair(redact=tuple(context.task_settings.redact))
        similarity = context.task_settings.near_duplicate_similarity
        content = pair_content(task, pairs, storage.erasures.hashes(task), repair, similarity)
        return publish_next(content, context.datasets, storage.datasets, context.clock())


def _judgements(store: PreferenceStore, task: str) -> Iterator[Preference]:
    """Yield a task's judgements, newest first."""
    token = ""
    while True:
        found, token = store.page(task, Page.parse(MAX_PAGE_SIZE, token))
        yield from found
        if not token:
            return


def pair_content(
    task: str,
    pairs: Sequence[JudgedPair],
    erased: Container[str],
    repair: TextRepair,
    similarity: float,
) -> Content:
    """Return the content of a version.

    Ties, erased pairs and training pairs that nearly repeat a held-out one are left out.
    """
    rows, excluded = _judged(pairs, erased, repair)
    kept = pl.DataFrame(rows, schema=dict(EXAMPLE_COLUMNS))
    # Without the nearest repeats, others may be the nearest.
    while (repeats := repeat_held_out(kept, similarity)).any():
        near = kept.filter(repeats).select("origin", "text_hash")
        excluded += [
            _excluded(origin, pair_hash, Exclusion.NEAR_HELD_OUT)
            for origin, pair_hash in near.iter_rows()
        ]
        kept = kept.filter(~repeats)
    counts = {str(Outcome.KEPT): len(kept), str(Outcome.LEFT_OUT): len(excluded)}
    return Content(
        task=task,
        examples=kept,
        excluded=pl.DataFrame(excluded, schema=dict(QUARANTINE_COLUMNS)),
        source_counts={SOURCE: {outcome: count for outcome, count in counts.items() if count}},
        recipe={"preferences": {"text_repair": repair.version, "redact": list(repair.redact)}},
    )


def _judged(
    pairs: Sequence[JudgedPair], erased: Container[str], repair: TextRepair
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Return the rows of pairs with a winner, and the pairs that are left out."""
    rows: list[dict[str, Any]] = []
    excluded: list[dict[str, str]] = []
    for pair in sorted(pairs, key=lambda pair: pair.pair_hash):
        winner = pair.winner
        if winner is None:
            excluded.append(
                _excluded(_origin(pair), pair.pair_hash, Exclusion.CONTRADICTORY_LABELS)
            )
        elif any(content_hash(text) in erased for text in _texts(winner)):
            excluded.append(_excluded(_origin(pair), pair.pair_hash, Exclusion.ERASED))
        else:
            rows.append(_row(pair, winner, repair))
    return rows, excluded


def _texts(judgement: Preference) -> tuple[str, str, str]:
    return judgement.prompt, judgement.chosen, judgement.rejected


def _row(pair: JudgedPair, winner: Preference, repair: TextRepair) -> dict[str, Any]:
    """Return a pair in EXAMPLE_COLUMNS; the answer with the smaller hash comes first."""
    prompt, chosen, rejected = map(repair, _texts(winner))
    first = winner.prefers_first
    answers = (chosen, rejected) if first else (rejected, chosen)
    return {
        "text": pair_text(prompt, *answers),
        "label": PAIR_LABELS[0 if first else 1],
        "label_source": SOURCE,
        "weight": round(max(pair.counts) / len(pair.votes), 3),
        "annotator": winner.annotator,
        "origin": _origin(pair),
        "split": str(split_of(pair.prompt_hash)),
        "text_hash": pair.pair_hash,
    }


def _origin(pair: JudgedPair) -> str:
    return f"{SOURCE}:{pair.votes[0].preference_id}"


def _excluded(origin: str, pair_hash: str, rule: Exclusion) -> dict[str, str]:
    """Return a pair in QUARANTINE_COLUMNS."""
    return {
        "source": SOURCE,
        "origin": origin,
        "rule": str(rule),
        "outcome": str(Outcome.LEFT_OUT),
        "value": "",
        "text_hash": pair_hash,
    }
