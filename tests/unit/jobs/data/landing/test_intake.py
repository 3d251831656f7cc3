"""The intake of a source that gives the same rows again, like an API without a time filter."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from tidemill_core.domain.split import content_hash
from tidemill_jobs.data.landing.intake import Intake, read_segment
from tidemill_jobs.data.sources.raw_rows import RawRow, Unreadable, checked
from tidemill_jobs.data.sources.source import Batch, Watermark

Row = tuple[str | None, str]


class _List:
    """A source that gives lists of rows, of key and text, as batches."""

    name = "list"
    place = "a list"
    labeled = True

    def __init__(self, *batches: list[Row], watermark: int = 0) -> None:
        self._batches = batches
        self._reached = {"at": watermark}

    def read(self, watermark: Watermark) -> Iterator[Batch]:  # noqa: ARG002 -- gives all each time
        for rows in self._batches:
            found = [_row(key, text) for key, text in rows]
            piece = checked("", found)
            yield Batch(piece.rows, piece.unreadable, self._reached)


def _row(key: str | None, text: str) -> RawRow | Unreadable:
    if text == "broken":
        return Unreadable(f"list#{key}", "WRONG_TYPE", text, key)
    return RawRow(f"list#{key}", key, text, "a")


def _land(folder: Path, source: _List, erased: frozenset[str] = frozenset()) -> list[list[object]]:
    """Land a source; return the texts or rules of each segment."""
    intake = Intake(folder, erased)
    intake.land(source, lambda _done, _doing: None)
    frames = [read_segment(segment) for segment in intake.segments(source.name)]
    return [frame.select(pl.coalesce("text", "rule"))["text"].to_list() for frame in frames]


def test_rows_that_come_again_land_once(tmp_path: Path) -> None:
    """Of rows that are read repeatedly, only changed ones land, readable or not."""
    rows: list[Row] = [("1", "x"), ("2", "y"), ("3", "broken")]
    for _ in range(3):
        assert _land(tmp_path, _List(rows)) == [["x", "y", "WRONG_TYPE"]]
    rows[1:] = [("2", "other"), ("3", "mended"), ("4", "x")]
    for _ in range(2):
        landed = _land(tmp_path, _List(rows[:2], rows[2:]))
        assert landed[1:] == [["other"], ["mended", "x"]]


def test_a_row_that_goes_back_to_what_it_was_lands(tmp_path: Path) -> None:
    """A row is compared with the latest row of its key, not with earlier ones."""
    for text in ("x", "y", "x"):
        landed = _land(tmp_path, _List([("1", text)]))
    assert landed == [["x"], ["y"], ["x"]]
    landed = _land(tmp_path, _List([("1", "x"), ("1", "y")], [("1", "y")], [("1", "x")]))
    assert landed[3:] == [["y"], ["x"]]


def test_rows_without_key_always_land(tmp_path: Path) -> None:
    """Equal lines of a file are different rows."""
    for count in (1, 2):
        landed = _land(tmp_path, _List([(None, "x"), ("1", "x"), (None, "x")]))
        assert sum(map(len, landed)) == 2 * count + 1


def test_a_read_without_news_moves_the_watermark(tmp_path: Path) -> None:
    """Known rows are not requested again."""
    _land(tmp_path, _List([("1", "x")], watermark=1))
    for _ in range(2):
        assert _land(tmp_path, _List([("1", "x")], watermark=2)) == [["x"], []]
    assert Intake(tmp_path).segments("list")[-1].watermark == {"at": 2}


def test_an_erased_text_that_comes_again_lands_once(tmp_path: Path) -> None:
    """It lands once, without its text."""
    for _ in range(2):
        landed = _land(tmp_path, _List([("1", "x")]), frozenset([content_hash("x")]))
        assert landed == [["ERASED"]]
