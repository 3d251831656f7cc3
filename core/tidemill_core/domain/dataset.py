"""Dataset versions: immutable and content-addressed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Outcome(StrEnum):
    """What happened to an ingested row."""

    KEPT = "kept"
    """The row is an example of the version."""
    MERGED = "merged"
    """Another row says the same, or overrides it."""
    LEFT_OUT = "left_out"
    """The row is valid, but no model may learn from it."""
    QUARANTINED = "quarantined"
    """The row breaks a rule; once fixed at its source, the next build accepts it."""


class Exclusion(StrEnum):
    """A rule that excludes a valid row; every other rule quarantines the row."""

    DUPLICATE = "DUPLICATE"
    NEAR_DUPLICATE = "NEAR_DUPLICATE"
    CORRECTED = "CORRECTED"
    REPLACED = "REPLACED"
    CONTRADICTORY_LABELS = "CONTRADICTORY_LABELS"
    HELD_OUT = "HELD_OUT"
    NEAR_HELD_OUT = "NEAR_HELD_OUT"
    UNLABELLED = "UNLABELLED"
    WITHDRAWN = "WITHDRAWN"
    ERASED = "ERASED"


_MERGED = {
    *(Exclusion.DUPLICATE, Exclusion.NEAR_DUPLICATE),
    *(Exclusion.CORRECTED, Exclusion.REPLACED),
}


def outcome_of(rule: str) -> Outcome:
    """Return the outcome of a row that a rule excluded."""
    if rule in _MERGED:
        return Outcome.MERGED
    return Outcome.LEFT_OUT if rule in set(Exclusion) else Outcome.QUARANTINED


@dataclass(frozen=True)
class DatasetVersion:
    """One dataset version in the catalog.

    Attributes:
        dataset_version: its id, the SHA-256 of its content, in hex.
        task: the task it belongs to.
        uri: folder that holds `examples.parquet`, `quarantine.parquet` and `manifest.json`.
        row_counts: rows by split.
        label_counts: rows by label.
        label_source_counts: rows by `LabelSource`.
        quarantine_counts: ingested rows that are not examples, by rule.
        create_time: when it was first built.
        build_time: when a build last produced it; the latest is the last build's.
        source_counts: ingested rows by source, then by `Outcome`.
        parents: the versions that it was built after; empty for a task's first.
        code_version: the Tidemill version that built it.
        erased_count: rows whose text was erased from it after the build.
    """

    dataset_version: str
    task: str
    uri: str
    row_counts: Mapping[str, int]
    label_counts: Mapping[str, int]
    label_source_counts: Mapping[str, int]
    quarantine_counts: Mapping[str, int]
    create_time: datetime
    build_time: datetime
    source_counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    parents: tuple[str, ...] = ()
    code_version: str = ""
    erased_count: int = 0

    @property
    def outcome_counts(self) -> dict[str, int]:
        """Ingested rows of all sources by `Outcome`."""
        return {
            str(outcome): sum(counts.get(outcome, 0) for counts in self.source_counts.values())
            for outcome in Outcome
        }


@dataclass(frozen=True)
class LabelChange:
    """How often a label occurs in two dataset versions.

    Attributes:
        label: the label.
        base_count: its rows in the base version.
        count: its rows in the other version.
        base_share: its share of the base version's rows, in [0, 1]; 0 if the version has no rows.
        share: its share of the other version's rows.
    """

    label: str
    base_count: int
    count: int
    base_share: float
    share: float


def label_changes(base: Mapping[str, int], other: Mapping[str, int]) -> list[LabelChange]:
    """Return the labels whose count or share differs between two `label_counts`, by label."""
    base_total, total = sum(base.values()) or 1, sum(other.values()) or 1
    changes = (
        LabelChange(
            label,
            base.get(label, 0),
            other.get(label, 0),
            base.get(label, 0) / base_total,
            other.get(label, 0) / total,
        )
        for label in sorted(base.keys() | other.keys())
    )
    return [
        change
        for change in changes
        if (change.base_count, change.base_share) != (change.count, change.share)
    ]
