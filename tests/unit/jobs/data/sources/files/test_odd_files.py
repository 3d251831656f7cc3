"""Compressed files, lines of any length, and files that cannot be used."""

import bz2
import gzip
import lzma
import tracemalloc

import pyarrow as pa
import pytest

from tests.unit.jobs.data.sources.files.reading import Write, csv_of, source_of
from tests.unit.jobs.data.sources.landing import Landing
from tidemill_core.errors import DataError
from tidemill_jobs.data.sources.files.line_stream import MAX_LINE_BYTES

COMPRESSORS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
}


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_compressed_files_are_read_on_too(write: Write, suffix: str) -> None:
    """Each compression is read; a rewritten file with more rows counts as grown."""
    landing, compress = Landing(), COMPRESSORS[suffix]
    landing.read(source_of(write(f"a.csv.{suffix}", compress(b"text,label\nx,a\n"))))
    path = write(f"a.csv.{suffix}", compress(b"text,label\nx,a\ny,b\n"))
    (batch,) = landing.read(source_of(path))
    assert batch.rows["origin"].to_list() == [f"{path}:3"]
    assert landing.texts == ["x", "y"]


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_a_compressed_file_that_is_cut_off_is_reported(write: Write, suffix: str) -> None:
    """A truncated file is an error, and no row counts twice once it is complete."""
    content = csv_of(20_000, width=60).encode()
    whole = COMPRESSORS[suffix](content)
    landing = Landing()
    source = source_of(write(f"a.csv.{suffix}", whole[: len(whole) * 9 // 10]))
    assert landing.try_to_read(source) == "SOURCE_UNREADABLE"
    landed = len(landing.rows)
    landing.read(source_of(write(f"a.csv.{suffix}", whole)))
    assert landed < len(landing.rows) == 20_000
    assert len({row["origin"] for row in landing.rows}) == 20_000


def test_a_line_of_any_length_costs_itself_alone(write: Write) -> None:
    """A line of 100 MB is quarantined without using more memory."""
    with (path := write("a.csv", b"")).open("wb") as file:
        file.write(b"text,label\nx,a\n")
        for _ in range(100):
            file.write(b"y" * (1 << 20))
        file.write(b",b\nz,a\n")
    landing = Landing()
    tracemalloc.start()
    landing.read(source_of(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert landing.texts == ["x", "z"]
    assert landing.unreadable == [("3", "LINE_TOO_LONG")]
    assert len(str(landing.rows[-1]["value"])) == 200
    assert peak < 40 << 20


def test_long_lines_between_rows_are_all_reported(write: Write) -> None:
    """All rows between long lines are read, with the right line numbers."""
    long = "y" * (MAX_LINE_BYTES + 1)
    landing = Landing()
    landing.read(source_of(write("a.csv", f"text,label\n{long}\nx,a\n{long}\n{long}\nz,b\n{long}")))
    assert [row["origin"][-2:] for row in landing.rows if "text" in row] == [":3", ":6"]
    assert [line for line, _ in landing.unreadable] == ["2", "4", "5", "7"]


@pytest.mark.parametrize(
    ("name", "content", "reason", "told"),
    [
        ("a.csv", b"", "EMPTY_FILE", "empty"),
        ("a.csv", b"text,label\n", "NO_ROWS", "no rows"),
        ("a.csv", b"text;label\nx;a\n", "MISSING_COLUMN", "set delimiter = ';'"),
        ("a.csv", b"body,label\nx,a\n", "MISSING_COLUMN", "no column 'text'; it has: body, label"),
        ("a.csv", b"Where is my card?,card\nx,a\n", "MISSING_COLUMN", "looks like a row; name"),
        ("a.csv", b"Where is my card?;card\nx;a\n", "MISSING_COLUMN", "a row; set delimiter = ';'"),
        ("a.csv", b"t\xe9xt,text,label\nx,a\n", "NOT_UTF8", "line 1"),
        ("a.csv", "text,label\nx,a\n".encode("utf-16"), "NOT_UTF8", "save the file as UTF-8"),
        ("a.csv", b"y" * (2 << 20), "BROKEN_HEADER", "too long"),
        ("a.csv.gz", b"text,label\nx,a\n", "SOURCE_UNREADABLE", "a.csv.gz"),
        ("a.jsonl", b"", "EMPTY_FILE", "empty"),
        (
            "a.jsonl",
            b'{"body": "x"}\n{"b": 1}\n',
            "MISSING_COLUMN",
            "no column 'text'; it has: body, b",
        ),
        ("a.jsonl", '{"text": "x"}'.encode("utf-16-le"), "NOT_UTF8", "save the file as UTF-8"),
        ("a.parquet", b"", "EMPTY_FILE", "empty"),
        ("a.parquet", b"PAR1 and then nothing", "SOURCE_UNREADABLE", "cut off"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    write: Write, name: str, content: bytes, reason: str, told: str
) -> None:
    """The error has its reason and names the file and the problem."""
    with pytest.raises(DataError, match=r"a\.") as caught:
        Landing().read(source_of(write(name, content)))
    assert caught.value.reason == reason
    assert told in str(caught.value)
    assert "Where is" not in str(caught.value)
