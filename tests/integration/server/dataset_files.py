"""The files of a dataset version, as a build writes them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tidemill_core.dataset_folder import EXAMPLES_FILE, QUARANTINE_FILE
from tidemill_core.domain.split import content_hash, split_of
from tidemill_jobs.data.publishing.dataset import EXAMPLE_COLUMNS, QUARANTINE_COLUMNS


def write_dataset_files(
    folder: Path, examples: Sequence[tuple[str, str]], excluded: Sequence[tuple[str, ...]]
) -> None:
    """Write rows, and those that are not among them.

    Args:
        folder: the folder of the version.
        examples: texts and labels.
        excluded: source, origin, rule, outcome and value.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = [
        {
            "text": text,
            "label": label,
            "label_source": "source",
            "weight": 1.0,
            "annotator": "",
            "origin": f"train.csv:{number}",
            "split": str(split_of(content_hash(text))),
            "text_hash": content_hash(text),
        }
        for number, (text, label) in enumerate(examples, 2)
    ]
    frame = pl.DataFrame(rows, EXAMPLE_COLUMNS).sort("text_hash")
    frame.write_parquet(folder / EXAMPLES_FILE, row_group_size=4)
    left = pl.DataFrame([(*row, "") for row in excluded], QUARANTINE_COLUMNS, orient="row")
    left.write_parquet(folder / QUARANTINE_FILE, row_group_size=4)
