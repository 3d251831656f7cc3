"""The output of `tidemill init`, read by the job that builds datasets."""

import bz2
import gzip
import io
import json
import lzma
from collections.abc import Callable
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from tests.integration.jobs.data.building import build
from tidemill_cli.main import run
from tidemill_core.settings import load_settings
from tidemill_jobs.context import JobContext

ROWS = [("d\u00e9j\u00e0 vu, twice", "one"), ('he said "no"', "two"), ("two\nlines", "two")]


def _csv(delimiter: str) -> bytes:
    cells = ([cell.replace('"', '""') for cell in row] for row in ROWS)
    lines = [delimiter.join(f'"{cell}"' for cell in row) for row in cells]
    return "\n".join([delimiter.join(("text", "label")), *lines, ""]).encode()


def _jsonl() -> bytes:
    return "".join(json.dumps({"text": t, "label": n}) + "\n" for t, n in ROWS).encode()


def _parquet() -> bytes:
    target = io.BytesIO()
    pl.DataFrame(ROWS, schema=["text", "label"], orient="row").write_parquet(target)
    return target.getvalue()


def _zstandard(content: bytes) -> bytes:
    target = pa.BufferOutputStream()
    with pa.CompressedOutputStream(target, "zstd") as stream:
        stream.write(content)
    return target.getvalue().to_pybytes()


def _as(encoding: str) -> bytes:
    return _csv(",").decode().encode(encoding)


@pytest.mark.parametrize(
    ("name", "make", "options"),
    [
        ("a.csv", lambda: _csv(","), []),
        ("a.CSV", lambda: b"\xef\xbb\xbf" + _csv(","), []),
        ("a [1].tsv", lambda: _csv("\t"), []),
        ("a.csv", lambda: _csv(";"), ["--delimiter", ";"]),
        ("a.txt", lambda: _csv("\t"), ["--delimiter", "\\t"]),
        ("a.jsonl", _jsonl, []),
        ("a.data", _jsonl, ["--format", "jsonl"]),
        ("a.parquet", _parquet, []),
        ("a.data", _parquet, ["--format", "parquet"]),
        ("a.csv.gz", lambda: gzip.compress(_csv(",")), []),
        ("a.tsv.bz2", lambda: bz2.compress(_csv("\t")), []),
        ("a.jsonl.xz", lambda: lzma.compress(_jsonl()), []),
        ("a.csv.zst", lambda: _zstandard(_csv(",")), []),
        ("a.csv", lambda: _as("cp1252"), ["--encoding", "cp1252"]),
        ("a.csv", lambda: _as("utf-16"), ["--encoding", "utf-16"]),
        ("a.csv", lambda: _as("utf-16"), ["--encoding", "u16"]),
        ("a.csv", lambda: _as("utf-32"), ["--encoding", "UTF32"]),
        ("a.csv.gz", lambda: gzip.compress(_as("utf-16")), ["--encoding", "utf-16"]),
    ],
)
@pytest.mark.parametrize("place", ["desk", "."])
def test_the_job_reads_what_init_looked_at(
    name: str,
    make: Callable[[], bytes],
    options: list[str],
    place: str,
    context: JobContext,
    tmp_path: Path,
) -> None:
    """Each format of sources gives a dataset of exactly the file's rows."""
    (tmp_path / name).write_bytes(make())
    with chdir(tmp_path):
        assert run(["init", place, "--data", name, *options]) == 0
    expected = [(" ".join(text.split()), label) for text, label in ROWS]  # as cleaning leaves them
    assert _built(tmp_path / place, context) == sorted(expected)


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t", " "])
@pytest.mark.parametrize("header", ["text, label", '"text" ,\t"label"\u00a0', "\n text\t,label "])
@pytest.mark.parametrize(
    "row", ['"money back", "refund"', ' "money back"\u00a0,\t"refund"\t', '"money back",refund ']
)
def test_the_job_and_init_read_padding_alike(
    row: str,
    header: str,
    delimiter: str,
    context: JobContext,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither counts padding as part of a field, in header and rows, with or without quotes."""
    content = "\n".join([header, row, 'two\u00a0words,"refund"', '"two\nlines" , "late"\u00a0', ""])
    if delimiter in "\t ":  # which separates then, and pads no more
        content = content.replace(delimiter, "\u00a0")
    content = content.replace(",", delimiter)
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")
    with chdir(tmp_path):
        assert run(["init", "desk", "--data", "a.csv", "--delimiter", delimiter, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["labels"] == 2
    expected = [("money back", "refund"), ("two words", "refund"), ("two lines", "late")]
    assert _built(tmp_path / "desk", context) == sorted(expected)


def _built(workspace: Path, context: JobContext) -> list[tuple[str, str]]:
    """Return the texts and labels of a build from the settings in a folder."""
    with chdir(workspace):
        context = replace(context, settings=load_settings())
        version = build(context).dataset_version
    folder = context.settings.state_dir / "datasets" / "support" / version
    return sorted(pl.read_parquet(folder / "examples.parquet").select("text", "label").rows())
