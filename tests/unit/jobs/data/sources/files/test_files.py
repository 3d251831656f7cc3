"""Files that appear late, grow, are rewritten or vanish between reads."""

import csv
import io
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.jobs.data.sources.files.reading import Write, csv_of, source_of
from tests.unit.jobs.data.sources.landing import Landing
from tidemill_jobs.data.sources.files import file_source, parquet_file
from tidemill_jobs.data.sources.files.line_stream import MAX_LINE_BYTES
from tidemill_jobs.data.sources.source import BATCH_ROWS, ROWS, UNREADABLE


def _parquet(**columns: list[object]) -> bytes:
    out = io.BytesIO()
    pl.DataFrame(columns).write_parquet(out)
    return out.getvalue()


def test_the_columns_are_those_of_the_contract(tmp_path: Path, write: Write) -> None:
    """Rows and unreadable rows have the declared columns in every format."""
    write("a.csv", 'text,label\nx,a\n"broken,b\n')
    write("b.jsonl", '{"text": "y", "label": true}\n')
    write("c.parquet", _parquet(text=["z"], label=[1]))
    (batch,) = source_of(tmp_path).read({})
    assert dict(batch.rows.schema) == dict(ROWS)
    assert dict(batch.unreadable.schema) == dict(UNREADABLE)
    assert batch.rows["label"].to_list() == ["a", "true", "1"]
    assert json.loads(json.dumps(batch.watermark)) == batch.watermark


def test_an_unchanged_file_is_not_read_again(write: Write) -> None:
    """A second read gives no batch."""
    landing, source = Landing(), source_of(write("a.csv", "text,label\nx,a\n"))
    landing.read(source)
    assert landing.read(source) == []


def test_a_file_that_was_only_touched_gives_no_rows(write: Write) -> None:
    """A new time with unchanged content moves only the watermark."""
    landing = Landing()
    landing.read(source_of(write("a.csv", "text,label\nx,a\nunfinished,b")))
    (batch,) = landing.read(source_of(write("a.csv", "text,label\nx,a\nunfinished,b")))
    assert (len(batch.rows), batch.replaced) == (0, frozenset())
    assert landing.texts == ["x", "unfinished"]


def test_a_file_that_grew_is_read_from_where_it_ended(write: Write) -> None:
    """Only rows after the old end are read, with continuing line numbers."""
    landing = Landing()
    landing.read(source_of(write("a.csv", "text,label\nx,a\n")))
    (batch,) = landing.read(source_of(path := write("a.csv", "text,label\nx,a\ny,b\n")))
    assert batch.rows.select("origin", "text").rows() == [(f"{path}:3", "y")]
    assert batch.replaced == frozenset()


@pytest.mark.parametrize(
    ("before", "after", "texts"),
    [
        ("x,a\ny,b", "x,a\ny,b\nz,a\n", ["x", "y", "z"]),
        ("x,a\ny,b", "x,a\ny,bcd\n", ["x", "y"]),
        ("x,a\nhal", "x,a\nhalf,b\n", ["x", "half"]),
        ('x,a\n"two\n', 'x,a\n"two\nlines",b\n', ["x", "two\nlines"]),
        ("x,a\r", "x,a\r\ny,b\r\n", ["x", "y"]),
    ],
)
def test_an_unfinished_end_is_never_counted_twice(
    write: Write, before: str, after: str, texts: list[str]
) -> None:
    """A last line without an end counts once, in its latest form."""
    landing = Landing()
    landing.read(source_of(write("a.csv", f"text,label\n{before}")))
    landing.read(source_of(write("a.csv", f"text,label\n{after}")))
    assert (landing.texts, landing.unreadable) == (texts, [])
    whole = Landing()
    whole.read(source_of(write("a.csv", f"text,label\n{after}")))
    assert landing.rows == whole.rows


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_rewritten_file_replaces_its_rows(tmp_path: Path, write: Write, name: str) -> None:
    """The new rows replace the old ones; other files' rows stay."""
    landing = Landing()
    write("b.csv", "text,label\nother,b\n")
    for texts in (["one", "two", "three"], ["two", "four"], ["four"]):
        if name == "a.csv":
            write(name, "text,label\n" + "".join(f"{text},a\n" for text in texts))
        else:
            write(name, _parquet(text=texts, label=["a"] * len(texts)))
        landing.read(source_of(tmp_path))
        assert sorted(map(str, landing.texts)) == sorted(["other", *texts])


def test_late_files_are_new_and_vanished_ones_keep_their_rows(tmp_path: Path, write: Write) -> None:
    """The order of files does not matter; removed files keep their rows."""
    landing = Landing()
    vanished = write("b.csv", "text,label\nb,b\n")
    landing.read(source_of(tmp_path))
    vanished.unlink()
    write("a.csv", "text,label\na,a\n")
    landing.read(source_of(tmp_path))
    assert landing.texts == ["b", "a"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet", "a.csv.gz"])
def test_one_empty_file_of_many_is_yet_to_be_written(
    tmp_path: Path, write: Write, name: str
) -> None:
    """An empty file does not stop the others, and keeps its earlier rows."""
    write("b.csv", "text,label\nb,b\n")
    write("c.csv", "text,label\nc,a\n")
    write(name, b"")
    landing, source = Landing(), source_of(tmp_path)
    landing.read(source)
    write("b.csv", b"")
    landing.read(source)
    assert landing.texts == ["b", "c"]
    write("b.csv", "text,label\nnew,b\n")
    landing.read(source)
    assert landing.texts == ["c", "new"]


def test_empty_files_alone_are_no_rows(tmp_path: Path, write: Write) -> None:
    """A source with only empty files is an error."""
    write("a.csv", b"")
    assert Landing().try_to_read(source_of(tmp_path)) == "NO_ROWS"


def test_a_read_that_is_cut_off_goes_on(write: Write) -> None:
    """If a read is killed after any batch, each row is read once, at its place."""
    path = write("a.csv", csv_of(120_000, width=1))
    whole = pl.concat([batch.rows for batch in source_of(path).read({})])
    pieces, watermark = [], {}
    while (batch := next(source_of(path).read(watermark), None)) is not None:
        pieces.append(batch.rows)
        watermark = batch.watermark
    assert (len(whole), len(pieces)) == (120_000, 2)
    assert pl.concat(pieces).equals(whole)


def test_a_file_that_grows_while_it_is_read_loses_nothing(write: Write) -> None:
    """Rows that are added during a read are read once, then or by the next read."""
    path = write("a.csv", "text,label\n" + "x,a\n" * 150_000)
    source = source_of(path)
    reading = source.read({})
    batches = [next(reading)]
    with path.open("a") as file:
        file.write("y,a\n" * 10)
    batches += reading
    batches += source.read(batches[-1].watermark)
    texts = pl.concat([batch.rows for batch in batches])["text"]
    assert texts.value_counts(sort=True).rows() == [("x", 150_000), ("y", 10)]
    assert list(source.read(batches[-1].watermark)) == []


def test_batches_are_bounded(tmp_path: Path, write: Write) -> None:
    """No batch has more than BATCH_ROWS rows, and small files share a batch."""
    write("big.csv", "text,label\n" + "x,a\n" * 250_000)
    for number in range(20):
        write(f"small{number}.csv", "text,label\nx,a\n")
    sizes = [len(batch.rows) for batch in source_of(tmp_path).read({})]
    assert max(sizes) <= BATCH_ROWS
    assert sum(sizes) == 250_020
    assert len(sizes) == 3


def test_long_texts_of_a_parquet_file_take_little_memory(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches of a highly compressed file are bounded in bytes."""
    for module in (file_source, parquet_file):
        monkeypatch.setattr(module, "BATCH_BYTES", 1 << 20)
    texts = [f"{number} {'x' * 9_999}" for number in range(1_000)]
    path = write("a.parquet", _parquet(text=texts, label=["a"] * 1_000))
    assert path.stat().st_size < 1 << 18
    sizes, landing = [], Landing()
    while batches := landing.read(source_of(path), batches=1):
        sizes += [batch.rows.estimated_size() for batch in batches]
    assert max(sizes) < 1.2 * (1 << 20)
    assert landing.texts == texts


def test_a_value_of_any_length_costs_its_row_alone(write: Write) -> None:
    """A text that is too long affects only its row and is not stored."""
    texts = ["x", "y" * (MAX_LINE_BYTES + 1), None, "\u00e9" * (MAX_LINE_BYTES // 2)]
    for times in ([1, 2, 3, 4], ["2026-01-02"] * 4):
        path = write("a.parquet", _parquet(text=texts, label=["a"] * 4, time=times))
        landing, column = Landing(), "time" if isinstance(times[0], str) else ""
        landing.read(source_of(path, time_column=column))
        assert landing.texts == [texts[0], *texts[2:]]
        assert landing.unreadable == [("2", "TEXT_TOO_LONG")]
        assert landing.rows[-1]["value"] == f"a text of {MAX_LINE_BYTES + 1} bytes"


@settings(suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(st.text(alphabet='x ",\n\r\u00e9', max_size=6), min_size=1, max_size=6),
    cuts=st.lists(st.integers(0, 60), max_size=4),
)
def test_growing_anywhere_ends_the_same(write: Write, rows: list[str], cuts: list[int]) -> None:
    """Wherever a growing file was cut in a read, all rows are read in the end."""
    out = io.StringIO()
    csv.writer(out).writerows([("text", "label"), *((text, "label") for text in rows)])
    content = out.getvalue().encode()
    grown, whole = Landing(), Landing()
    for cut in [*sorted(cuts), len(content)]:
        source = source_of(write("a.csv", content[:cut]))
        grown.try_to_read(source)
    whole.read(source)
    assert grown.rows == whole.rows
    assert whole.texts == [text.strip(" ") for text in rows]
