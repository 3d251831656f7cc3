"""The rows in which two dataset versions of this workspace differ.

Rows are identified by the hash of their text. Only hashes and labels are compared; the texts of the
few rows to show are read afterwards.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from tidemill_cli.dataset_files import read_examples
from tidemill_cli.output import bar, print_table, stdout
from tidemill_core.counted import counted
from tidemill_core.dataset_folder import EXAMPLES_FILE, read_manifest
from tidemill_core.domain.dataset import label_changes

if TYPE_CHECKING:  # part of the extra [jobs], and takes a while to import
    import polars as pl

KINDS = {"rows_in": "rows in", "rows_out": "rows out", "relabelled": "relabeled"}
_BAR_WIDTH = 20
_NOTEWORTHY = 0.001
"""The change of share from which a label with an unchanged count is listed."""


def compare(base: Path, other: Path, shown: int) -> dict[str, Any]:
    """Compare two versions row by row.

    Args:
        base: the folder of the first version.
        other: the folder of the version to compare with it.
        shown: how many rows of each kind to return, ordered by the hashes of their texts.

    Returns:
        JSON values, as in the response of DiffDatasetVersions: `base_row_count`, `row_count` and
        `label_changes`; also the counts of the `KINDS`, and, if `shown` is not 0, `rows` by kind:
        `text`, `label` and, for relabeled rows, `base_label`.

    Raises:
        ExtrasMissing: the packages that read the rows are not installed.
        DataError: DATASET_MISSING, DATASET_REMOVED or DATASET_DAMAGED.
    """
    before, after = _labels(base), _labels(other)
    renamed = before.rename({"label": "base_label"})
    both = after.join(renamed, on="text_hash", maintain_order="left")
    differing = {
        "rows_in": after.join(before, on="text_hash", how="anti", maintain_order="left"),
        "rows_out": before.join(after, on="text_hash", how="anti", maintain_order="left"),
        "relabelled": both.filter(both["label"] != both["base_label"]),
    }
    counts = [read_manifest(folder)["label_counts"] for folder in (base, other)]
    found: dict[str, Any] = {
        "base_row_count": len(before),
        "row_count": len(after),
        **{kind: len(rows) for kind, rows in differing.items()},
        "label_changes": [asdict(change) for change in label_changes(*counts)],
    }
    if shown:
        found["rows"] = {
            kind: _with_texts(rows.head(shown), base if kind == "rows_out" else other)
            for kind, rows in differing.items()
        }
    return found


def print_difference(found: Mapping[str, Any]) -> None:
    """Print a result of `compare`, or a response of DiffDatasetVersions as JSON values."""
    console = stdout()
    console.print(f"rows: {found['base_row_count']} → {found['row_count']}")
    if "rows_in" in found:
        rows_in, rows_out, relabeled = (found[kind] for kind in KINDS)
        console.print(f"{rows_in} in, {rows_out} out, {relabeled} relabeled")
    moved = [change for change in found["label_changes"] if _is_listed(change)]
    columns = ("label", "before", "after", "change", "share", "", "moved by", "")
    print_table(columns, _moves(moved), empty="no label's count differs")
    if others := len(found["label_changes"]) - len(moved):
        console.print(
            f"{counted(others, 'other label')}: the same number of rows, and nearly the same share"
        )
    for kind, rows in found.get("rows", {}).items():
        if rows:
            console.print(f"\n{KINDS[kind]}:")
            labels = ("label before", "label") if kind == "relabelled" else ("label",)
            print_table((*labels, "text"), map(_row, rows), empty="")


def _labels(folder: Path) -> "pl.DataFrame":
    """Return `text_hash` and `label` of a version's rows, ordered by hash."""
    return read_examples(folder, ["text_hash", "label"])


def _with_texts(rows: "pl.DataFrame", folder: Path) -> list[dict[str, Any]]:
    import polars as pl

    wanted = pl.col("text_hash").is_in(rows["text_hash"].implode())
    texts = (
        pl.scan_parquet(folder / EXAMPLES_FILE, glob=False)
        .filter(wanted)
        .select("text_hash", "text")
    )
    found = rows.join(texts.collect(), on="text_hash", maintain_order="left")
    return found.select(pl.exclude("text_hash")).to_dicts()


def _moves(changes: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the table, the largest change first, each with a bar of its size."""

    def move(change: Mapping[str, Any]) -> float:
        return float(change["share"] - change["base_share"])

    farthest = max((abs(move(change)) for change in changes), default=0.0) or 1.0
    for change in sorted(changes, key=lambda change: -abs(move(change))):
        moved = move(change)
        yield (
            change["label"],
            change["base_count"],
            change["count"],
            f"{change['count'] - change['base_count']:+d}",
            f"{100 * change['base_share']:.2f} %",
            f"→ {100 * change['share']:.2f} %",
            f"{100 * moved:+.2f}",
            Text(bar(abs(moved) / farthest, _BAR_WIDTH), style="green" if moved > 0 else "red"),
        )


def _is_listed(change: Mapping[str, Any]) -> bool:
    moved = abs(float(change["share"] - change["base_share"]))
    return bool(change["base_count"] != change["count"]) or moved >= _NOTEWORTHY


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    labels = [row[name] for name in ("base_label", "label") if name in row]
    return (*labels, row["text"])
