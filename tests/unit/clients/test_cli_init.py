"""`tidemill init`."""

import bz2
import gzip
import json
import lzma
import os
import tomllib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.plugins import small_disk
from tidemill_cli.main import run
from tidemill_core.settings import Settings

CSV = "message,topic\nWhere is my card?,delivery\nI want a refund,refund\n"


def test_init_copies_a_csv_and_writes_settings_that_load(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The new workspace has its own copy of the CSV, and its settings name its columns."""
    odd = 'odd "name" \x7f\U0001f600.csv'
    (workspace / odd).write_text(CSV)
    columns = ["--text-column", "message", "--label-column", "topic"]
    assert run(["init", "desk", "--csv", odd, *columns, "--task", "desk"]) == 0
    printed = capsys.readouterr()
    assert "2 examples with 2 labels" in printed.err
    assert printed.out.split("\n")[:2] == ["  cd desk", "  tidemill up"]
    monkeypatch.chdir(workspace / "desk")
    (source,) = Settings().tasks["desk"].sources
    assert Path(source.path).read_text() == CSV
    assert (source.text_column, source.label_column) == ("message", "topic")


def test_init_refers_to_a_csv_that_lies_in_the_workspace(workspace: Path) -> None:
    """A CSV inside the folder is not copied."""
    (workspace / "tickets.csv").write_text(CSV)
    columns = ["--text-column", "message", "--label-column", "topic"]
    assert run(["init", "--csv", "tickets.csv", *columns]) == 0
    written = tomllib.loads((workspace / "tidemill.toml").read_text())
    assert written["tasks"]["support"]["sources"][0]["path"] == "tickets.csv"
    assert not (workspace / "data").exists()


def test_init_without_a_csv_writes_an_example(workspace: Path) -> None:
    """The example has enough rows of each label to learn from."""
    assert run(["init", "demo"]) == 0
    rows = (workspace / "demo" / "data" / "example.csv").read_text().splitlines()[1:]
    labels = [row.rpartition(",")[2] for row in rows]
    assert all(labels.count(label) >= 10 for label in set(labels))


def test_init_refuses_a_folder_where_nothing_can_be_kept(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The refusal comes before anything is written."""
    assert run(["init", "/".join(["long" * 40] * 3)]) == 2
    assert "choose a folder with a shorter path" in capsys.readouterr().err
    assert list(workspace.iterdir()) == []


def test_init_overwrites_nothing(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second init in a folder is refused and leaves the first one's file unchanged."""
    assert run(["init"]) == 0
    (workspace / "tidemill.toml").write_text("# mine\n")
    assert run(["init"]) == 2
    assert "already exists" in capsys.readouterr().err
    assert (workspace / "tidemill.toml").read_text() == "# mine\n"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("a,b\n1,2\n", "no column 'text': name one with --text-column; its columns are a, b"),
        ("", "is empty"),
        ("text,label\n", "no row with a text and a label"),
        ("text,label\nhello,same\nthere,same\n", "'same' is the only label in 'label', in 2 of 2"),
        ("text,label\na,x,\nb,y\n", "'y' is the only label in 'label', in 1 of 2 rows"),
        ("text,label\n ,x\nhello,\n", "no row with a text and a label"),
        ("text,text,label\na,b,c\n", "several columns 'text'"),
        ("text;label\na;b\n", "between its columns, as in --delimiter ';'"),
        ("text\tlabel\na\tb\n", "as in --delimiter '\\t'"),
        ('text,label\nhello,x\n"never closed,y\nmore,z\n', "line 3: the quotes of the row"),
        ('text,label\n"a" b,x\n', "line 2: the quotes of the row"),
        ("text,label\nd\u00e9j\u00e0,x\n".encode("latin-1"), "line 2: not UTF-8;"),
        ("d\u00e9j\u00e0,label\nz,x\n".encode("latin-1"), "line 1: not UTF-8"),
        ("text,label\na,b\n".encode("utf-16"), "UTF-16: add --encoding utf-16"),
        ("text,label\na,b\n".encode("utf-16-le"), "UTF-16: add --encoding utf-16"),
        ("text,label\na,b\n".encode("utf-16-be"), "UTF-16: add --encoding utf-16"),
    ],
)
def test_init_refuses_a_csv_that_nothing_can_be_learned_from(
    content: str | bytes, complaint: str, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The refusal says what is wrong with the CSV, and nothing is written."""
    (workspace / "bad.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    assert run(["init", "new", "--csv", "bad.csv"]) == 2
    assert complaint in capsys.readouterr().err
    assert not (workspace / "new").exists()


def test_init_counts_the_rows_that_no_model_learns_from(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows without a text or a label, or with another number of columns, are mentioned."""
    (workspace / "rows.csv").write_text("text,label\na,x\nb,y\n,x\nc,\nd,x,\n\n")
    assert run(["init", "new", "--data", "rows.csv"]) == 0
    printed = capsys.readouterr()
    assert "without a text or label or unreadable: 3 rows" in printed.out + printed.err


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Where is it?", "'Where is it?'"),
        ("I don't know", '"I don\'t know"'),
        ("isn't $HOME", "'isn'\"'\"'t $HOME'"),
    ],
)
def test_the_example_is_quoted_as_people_do(
    text: str, word: str, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An apostrophe is in double quotes, unless the shell would read more than that there."""
    (workspace / "rows.csv").write_text(f"text,label\n{text},x\nb,y\n")
    assert run(["init", "new", "--data", "rows.csv", "--task", "desk"]) == 0
    assert f"tidemill predict desk {word}   # another" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.jsonl", b'{"text": "a", "label": "x"}\n[1]\n', "line 2: not a JSON object"),
        ("a.jsonl", b'{"text": "a"\n', "line 1: not JSON: Expecting ',' delimiter\n"),
        ("a.jsonl", b'{"text": "a", "label": 0.5}\n', "a label is text, a whole number"),
        ("a.json", b'[{"text": "a", "label": "x"}]\n', "one object per line"),
        ("a.xlsx", b"PK\x03\x04", "save it as CSV"),
        ("a.ndjson", b'{"body": "a", "label": "x"}\n', "no column 'text'"),
        ("a.jsonl", b"", "no row with a text"),
        ("a.parquet", b"PAR1 not at all", "a.parquet cannot be read"),
        ("a.csv.gz", b"not gzip", "a.csv.gz cannot be read"),
        ("a.csv", b"PK\x03\x04\x14\0\0\0", "but a ZIP archive, as spreadsheets are: unpack it"),
        (
            "a.csv",
            gzip.compress(b"text,label\n", mtime=0),
            "but compressed: its name must end in .gz",
        ),
        ("a.csv", bz2.compress(b"text,label\n"), "but compressed: its name must end in .bz2"),
        ("a.csv", lzma.compress(b"text,label\n"), "but compressed: its name must end in .xz"),
        ("a.csv", b"PAR1\x15\x04\x15", "but Parquet: add --format parquet"),
        ("a.csv", b"ARROW1\0\0\xff\xff", "but binary: save it as CSV, JSON Lines or Parquet"),
        ("a.tar.gz", gzip.compress(b"a.csv\0\0\0\0", mtime=0), "but binary: save it as CSV"),
        ("a.csv", "text,label\n".encode("utf-16-le"), "UTF-16: add --encoding utf-16-le"),
        ("a.csv", "text,label\n".encode("utf-16-be"), "UTF-16: add --encoding utf-16-be"),
        ("a.csv", "text,label\n".encode("utf-32"), "UTF-32: add --encoding utf-32"),
        ("a.csv", b"  \n", "a.csv is empty"),
        ("a.csv", b"text^label\na^b\n", "or the character between its columns with --delimiter"),
        ("a.csv", b"x" * 5000 + b"\na\n", "its columns are xxxxxxxx"),
        ("a.jsonl", b'{"text": "a", "label": ' + b"9" * 5000 + b"}\n", "value has 5000 digits\n"),
        ("missing.csv", None, "missing.csv cannot be read: No such file"),
    ],
)
def test_init_refuses_files_that_are_not_what_they_say(
    name: str,
    content: bytes | None,
    complaint: str,
    workspace: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """JSON Lines, Parquet and compressed files are checked like CSV, without a library's error."""
    if content is not None:
        (workspace / name).write_bytes(content)
    assert run(["init", "new", "--data", name]) == 2
    printed = capsys.readouterr().err
    assert complaint in printed
    assert len(printed.splitlines()) == 1
    assert len(printed) < 300
    assert not (workspace / "new").exists()


@pytest.mark.parametrize(
    "labels",
    [
        ("caf\u00e9", "cafe\u0301"),
        ("caf\u00e9", "caf\u00c3\u00a9"),
        ("a b", "a \u00a0 b"),
        ("a", "\u200b"),
        ("a", "b\u0007"),
    ],
)
def test_init_counts_labels_as_builds_clean_them(
    labels: tuple[str, str], workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two spellings of one label are one, and a label that a build quarantines does not count."""
    rows = "".join(f"text {n},{label}\n" for n, label in enumerate(labels))
    (workspace / "a.csv").write_text(f"text,label\n{rows}", encoding="utf-8")
    assert run(["init", "new", "--data", "a.csv"]) == 2
    assert "is the only label in 'label'" in capsys.readouterr().err


def test_init_reads_no_pipe(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe can be read only once, so its rows would be checked and lost."""
    os.mkfifo(workspace / "pipe")
    assert run(["init", "new", "--data", "pipe"]) == 2
    assert "pipe is a pipe or a device: save its content as a file first" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--encoding", "cp1252"]])
def test_a_full_disk_gets_no_part_of_a_workspace(
    options: list[str], workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error has the system's reason, and the command works again once there is room."""
    rows = "".join(f"text number {n},{n % 2}\n" for n in range(1000))
    (workspace / "a.csv").write_text(f"text,label\n{rows}")
    small = workspace / "small"
    with small_disk.mounted(small):
        small_disk.fill(small)
        (small / "filler-1").unlink()
        (small / "filler-2").unlink()
        (small / "filler-3").unlink()
        command = ["init", "small/new", "--data", "a.csv", *options]
        for _ in range(2):
            assert run(command) == 2
            assert "cannot be written: No space left on device" in capsys.readouterr().err
        small_disk.clear(small)
        assert run(command) == 0


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--label-column", ""], "--label-column '': name the column with the labels"),
        (["--text-column", "topic", "--label-column", "topic"], "both name 'topic'"),
        (["--delimiter", "||"], "--delimiter '||'"),
        (["--encoding", "klingon"], "there is no encoding 'klingon'"),
        (["--encoding", "ascii"], "line 2: not ASCII"),
    ],
)
def test_init_refuses_options_that_cannot_be(
    options: list[str], complaint: str, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the option."""
    (workspace / "a.csv").write_text("text,label\nd\u00e9j\u00e0,x\nb,y\n", encoding="utf-8")
    assert run(["init", "new", "--data", "a.csv", *options]) == 2
    assert complaint in capsys.readouterr().err
    assert not (workspace / "new").exists()


@pytest.mark.parametrize("task", ["Support", "1st", "a b", "", "x" * 41])
def test_init_refuses_what_cannot_be_a_tasks_name(task: str, workspace: Path) -> None:
    """A task's name has lower-case letters, digits and underscores, and starts with a letter."""
    assert run(["init", "new", "--task", task]) == 2
    assert not (workspace / "new").exists()


def test_init_tells_scripts_what_it_wrote(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --json, stdout is one document with the path of the settings file, which exists."""
    assert run(["init", "demo", "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert written["task"] == "support"
    assert written["examples"] >= written["labels"] * 10
    assert (workspace / written["settings"]).is_file()


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
@pytest.mark.parametrize("labels", [[0, 1], [False, True]])
def test_init_counts_labels_as_the_source_reads_them(
    name: str, labels: list[int], workspace: Path
) -> None:
    """Zero and false are labels."""
    rows = pa.table({"text": ["a", "b"], "label": labels})
    if name.endswith(".jsonl"):
        lines = "".join(json.dumps(row) + "\n" for row in rows.to_pylist())
        (workspace / name).write_text(lines, encoding="utf-8")
    else:
        pq.write_table(rows, workspace / name)
    assert run(["init", "new", "--data", name]) == 0


@pytest.mark.parametrize("zone", ["+05:30", "Z", "Mars/Phobos"])
def test_init_takes_parquet_with_any_time_zone(zone: str, workspace: Path) -> None:
    """A time zone that polars does not know stops no one."""
    times = pa.array([0, 1], pa.timestamp("us", zone))
    pq.write_table(pa.table({"text": ["a", "b"], "label": ["x", "y"], "at": times}), "a.parquet")
    assert run(["init", "new", "--data", "a.parquet"]) == 0
    assert (workspace / "new" / "tidemill.toml").exists()
