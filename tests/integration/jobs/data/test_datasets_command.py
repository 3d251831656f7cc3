"""The command `tidemill datasets` in a workspace with built versions."""

import json
import re
from contextlib import chdir
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import delete

from tests.integration.jobs.data.building import build
from tests.integration.jobs.data.three_versions import ODD_LABEL, SECOND, Tidemill, ids
from tidemill_cli.main import run
from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.settings import load_settings
from tidemill_core.storage.schema import dataset_versions
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.publishing.dataset import read_dataset


def test_a_difference_names_rows_and_shares(
    versions: list[DatasetVersion], tidemill: Tidemill
) -> None:
    """Added, removed and relabeled rows are shown; the largest change has the longest bar."""
    first, second, third = ids(versions)
    found = json.loads(tidemill("diff", first, second, "--rows", "3", "--json"))
    assert (found["base_row_count"], found["row_count"]) == (4, 4)
    assert (found["rows_in"], found["rows_out"], found["relabelled"]) == (1, 1, 1)
    assert found["rows"] == {
        "rows_in": [{"label": "app", "text": "an app that crashes at night"}],
        "rows_out": [{"label": "card", "text": "nobody can log in today"}],
        "relabelled": [
            {"label": "money", "base_label": "refund", "text": "when do I see the refund"}
        ],
    }
    moved = {each["label"]: each["share"] - each["base_share"] for each in found["label_changes"]}
    assert moved == {"app": 0.25, "card": -0.25, "money": 0.25, "refund": -0.25}
    told = tidemill("diff", first, second, "--rows", "1")
    assert "1 in, 1 out, 1 relabeled" in told
    assert "nobody can log in today" in told
    bars = {
        line.split()[0]: line.count("█") for line in tidemill("diff", second, third).splitlines()
    }
    assert bars["card"] > bars["app"] > 0
    assert json.loads(tidemill("diff", first, first, "--json"))["label_changes"] == []


def test_what_cannot_be_compared_is_said(
    versions: list[DatasetVersion], tidemill: Tidemill
) -> None:
    """An unknown or ambiguous id and a damaged version are errors with a cure."""
    first, second, _ = ids(versions)
    for wrong in ("0" * 8, first[:7], "../../..", "*", ""):
        assert "DATASET_MISSING" in tidemill("diff", wrong, second, ends_with=2)
    twin = Path(versions[0].uri).with_name(first + "0" * 56)
    twin.mkdir()
    (twin / "manifest.json").write_text("[]", encoding="utf-8")
    assert "DATASET_AMBIGUOUS" in tidemill("show", first, ends_with=2)
    assert "DATASET_DAMAGED" in tidemill("show", twin.name, ends_with=2)
    path = Path(versions[0].uri) / "examples.parquet"
    path.write_bytes(path.read_bytes()[:50])
    told = tidemill("diff", versions[0].dataset_version, second, ends_with=2)
    assert str(path) in told
    assert "DATASET_DAMAGED" in told
    told = tidemill("diff", first, second, "--rows", "1", "--address", "nobody:1", ends_with=2)
    assert "leave out --address" in told


def test_a_profile_is_kept_and_shown(versions: list[DatasetVersion], tidemill: Tidemill) -> None:
    """The newest version is shown with lengths, sources, agreement and excluded rows' places."""
    profile = json.loads((Path(versions[2].uri) / "manifest.json").read_text())["profile"]
    assert profile["agreement"] == {"texts": 2, "agreed": 1}
    assert profile["lengths"]["min"] == len("when do I see the refund")
    assert profile["lengths"]["max"] == len("an app that crashes at night")
    assert profile["length_counts"] == [{"from": 16, "to": 31, "rows": 5}]
    missing = profile["excluded"]["NULL_TEXT"]
    assert (missing["outcome"], missing["rows"]) == ("quarantined", 1)
    assert missing["places"][0].endswith("train.csv:9")
    shown = json.loads(tidemill("show", "--json"))
    assert shown["dataset_version"] == versions[2].dataset_version
    assert shown["profile"] == profile
    told = tidemill("show")
    for said in ("50.0 % of 2 texts", "CONTRADICTORY_LABELS", "train.csv:9", "16 to 31", ODD_LABEL):
        assert said in told
    (source,) = versions[2].source_counts
    assert f"{source}  {sum(versions[2].source_counts[source].values())} " in told


def test_a_repeated_build_is_the_last(
    versions: list[DatasetVersion], tidemill: Tidemill, context: JobContext
) -> None:
    """The time of the last build is the catalog's; without one, it is not known."""
    newest = versions[2]
    later = newest.build_time + timedelta(days=1)
    context.storage.datasets.add(replace(newest, build_time=later))
    shown = json.loads(tidemill("show", "--json"))
    assert datetime.fromisoformat(shown["build_time"]) == later
    assert f"last built       {later:%Y-%m-%d %H:%M:%S} UTC" in tidemill("show")
    with context.storage.database.write() as connection:
        connection.execute(delete(dataset_versions))
    assert json.loads(tidemill("show", "--json"))["build_time"] is None
    assert "last built" not in tidemill("show")


def test_labeling_functions_are_shown(versions: list[DatasetVersion], tidemill: Tidemill) -> None:
    """The report of each function is a row of a table, with or without measurements."""
    path = Path(versions[0].uri) / "manifest.json"
    manifest = json.loads(path.read_text())
    measured = {"function": "asks_for_money", "labels": ["refund"], "coverage": 0.25}
    manifest["labeling_functions"] = [measured | {"accuracy": None}, measured | {"accuracy": 1.0}]
    path.write_text(json.dumps(manifest), encoding="utf-8")
    told = tidemill("show", versions[0].dataset_version)
    assert re.search(r"^asks_for_money +refund +0\.250 +1\.000 *$", told, re.MULTILINE)


def test_no_text_is_in_a_manifest(versions: list[DatasetVersion]) -> None:
    """No file in the version's folder but the rows has a text."""
    said = (Path(versions[2].uri) / "manifest.json").read_text()
    texts = [line.split(",")[0] for line in SECOND.splitlines()[1:]]
    assert [text for text in texts if text and text in said] == []


def test_a_page_holds_all_it_needs(
    versions: list[DatasetVersion], tidemill: Tidemill, tmp_path: Path
) -> None:
    """The page has plots, no script and no external files; data is escaped."""
    tidemill("show", versions[0].dataset_version, "--html", "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 5  # three classes, a label source, a class of lengths
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in page
    assert "<script" not in page
    assert not {"http:", "https:", "src=", "url("} & set(page.split('"'))
    assert "must end in .html" in tidemill("show", "--html", "page.txt", ends_with=2)


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "csv"])
def test_rows_are_exported_whole_or_not_at_all(
    versions: list[DatasetVersion], tidemill: Tidemill, tmp_path: Path, suffix: str
) -> None:
    """A file has a split's rows; an existing file is only replaced on request."""
    read = {"parquet": pl.read_parquet, "jsonl": pl.read_ndjson, "csv": pl.read_csv}[suffix]
    version, name = versions[0].dataset_version, f"rows.{suffix}"
    rows = read_dataset(versions[0].uri)
    done = json.loads(tidemill("export", version, name, "--split", "train", "--json"))
    found: Any = read(tmp_path / name)
    kept = rows.filter(pl.col("split") == "train")
    assert done["rows"] == len(kept)
    assert found.select("text", "label", "text_hash").equals(
        kept.select("text", "label", "text_hash")
    )
    (tmp_path / name).write_text("mine", encoding="utf-8")
    assert "--force" in tidemill("export", version, name, ends_with=2)
    assert (tmp_path / name).read_text() == "mine"
    tidemill("export", version, name, "--force")
    assert len(read(tmp_path / name)) == len(rows)
    before = sorted(tmp_path.iterdir())
    assert "must end in" in tidemill("export", version, "rows.xlsx", ends_with=2)
    assert "cannot be written" in tidemill("export", version, f"none/{name}", ends_with=2)
    assert sorted(tmp_path.iterdir()) == before


FORMULAS = (
    "=1+1 is what I see",
    "+49 30 1234 is my number",
    "-30 % was promised",
    "@support please call me",
    "'=1+1 with an apostrophe",
    "\u202a=1+1 after a mark of direction",
    "\u00ad \u2063=1+1 after what no one sees",
    "\u22121 with a minus sign",
    "\ufe66SUM(A1) with a small sign",
    "\uff1dSUM(A1) in full width",
)


def test_a_csv_holds_nothing_that_a_spreadsheet_runs(
    context: JobContext, source: Path, tidemill: Tidemill, tmp_path: Path
) -> None:
    """Formulas get an apostrophe, which differs from the text's own; not with --raw."""
    (tmp_path / "tidemill.toml").write_text(
        '[tasks.support]\n[[tasks.support.sources]]\npath = "train.csv"\n', encoding="utf-8"
    )
    texts = [*FORMULAS, "an 'ordinary' text = fine"]
    labels = ["=cmd()", *["plain"] * (len(texts) - 1)]
    rows = pl.DataFrame({"text": texts, "label": labels})
    rows.write_csv(source)
    version = build(context).dataset_version
    done = json.loads(tidemill("export", version, "rows.csv", "--json"))
    assert done["changed_cells"] == len(FORMULAS) + 1
    found = pl.read_csv(tmp_path / "rows.csv")
    cells = [cell for row in found.iter_rows() for cell in row if isinstance(cell, str)]
    assert not [cell for cell in cells if cell[:1] and cell[0] in "=+-@\t\r\uff1d"]
    assert set(found["text"]) == {f"'{text}" for text in FORMULAS} | {texts[-1]}
    with chdir(tmp_path):
        assert run(["init", "guarded", "--data", "rows.csv"]) == 2
        assert not (tmp_path / "guarded").exists()
    for name, options in (("raw.csv", ["--raw"]), ("rows.jsonl", []), ("rows.parquet", [])):
        assert json.loads(tidemill("export", version, name, *options, "--json"))["rows"] == len(
            texts
        )
        with chdir(tmp_path):
            assert run(["init", name.replace(".", "_"), "--data", name]) == 0
            folder = tmp_path / name.replace(".", "_")
        with chdir(folder):
            again = build(replace(context, settings=load_settings()))
        back = read_dataset(again.uri).select("text", "label")
        assert sorted(back.rows()) == sorted(rows.rows()), name
