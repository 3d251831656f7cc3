"""Single rows: JSON Lines, Parquet, and values of all types."""

from pathlib import Path

import polars as pl
import pytest

from tests.unit.jobs.data.sources.files.reading import NOON, json_lines, read_file
from tidemill_core.errors import DataError
from tidemill_core.settings import FilesSource
from tidemill_jobs.data.sources import open_source


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ('{"text": "x", "lab', "BROKEN_JSON"),
        ("[" * 100_000, "BROKEN_JSON"),
        ('["x", "a"]', "WRONG_TYPE"),
        ('{"text": 5, "label": "a"}', "WRONG_TYPE"),
        ('{"text": ["x"], "label": "a"}', "WRONG_TYPE"),
        ('{"text": "x", "label": 1.5}', "WRONG_TYPE"),
        ('{"text": "x", "label": {"name": "a"}}', "WRONG_TYPE"),
        ('{"text": "\\ud800", "label": "a"}', "LONE_SURROGATE"),
        (b'{"text": "caf\xe9", "label": "a"}', "NOT_UTF8"),
        (b'{"text": "caf\xe9", ', "NOT_UTF8"),
        ('{"text": "x", "when": "yesterday"}', "BAD_TIME"),
        ('{"text": "x", "when": 1e300}', "BAD_TIME"),
        ('{"text": "x", "when": true}', "BAD_TIME"),
    ],
)
def test_a_damaged_line_costs_itself_alone(tmp_path: Path, line: str | bytes, rule: str) -> None:
    """A damaged line is quarantined with its rule, and its neighbors are read."""
    landing = json_lines(tmp_path, '{"text": "x"}', line, "", '{"text": "y"}', time_column="when")
    assert landing.texts == ["x", "y"]
    assert landing.unreadable == [("2", rule)]
    assert [row["origin"] for row in landing.rows if row.get("text") == "y"] == [
        f"{tmp_path}/a.jsonl:4"
    ]


def test_labels_are_words_whatever_they_were(tmp_path: Path) -> None:
    """Integers become digits and booleans words; a missing label is null."""
    labels = ['"a"', "7", "true", "false", "null"]
    lines = [f'{{"text": "x", "label": {label}}}' for label in labels]
    landing = json_lines(tmp_path, *lines, '{"label": "b"}')
    assert [row["label"] for row in landing.rows] == ["a", "7", "true", "false", None, "b"]
    assert landing.texts == [*["x"] * 5, None]


def test_annotator_and_time_come_along(tmp_path: Path) -> None:
    """ISO 8601 with and without a zone, and seconds, become times in UTC."""
    times = ['"2026-01-02T13:00:00+01:00"', '"2026-01-02T12:00:00"', "1767355200"]
    times += ['"1767355200"', "1767355200000", '"1767355200000"', "1767355200.0", "null"]
    lines = [f'{{"text": "x", "by": "ann", "when": {time}}}' for time in times]
    landing = json_lines(tmp_path, *lines, annotator_column="by", time_column="when")
    assert [row["time"] for row in landing.rows] == [*[NOON] * 7, None]
    assert {row["annotator"] for row in landing.rows} == {"ann"}


def test_a_csv_s_times_are_read_and_checked(tmp_path: Path) -> None:
    """An empty time is missing; an invalid one quarantines its row."""
    path = tmp_path / "a.csv"
    path.write_text(
        "text,label,when\nx,a,2026-01-02 12:00\ny,a,\nz,a,noon\nv,a, 1767355200000\nw,a,2026\n"
    )
    landing = read_file(path, time_column="when")
    assert [row["time"] for row in landing.rows if "time" in row] == [NOON, None, NOON]
    assert landing.unreadable == [("4", "BAD_TIME"), ("6", "BAD_TIME")]


@pytest.mark.parametrize("name", ["a.tsv", "a.TSV.gz.csv"])
def test_the_delimiter_follows_the_suffix(tmp_path: Path, name: str) -> None:
    """A .tsv file has tabs and others have commas; the setting overrides both."""
    path = tmp_path / name
    path.write_text("text\tlabel\nx, y\ta\n")
    values = {} if name.endswith(".tsv") else {"delimiter": "\t"}
    assert read_file(path, **values).texts == ["x, y"]


def test_rows_without_labels_have_none(tmp_path: Path) -> None:
    """An empty label_column makes a source without labels, of any columns."""
    path = tmp_path / "a.csv"
    path.write_text('text,label\nx,a\n"y\nz",b\n')
    source = open_source(FilesSource(path=str(path), label_column=""))
    assert not source.labeled
    (batch,) = source.read({})
    assert batch.rows.select("text", "label").rows() == [("x", None), ("y\nz", None)]


_OURS = ("row", "part", "key", "origin", "number", "rule", "value", "time", "found", "length")


@pytest.mark.parametrize("name", _OURS)
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_columns_may_be_named_as_our_own(tmp_path: Path, suffix: str, name: str) -> None:
    """A column with one of our internal names has no special meaning."""
    frame = pl.DataFrame({"text": ["x"], "label": ["a"], name: ["y"]})
    path = tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        frame.write_parquet(path)
    elif suffix == "csv":
        frame.write_csv(path)
    else:
        frame.write_ndjson(path)
    assert read_file(path).texts == ["x"]
    (row,) = read_file(path, text_column=name, annotator_column=name).rows
    assert (row["text"], row["label"], row["annotator"]) == ("y", "a", "y")


def test_an_error_names_a_few_columns_of_many(tmp_path: Path) -> None:
    """The message can be shown for any number and any names of columns."""
    names = ", ".join(f'"c{n}": 1' for n in range(1000))
    with pytest.raises(DataError, match=r"it has: .ud800, c0, c1, .*, and others") as caught:
        json_lines(tmp_path, f'{{"\\ud800": 1, {names}}}')
    assert len(str(caught.value).encode()) < 1000
