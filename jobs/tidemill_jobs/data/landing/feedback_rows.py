"""Tidemill's own sources: users' feedback, people's labels and models' confident answers.

All are in the database, where verdicts change and texts expire. So each build reads all of them,
and lands the differences from the last build.
"""

from collections.abc import Iterable

import polars as pl

from tidemill_core.domain.example import Example, QuarantinedRow
from tidemill_jobs.data.landing.intake import LANDED

FEEDBACK = "feedback"
LABELS = "labels"
ANSWERS = "answers"
"""Names that no declared source has."""


def landed_rows(rows: Iterable[Example | QuarantinedRow]) -> pl.DataFrame:
    """Return examples and quarantined rows as LANDED rows."""
    return pl.DataFrame([_landed(row) for row in rows], schema=dict(LANDED))


def _landed(row: Example | QuarantinedRow) -> dict[str, object]:
    landed: dict[str, object] = {"part": "", "origin": row.origin, "key": row.key, "weight": 1.0}
    if isinstance(row, QuarantinedRow):
        return landed | {"judges": False, "rule": row.rule, "value": row.value}
    return landed | {
        "text": row.text,
        "label": row.label,
        "annotator": row.annotator,
        "time": row.time,
        "label_source": str(row.label_source),
        "weight": row.weight,
        "judges": row.judges,
    }
