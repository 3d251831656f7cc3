"""Preference pairs as files."""

import json
from datetime import UTC, datetime
from pathlib import Path

import polars
import pytest

from tidemill_cli.preference_export import COLUMNS, Format, Row, rows_by_split, write_export
from tidemill_core.domain.preference import Preference, pairs_of
from tidemill_core.domain.split import Split, content_hash, split_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ODD = 'a "quote"\n\u2028tab\t\\ é🎉漢字'


def judged(prompt: str, chosen: str, rejected: str, annotator: str = "ana") -> Preference:
    """Return a judgement."""
    return Preference("", "", prompt, chosen, rejected, annotator, "", "", NOW)


def many() -> list[Preference]:
    """Return three pairs on each of 200 prompts, each written in two ways."""
    return [
        judged(prompt, f"good {ODD} {n}", f"bad {n}")
        for number in range(200)
        for n, prompt in enumerate((f"Prompt {number}", f"prompt  {number}", f"prompt {number}"))
    ]


def read(path: Path) -> list[Row]:
    """Return the rows of a file of either format."""
    if path.suffix == ".parquet":
        return polars.read_parquet(path).to_dicts()
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


@pytest.mark.parametrize("file_format", Format)
def test_no_prompt_is_on_two_sides(tmp_path: Path, file_format: Format) -> None:
    """Each file has the prompts whose hash selects it, and all rows are exported, in order."""
    files = write_export(tmp_path / "pairs", rows_by_split(pairs_of(many())), file_format)
    assert [path.name for path in files] == [f"{split}.{file_format}" for split in Split]
    found = {path.stem: read(path) for path in files}
    assert sum(map(len, found.values())) == 600
    for split, rows in found.items():
        assert {split_of(content_hash(row["prompt"])) for row in rows} == {split}
        hashes = [content_hash(row["prompt"]) for row in rows]
        assert hashes == sorted(hashes)
        assert all(tuple(row) == COLUMNS for row in rows)
        assert all(ODD in row["chosen"] and "bad" in row["rejected"] for row in rows)


@pytest.mark.parametrize("file_format", Format)
def test_the_same_judgements_give_the_same_bytes(tmp_path: Path, file_format: Format) -> None:
    """The order of the pairs makes no difference."""
    given = many()
    for name, judgements in (("one", given), ("two", given[::-1])):
        write_export(tmp_path / name, rows_by_split(pairs_of(judgements)), file_format)
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("one", "two")
    )
    assert one == two


def test_ties_are_left_out_and_majorities_decide() -> None:
    """A pair's row is the choice of most of its annotators."""
    votes = [("ana", "x", "y"), ("ben", "y", "x"), ("cy", "y", "x")]
    decided = [judged("decided", chosen, rejected, who) for who, chosen, rejected in votes]
    tied = [judged("tied", chosen, rejected, who) for who, chosen, rejected in votes[:2]]
    [row] = [row for rows in rows_by_split(pairs_of(decided + tied)).values() for row in rows]
    assert row == {"prompt": "decided", "chosen": "y", "rejected": "x"}


def test_a_split_without_rows_has_no_file(tmp_path: Path) -> None:
    """Loaders never get an empty file, which has no columns."""
    rows = rows_by_split(pairs_of([judged("prompt", "x", "y")]))
    [path] = write_export(tmp_path / "new" / "pairs", rows, Format.JSONL)
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert path.stem == split_of(content_hash("prompt"))


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    """If the last step fails, neither a partial export nor a temporary folder is left."""
    taken = tmp_path / "pairs"
    taken.mkdir()
    (taken / "mine").touch()
    rows = rows_by_split(pairs_of([judged("prompt", "x", "y")]))
    with pytest.raises(OSError, match="not empty"):
        write_export(taken, rows, Format.JSONL)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"pairs", "pairs/mine"}
