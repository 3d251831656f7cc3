"""The job `score` over a real Triton: formats, bad rows, outputs and what they hold."""

import csv
import gzip
import json
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from tests.integration.jobs.scoring.conftest import Bench
from tests.integration.server.models import LABELS, POISON, TinyModel
from tidemill_core.errors import NotFound, TidemillError

TEXTS = [" ".join([word] * 8) for word in ("card", "fee", "password", "money")]
QUERY = "SELECT * FROM tickets WHERE id > 1;"
BEST = [LABELS[label] for label in TinyModel(1).offline(TEXTS).argmax(axis=1)]


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Return the rows of an output."""
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return rows
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    content = path.read_bytes()
    text = gzip.decompress(content) if path.suffix == ".gz" else content
    return list(csv.DictReader(text.decode().splitlines()))


def write(path: Path, texts: list[str]) -> None:
    """Write a source in the format of its name, with an id for each row."""
    rows = [{"id": number, "text": text} for number, text in enumerate(texts)]
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        text = "".join(["id,text\n", *(f"{row['id']},{row['text']}\n" for row in rows)])
        packed = gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode()
        path.write_bytes(packed)


@pytest.mark.parametrize("source", ["in.csv", "in.csv.gz", "in.jsonl", "in.parquet"])
@pytest.mark.parametrize("output", ["out.csv", "out.csv.gz", "out.jsonl", "out.parquet"])
def test_every_format_in_and_out(bench: Bench, source: str, output: str) -> None:
    """Each row comes out once, in its order, with its own columns and the prediction's."""
    write(bench.folder / source, TEXTS)
    result = bench.score(source, output)
    rows = rows_of(bench.folder / output)
    assert [(int(row["id"]), row["text"]) for row in rows] == list(enumerate(TEXTS))
    assert [row["prediction_label"] for row in rows] == BEST
    assert all(float(row["prediction_confidence"]) > 0.25 for row in rows)
    assert result["rows"] == result["answered"] == len(TEXTS)
    assert sum(result["labels"].values()) == sum(result["confidence_counts"]) == len(TEXTS)
    assert list(bench.folder.glob(".*")) == []


def test_tables_in_and_out(bench: Bench) -> None:
    """A database's table or query is read, and a table is made in one transaction."""
    path = bench.folder / "tickets.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE tickets (id INTEGER, text TEXT)")
        connection.executemany("INSERT INTO tickets VALUES (?, ?)", list(enumerate(TEXTS)))
        connection.commit()
    url = f"sqlite:///{path}"
    bench.score(f"{url}#tickets", f"{url}#scored")
    bench.score(f"{url}#{QUERY}", "out.jsonl")
    with pytest.raises(TidemillError, match=f"{url}#scored exists already"):
        bench.score(f"{url}#tickets", f"{url}#scored")
    bench.score(f"{url}#tickets", f"{url}#scored", overwrite=True)
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT id, prediction_label FROM scored ORDER BY id").fetchall()
    assert found == list(enumerate(BEST))
    assert [row["id"] for row in rows_of(bench.folder / "out.jsonl")] == [2, 3]


def test_a_database_of_an_environment_variable(
    bench: Bench, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PostgreSQL whose URL is in a variable is read, and gets a table with the types."""
    monkeypatch.setenv("WAREHOUSE_URL", postgres_url)
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE tickets (id uuid, day date, text text)"))
        add = sa.text("INSERT INTO tickets VALUES (gen_random_uuid(), '2026-01-02', :text)")
        connection.execute(add, [{"text": text} for text in TEXTS])
    bench.score("env:WAREHOUSE_URL#public.tickets", "env:WAREHOUSE_URL#scored")
    with pytest.raises(TidemillError, match="exists already"):
        bench.score("env:WAREHOUSE_URL#tickets", "env:WAREHOUSE_URL#scored")
    with engine.begin() as connection:
        rows = connection.execute(sa.text("SELECT day, text, prediction_label FROM scored")).all()
    assert {(text, label) for _, text, label in rows} == set(zip(TEXTS, BEST, strict=True))
    assert {day for day, _, _ in rows} == {date(2026, 1, 2)}
    engine.dispose()


def test_types_of_parquet_survive(bench: Bench) -> None:
    """Types of the input's columns are those of the output, even without values in some rows."""
    table = pa.table(
        {
            "text": TEXTS,
            "day": pa.array([None, date(2026, 1, 2), None, None], pa.date32()),
            "tags": pa.array([["a"], None, [], ["b", "c"]], pa.list_(pa.string())),
            "price": pa.array([1, 2, None, 3], pa.int16()),
            "took": pa.array([5, None, 6, 7], pa.duration("s")),
            "rate": pa.array([0.5, None, float("nan"), 1.0]),
        }
    )
    pq.write_table(table, bench.folder / "in.parquet")
    bench.score("in.parquet", "out.parquet")
    kept = pq.read_table(bench.folder / "out.parquet").select(table.column_names)
    assert kept.drop(["rate"]).equals(table.drop(["rate"]))
    assert kept.schema == table.schema
    bench.score("in.parquet", f"sqlite:///{bench.folder}/x.db#scored")
    with closing(sqlite3.connect(bench.folder / "x.db")) as connection:
        assert connection.execute("SELECT took, tags FROM scored").fetchone() == (
            "0:00:05",
            '["a"]',
        )
    bench.score("in.parquet", "out.jsonl")
    assert [row["rate"] for row in rows_of(bench.folder / "out.jsonl")] == [0.5, None, None, 1.0]
    bench.score("in.parquet", "out.csv")
    assert rows_of(bench.folder / "out.csv")[1]["day"] == "2026-01-02"


def test_bad_rows_stay_with_a_reason(bench: Bench) -> None:
    """A row that cannot be answered is in the output once, with the rule and its place."""
    lines = [
        '{"text": "lost my card"}',
        "{broken",
        '{"text": ""}',
        '{"text": 7}',
        '{"id": 5}',
        '{"text": "\\ud800"}',
        json.dumps({"text": f"my {POISON}"}),
        json.dumps({"text": "card " * 200}),
        '{"text": "a\\u0007b"}',
    ]
    (bench.folder / "in.jsonl").write_text("\n".join(lines))
    result = bench.score("in.jsonl", "out.jsonl")
    rows = rows_of(bench.folder / "out.jsonl")
    place = bench.folder / "in.jsonl"
    wanted = ["BROKEN_JSON", "BLANK_TEXT", "WRONG_TYPE", "BLANK_TEXT", "NOT_UTF8"]
    wanted += ["MODEL_OUTPUT_INVALID", "TEXT_TOO_LONG", "CONTROL_CHARACTERS"]
    found = [row["prediction_error"] for row in rows]
    assert found == [None, *(f"{rule}: {place}:{n}" for n, rule in enumerate(wanted, start=2))]
    assert result["answered"] == 1
    assert result["rows"] == len(lines)
    assert result["errors"]["BLANK_TEXT"] == 2


def test_csv_output_guards_formulas(bench: Bench) -> None:
    """A cell that a spreadsheet would run gets an apostrophe; a number does not."""
    (bench.folder / "in.csv").write_text('note,amount,text\n"=1+1",-12.5,lost my card\n')
    bench.score("in.csv", "out.csv")
    [row] = rows_of(bench.folder / "out.csv")
    assert (row["note"], row["amount"]) == ("'=1+1", "-12.5")


def test_a_broken_quote_costs_one_row(bench: Bench) -> None:
    """A CSV row with broken quotes has an error, and its neighbors have predictions."""
    (bench.folder / "in.csv").write_text('id,text\n1,lost my card\n2,"a"b\n3,refund,4\n4,fee\n')
    bench.score("in.csv", "out.csv")
    errors = [row["prediction_error"] for row in rows_of(bench.folder / "out.csv")]
    assert [error.partition(":")[0] for error in errors] == [
        "",
        "BROKEN_QUOTES",
        "WRONG_COLUMN_COUNT",
        "",
    ]


def test_an_asked_version_abstains_and_answers(bench: Bench) -> None:
    """Another version than the champion can be asked; its threshold decides who abstains."""
    write(bench.folder / "in.csv", TEXTS)
    result = bench.score("in.csv", "out.jsonl", model_version=2)
    rows = rows_of(bench.folder / "out.jsonl")
    best = TinyModel(2).offline(TEXTS).argmax(axis=1)
    assert [row["prediction_label"] for row in rows] == [LABELS[label] for label in best]
    assert [row["prediction_abstained"] for row in rows] == [True] * len(TEXTS)
    assert result["abstained"] == len(TEXTS)


def test_logged_predictions_can_get_feedback(bench: Bench) -> None:
    """With the log, each answered row has the id of a stored prediction; without it, none."""
    write(bench.folder / "in.csv", [*TEXTS, ""])
    bench.score("in.csv", "out.jsonl", log_predictions=True)
    bench.score("in.csv", "plain.jsonl")
    rows = rows_of(bench.folder / "out.jsonl")
    stored = [bench.context.storage.predictions.get(row["prediction_id"]) for row in rows[:-1]]
    assert [one and (one.text, one.label, one.method) for one in stored] == [
        (text, label, "Score") for text, label in zip(TEXTS, BEST, strict=True)
    ]
    assert [one and (one.text_length, one.unknown_pieces) for one in stored] == [(8, 0.0)] * 4
    assert rows[-1]["prediction_id"] is None
    assert "prediction_id" not in rows_of(bench.folder / "plain.jsonl")[0]


@pytest.mark.parametrize("storage", ["memory", "s3"])
def test_a_url_of_fsspec(bench: Bench, storage: str, request: pytest.FixtureRequest) -> None:
    """Input and output may be on any storage that fsspec knows."""
    root = request.getfixturevalue("bucket") if storage == "s3" else "memory://tickets"
    source, output = f"{root}/in.csv", f"{root}/out.jsonl"
    with fsspec.open(source, "w") as file:
        file.write(f"text\n{TEXTS[0]}\n")
    bench.score(source, output)
    with fsspec.open(output) as file:
        assert json.loads(file.read())["prediction_label"] == BEST[0]
    with pytest.raises(TidemillError, match="exists already"):
        bench.score(source, output)


@pytest.mark.parametrize(
    ("source", "output", "options", "message"),
    [
        ("missing.csv", "out.csv", {}, "there is no file"),
        ("in.csv", "out.xlsx", {}, "must end in .csv"),
        ("in.csv", "https://127.0.0.1:1/out.csv", {}, "files can only be read; name a file"),
        ("in.csv", "no/out.csv", {}, "its folder does not exist"),
        ("in.csv", "there.csv", {}, "exists already; add --overwrite"),
        ("in.csv", "in.csv", {"overwrite": True}, "is input and output"),
        ("in.csv", "out.csv", {"text_column": "title"}, "no column 'title'"),
        ("empty.csv", "out.csv", {}, "is empty"),
        ("header.csv", "out.csv", {}, "has no rows"),
        ("scored.csv", "out.csv", {}, "writes a column 'prediction_label'"),
        ("sqlite:///x.db", "out.csv", {}, "names no table"),
        ("sqlite:///x.db#tickets", "out.csv", {}, "sqlite:///x.db#tickets: there is no database"),
        ("env:NO_SUCH_URL#tickets", "out.csv", {}, "NO_SUCH_URL of the jobs is not set"),
        ("late.jsonl", "out.csv", {}, "a later row has 'more'"),
    ],
)
def test_what_cannot_be_scored(
    bench: Bench, source: str, output: str, options: dict[str, Any], message: str
) -> None:
    """An input or output that cannot be used is named, and nothing is written."""
    write(bench.folder / "in.csv", TEXTS)
    (bench.folder / "there.csv").write_text("mine")
    (bench.folder / "empty.csv").write_text("")
    (bench.folder / "header.csv").write_text("text\n")
    (bench.folder / "scored.csv").write_text("text,prediction_label\na,b\n")
    late = ['{"text": "card"}'] * 4096 + ['{"text": "card", "more": 1}']
    (bench.folder / "late.jsonl").write_text("\n".join(late))
    before = sorted(path.name for path in bench.folder.iterdir() if path.name != "var")
    with pytest.raises(TidemillError, match=message):
        bench.score(source, output, **options)
    assert sorted(path.name for path in bench.folder.iterdir() if path.name != "var") == before
    assert (bench.folder / "there.csv").read_text() == "mine"


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("var/private.csv", "out.csv"),
        ("v*/private.csv", "out.csv"),
        ("link.csv", "out.csv"),
        ("in.csv", "var/out.csv"),
        ("in.csv", "file://{folder}/var/out.csv"),
        ("sqlite:///{folder}/var/tidemill.db#api_keys", "out.csv"),
        ("in.csv", "sqlite:///{folder}/var/tidemill.db#scored"),
        ("in.csv", "sqlite:///file://localhost{folder}/var/new.db?uri=true#scored"),
        ("in.csv", "sqlite:///file:{folder}/v%61r/new.db?uri=true#scored"),
        ("in.csv", "sqlite:///file:{folder}/v%2561r/new.db?uri=true#scored"),
        ("sqlite:///{folder}/v%61r/tidemill.db#api_keys", "out.csv"),
        ("in.csv", "sqlite+pysqlite:///{folder}/var%2Fnew.db#scored"),
        ("in.csv", "sqlite:///{folder}/away/../var/new.db#scored"),
        ("env:TIDEMILL_DATABASE_URL#api_keys", "out.csv"),
        ("simplecache::file://{folder}/var/private.csv", "out.csv"),
    ],
)
def test_tidemills_own_files_are_out_of_reach(bench: Bench, source: str, output: str) -> None:
    """Who may run a job for a task reads and writes neither the state nor the models."""
    write(bench.folder / "in.csv", TEXTS)
    (bench.folder / "var").mkdir()
    write(bench.folder / "var" / "private.csv", TEXTS)
    (bench.folder / "link.csv").symlink_to(bench.folder / "var" / "private.csv")
    (bench.folder / "away").symlink_to("/usr/lib")
    with pytest.raises(TidemillError) as caught:
        bench.score(*(each.format(folder=bench.folder) for each in (source, output)))
    assert caught.value.reason in ("PLACE_IS_PRIVATE", "CHAINED_URL")
    assert not (bench.folder / "out.csv").exists()


def test_an_unknown_version(bench: Bench) -> None:
    """A version that does not exist is an error before anything is read."""
    with pytest.raises(NotFound):
        bench.score("missing.csv", "out.csv", model_version=9)
