"""Dataset versions: immutable and content-addressed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class DatasetVersion:
    """One dataset version as the catalogue knows it.

    Attributes:
        dataset_version: its id, the SHA-256 of its content, in hex.
        task: the task it belongs to.
        uri: folder that holds `examples.parquet`, `quarantine.parquet` and `manifest.json`.
        row_counts: rows by split.
        label_counts: rows by label.
        label_source_counts: rows by where the label came from.
        quarantine_counts: quarantined rows by rule.
        create_time: when it was first built.
    """

    dataset_version: str
    task: str
    uri: str
    row_counts: Mapping[str, int]
    label_counts: Mapping[str, int]
    label_source_counts: Mapping[str, int]
    quarantine_counts: Mapping[str, int]
    create_time: datetime
