"""Which rows two dataset versions of this workspace differ in.

Rows are told apart by their text's hash. What is compared are hashes and labels alone; the texts
of the few rows that are shown are read afterwards.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from tidemill_cli.local import require_extras
from tidemill_cli.output import bar, print_table, stdout
from tidemill_core.dataset_folder import (
    EXAMPLES_FILE,
    damaged,
    has_rows,
    read_manifest,
    rows_removed,
)
from tidemill_core.domain.dataset import label_changes

if TYPE_CHECKING:  # comes with the extra [jobs], and takes a while to import
    import polars as pl

KINDS = ("rows_in", "rows_out", "relabelled")
_BAR_WIDTH = 20
_NOTEWORTHY = 0.001
"""A share that moved so far is told of a label whose rows are as many as before."""


def compare(base: Path, other: Path, shown: int) -> dict[str, Any]:
    """Compare two versions row by row.

    Args:
        base: the folder of the version to start from.
        other: the folder of the one to compare with it.
        shown: how many rows of each kind to give, in the order of their texts' hashes.

    Returns:
        JSON values, as DiffDatasetVersions answers: `base_row_count`, `row_count` and
        `label_changes`; besides, counts of the `KINDS`; and `rows` by kind, if any is asked for:
        `text`, `label` and, of relabelled ones, `base_label`.

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
    """Print what `compare` found, or what a server's DiffDatasetVersions says in JSON."""
    console = stdout()
    console.print(f"rows: {found['base_row_count']} → {found['row_count']}")
    if KINDS[0] in found:
        rows_in, rows_out, relabelled = (found[kind] for kind in KINDS)
        console.print(f"{rows_in} in, {rows_out} out, {relabelled} relabelled")
    told = [change for change in found["label_changes"] if _is_news(change)]
    columns = ("label", "before", "after", "change", "share", "", "moved by", "")
    print_table(columns, _moves(told), empty="no label's count differs")
    if others := len(found["label_changes"]) - len(told):
        console.print(f"{others} other labels: as many rows as before, and nearly the same share")
    for kind, rows in found.get("rows", {}).items():
        if rows:
            console.print(f"\n{kind.replace('_', ' ')}:")
            labels = ("label before", "label") if kind == KINDS[2] else ("label",)
            print_table((*labels, "text"), map(_row, rows), empty="")


def _labels(folder: Path) -> "pl.DataFrame":
    """`text_hash` and `label` of a version's rows, in the order of the hashes."""
    require_extras()
    import polars as pl

    if not has_rows(folder):
        raise rows_removed(folder)
    path = folder / EXAMPLES_FILE
    try:
        return pl.read_parquet(path, columns=["text_hash", "label"], glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise damaged(path, error) from error


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
    """Rows of the table: what moved most comes first, with a bar that says how far."""

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


def _is_news(change: Mapping[str, Any]) -> bool:
    moved = abs(float(change["share"] - change["base_share"]))
    return bool(change["base_count"] != change["count"]) or moved >= _NOTEWORTHY


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    labels = [row[name] for name in ("base_label", "label") if name in row]
    return (*labels, row["text"])
