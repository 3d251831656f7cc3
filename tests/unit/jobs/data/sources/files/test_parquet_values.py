"""The values of Parquet's columns, of any type."""

import io
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.jobs.data.sources.files.reading import NOON, parquet, read_file
from tests.unit.jobs.data.sources.landing import Landing
from tidemill_core.errors import DataError
from tidemill_core.settings import FilesSource
from tidemill_jobs.data.sources import open_source
from tidemill_jobs.data.sources.source import BATCH_ROWS


def test_parquet_s_types_are_brought_into_form(tmp_path: Path) -> None:
    """Integer, boolean and categorical labels, times with and without a zone, and days are read."""
    frame = pl.DataFrame(
        {
            "text": pl.Series(["x", None], dtype=pl.Categorical),
            "label": [3, None],
            "day": [date(2026, 1, 2), None],
            "naive": [NOON.replace(tzinfo=None), None],
            "zoned": pl.Series([NOON, None]).dt.convert_time_zone("Europe/Berlin"),
            "word": ["2026-01-02T12:00Z", None],
        }
    )
    for column in ("naive", "zoned", "word"):
        landing = parquet(tmp_path, frame, time_column=column)
        assert [row["time"] for row in landing.rows] == [NOON, None]
    landing = parquet(tmp_path, frame, time_column="day", annotator_column="label")
    first, second = landing.rows
    assert (first["text"], first["label"], first["annotator"]) == ("x", "3", "3")
    assert first["time"] == NOON.replace(hour=0)
    assert (second["text"], second["label"], second["origin"]) == (
        None,
        None,
        f"{tmp_path}/a.parquet:2",
    )


_NAIVE = NOON.replace(tzinfo=None)


@pytest.mark.parametrize(
    "times",
    [
        *(pa.array([_NAIVE], pa.timestamp("us", zone)) for zone in ("+05:30", "Z", "-03:00")),
        *(pa.array([_NAIVE], pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")),
        pa.array([_NAIVE], pa.timestamp("ns", "Asia/Kolkata")),
        pa.array([_NAIVE], pa.timestamp("us", "Mars/Phobos")),
        pa.array([_NAIVE], pa.timestamp("us", "+05:30")).dictionary_encode(),
        *(pa.array(["2026-01-02T12:00Z"], kind) for kind in (pa.string(), pa.large_string())),
        pa.array(["1767355200"], pa.string_view()),
        pa.array(["1767355200000"]).dictionary_encode(),
        *(pa.array([1767355200], kind) for kind in (pa.int64(), pa.uint32(), pa.float64())),
        pa.array([1767355200000], pa.int64()),
        pa.array([Decimal("1767355200.000")], pa.decimal128(20, 3)),
    ],
    ids=lambda times: str(times.type),
)
def test_parquet_s_times_are_times_however_written(tmp_path: Path, times: pa.Array) -> None:
    """Any time zone, unit or encoding is read; text and numbers follow the common rule."""
    times = pa.concat_arrays([times, pa.nulls(1, times.type)])
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["x", "y"], "label": ["a", "b"], "when": times}), path)
    landing = read_file(path, time_column="when")
    assert [row["time"] for row in landing.rows] == [NOON, None]
    assert landing.unreadable == []


@pytest.mark.parametrize(
    "words",
    [
        *(pa.array(["7"], kind) for kind in (pa.string(), pa.large_string(), pa.string_view())),
        pa.array(["7"]).dictionary_encode(),
        pa.array(["7"], pa.large_string()).dictionary_encode(),
    ],
    ids=lambda words: str(words.type),
)
def test_parquet_s_texts_are_texts_however_encoded(tmp_path: Path, words: pa.Array) -> None:
    """Views, large strings and dictionaries are text, also as label and annotator."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": words, "label": words, "who": words}), path)
    (row,) = read_file(path, annotator_column="who").rows
    assert [row[name] for name in ("text", "label", "annotator")] == ["7", "7", "7"]


@pytest.mark.parametrize(
    "labels",
    [
        pa.array([7]).dictionary_encode(),
        pa.array([7], pa.uint64()),
        pa.array([Decimal(7)], pa.decimal128(10, 0)),
        pa.array([Decimal(7)], pa.decimal256(50, 0)),
    ],
    ids=lambda labels: str(labels.type),
)
def test_parquet_s_whole_numbers_are_labels(tmp_path: Path, labels: pa.Array) -> None:
    """Whole numbers in any encoding are labels."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["x"], "label": labels}), path)
    assert [row["label"] for row in read_file(path).rows] == ["7"]


@pytest.mark.parametrize("kind", [pa.timestamp("ms"), pa.date32()])
def test_a_parquet_time_beyond_all_years_costs_its_row(tmp_path: Path, kind: pa.DataType) -> None:
    """A time after the year 9999 is quarantined, and the next row is read."""
    times = pa.array([10, 1 << 30 if kind == pa.date32() else 1 << 50, None]).cast(pa.int64())
    times = times.cast(pa.int32() if kind == pa.date32() else pa.int64()).view(kind)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["x", "y", "z"], "label": ["a"] * 3, "when": times}), path)
    landing = read_file(path, time_column="when")
    assert landing.unreadable == [("2", "BAD_TIME")]
    assert landing.texts == ["x", "z"]


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (pa.array([b"x"]), "is binary"),
        (pa.array([[1]]), "is list"),
        (pa.ExtensionArray.from_storage(pa.json_(), pa.array(['"x"'])), "json"),
        (pa.array([1.5]), "is double"),
        (pa.array([Decimal("1.5")], pa.decimal256(50, 1)), "is decimal256"),
    ],
)
def test_a_parquet_label_that_is_no_word_is_refused(
    tmp_path: Path, column: pa.Array, told: str
) -> None:
    """The error names the file, the column and the cure."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["x"], "label": column}), path)
    with pytest.raises(DataError, match=r"a\.parquet: column 'label'.*write the label") as caught:
        read_file(path)
    assert (caught.value.reason, told in str(caught.value)) == ("WRONG_COLUMN_TYPE", True)


def test_a_parquet_file_with_damaged_names_is_named(tmp_path: Path) -> None:
    """A damaged file is our error with the file's name, whatever the library raises."""
    out = io.BytesIO()
    pq.write_table(pa.table({"text": ["x"], "label": ["a"], "other": ["y"]}), out)
    path = tmp_path / "a.parquet"
    path.write_bytes(out.getvalue().replace(b"other", b"oth\xffr"))
    with pytest.raises(DataError, match=r"a\.parquet cannot be read") as caught:
        read_file(path)
    assert caught.value.reason == "SOURCE_UNREADABLE"


def test_a_parquet_text_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    """The error names the file, the column and the cure."""
    path = tmp_path / "a.parquet"
    text = pa.array([b"caf\xe9"]).view(pa.string())
    pq.write_table(pa.table({"text": text, "label": ["a"]}), path)
    with pytest.raises(
        DataError, match=r"a\.parquet cannot be read: column 'text'.*write the file again"
    ):
        read_file(path)


@pytest.mark.parametrize(
    ("frame", "reason", "told"),
    [
        ({"text": [1], "label": ["a"]}, "WRONG_COLUMN_TYPE", "column 'text' is int64"),
        ({"text": ["x"], "label": [0.5]}, "WRONG_COLUMN_TYPE", "column 'label' is double"),
        ({"text": [["x"]], "label": ["a"]}, "WRONG_COLUMN_TYPE", "column 'text' is large_list"),
        ({"body": ["x"], "label": ["a"]}, "MISSING_COLUMN", "'text'; it has: body, label"),
        ({"text": [], "label": []}, "NO_ROWS", "no rows"),
    ],
)
def test_parquet_of_other_columns_is_refused(
    tmp_path: Path, frame: dict[str, list[object]], reason: str, told: str
) -> None:
    """A missing column or one of a wrong type is named, with the existing ones."""
    with pytest.raises(DataError, match=r"a\.parquet") as caught:
        parquet(tmp_path, pl.DataFrame(frame))
    assert (caught.value.reason, told in str(caught.value)) == (reason, True)


def test_parquet_that_is_cut_off_is_refused_and_then_read(tmp_path: Path) -> None:
    """A truncated file gives no rows; the complete file gives all."""
    out = io.BytesIO()
    pl.DataFrame({"text": ["x", "y"], "label": ["a", "b"]}).write_parquet(out)
    path, landing = tmp_path / "a.parquet", Landing()
    source = open_source(FilesSource(path=str(path)))
    path.write_bytes(out.getvalue()[:-20])
    assert landing.try_to_read(source) == "SOURCE_UNREADABLE"
    assert landing.rows == []
    path.write_bytes(out.getvalue())
    landing.read(source)
    assert landing.texts == ["x", "y"]


def test_parquet_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    """If each read is cut off after a batch, each row of a large file is read once."""
    count = BATCH_ROWS * 2 + 10
    frame = pl.DataFrame({"text": pl.int_range(count, eager=True).cast(pl.String), "label": "a"})
    frame.write_parquet(tmp_path / "a.parquet", row_group_size=70_000)
    source, watermark, texts = open_source(FilesSource(path=str(tmp_path))), {}, []
    while (batch := next(source.read(watermark), None)) is not None:
        texts.append(batch.rows["text"])
        watermark = batch.watermark
    assert len(texts) == 3
    assert pl.concat(texts).equals(frame["text"])
