"""The command `tidemill datasets` in a workspace with built versions."""

import json
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.integration.jobs.data.building import build
from tidemill_cli.main import run
from tidemill_core.dataset_folder import has_rows
from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.errors import DataError
from tidemill_core.settings import load_settings
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.landing.intake import Intake
from tidemill_jobs.data.publishing.dataset import read_dataset, row_digests
from tidemill_jobs.data.rebuild import rebuild

ODD_LABEL = "<script>alert('x')</script>"
FIRST = (
    "text,label\n"
    "my card is lost somewhere,card\n"
    "My card  is lost somewhere,card\n"
    "when do I see the refund,refund\n"
    f"please close this account,{ODD_LABEL}\n"
    "nobody can log in today,card\n"
    "they say both of this,card\n"
    "they say both of this,refund\n"
    ",card\n"
)
SECOND = FIRST.replace("the refund,refund", "the refund,money").replace(
    "nobody can log in today,card", "an app that crashes at night,app"
)

Tidemill = Callable[..., str]


@pytest.fixture
def versions(context: JobContext, source: Path, tmp_path: Path) -> list[DatasetVersion]:
    """Return three versions, built on consecutive days in 2020; the last has one row more."""
    (tmp_path / "tidemill.toml").write_text(
        '[tasks.support]\n[[tasks.support.sources]]\npath = "train.csv"\n', encoding="utf-8"
    )
    built = []
    third = SECOND + "one row more than before,card\n"
    for day, content in enumerate((FIRST, SECOND, third), start=1):
        source.write_text(content, encoding="utf-8")
        moment = datetime(2020, 1, day, tzinfo=UTC)
        built.append(build(replace(context, clock=lambda moment=moment: moment)))
    return built


@pytest.fixture
def tidemill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Tidemill:
    """Return a function that runs `tidemill datasets`, and gives its output or its stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments: str, ends_with: int = 0) -> str:
        capsys.readouterr()
        code = run(["datasets", *arguments])
        printed = capsys.readouterr()
        assert code == ends_with, printed
        return printed.err if ends_with else printed.out

    return call


def ids(versions: list[DatasetVersion]) -> list[str]:
    """Return the first 8 characters of each version's id."""
    return [version.dataset_version[:8] for version in versions]


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
        assert "DATASET_MISSING" in tidemill("diff", wrong, second, ends_with=1)
    twin = Path(versions[0].uri).with_name(first + "0" * 56)
    twin.mkdir()
    (twin / "manifest.json").write_text("[]", encoding="utf-8")
    assert "DATASET_AMBIGUOUS" in tidemill("show", first, ends_with=1)
    assert "DATASET_DAMAGED" in tidemill("show", twin.name, ends_with=1)
    path = Path(versions[0].uri) / "examples.parquet"
    path.write_bytes(path.read_bytes()[:50])
    told = tidemill("diff", versions[0].dataset_version, second, ends_with=1)
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
    assert "cannot be written" in tidemill("export", version, f"none/{name}", ends_with=1)
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


def test_rows_that_no_model_needs_are_removed(
    context: JobContext,
    versions: list[DatasetVersion],
    tidemill: Tidemill,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows of trained, recent and newest versions stay; manifests always stay."""
    moment = datetime(2020, 2, 1, tzinfo=UTC)
    context.storage.models.add_candidate("support", "onnx", versions[0].dataset_version, moment)
    folders = [Path(version.uri) for version in versions]
    assert json.loads(tidemill("gc", "--keep", "1", "--keep-days", "30000", "--yes", "--json")) == {
        "removed": True,
        "versions": [],
    }
    asked = ("gc", "--keep", "1", "--keep-days", "30")
    with monkeypatch.context() as elsewhere:  # another database knows nothing of who needs them
        elsewhere.setenv("TIDEMILL_DATABASE_URL", f"sqlite:///{folders[0].parent / 'other.db'}")
        assert json.loads(tidemill(*asked, "--yes", "--json"))["versions"] == []
    assert versions[1].dataset_version[:12] in tidemill(*asked)
    assert all((folder / "examples.parquet").exists() for folder in folders)
    done = json.loads(tidemill(*asked, "--yes", "--json"))
    assert [one["dataset_version"] for one in done["versions"]] == [versions[1].dataset_version]
    there = [[path.name for path in sorted(folder.iterdir())] for folder in folders]
    whole = ["examples.parquet", "manifest.json", "quarantine.parquet"]
    assert there == [whole, ["manifest.json"], whole]
    assert json.loads(tidemill("gc", "--keep", "1", "--json"))["versions"] == []
    assert json.loads(tidemill("show", folders[1].name, "--json"))["rows_removed"] is True
    assert "datasets rebuild" in tidemill("export", folders[1].name, "x.csv", ends_with=1)
    with pytest.raises(DataError, match="datasets rebuild"):
        read_dataset(versions[1].uri)


def test_the_newest_is_the_last_built(
    context: JobContext, source: Path, versions: list[DatasetVersion], tidemill: Tidemill
) -> None:
    """The version of the last build is shown and stays, even if it is an old one."""
    source.write_text(FIRST, encoding="utf-8")
    moment = datetime(2020, 1, 4, tzinfo=UTC)
    build(replace(context, clock=lambda: moment))
    assert json.loads(tidemill("show", "--json"))["dataset_version"] == versions[0].dataset_version
    assert "2020-01-04 00:00:00 UTC" in tidemill("show")
    found = json.loads(tidemill("gc", "--keep", "1", "--keep-days", "30", "--json"))["versions"]
    others = [version.dataset_version for version in versions[1:]]
    assert [one["dataset_version"] for one in found] == others


def test_rows_are_removed_while_nobody_works_on_them(
    context: JobContext, versions: list[DatasetVersion], tidemill: Tidemill
) -> None:
    """The version of a build that runs at the same time stays."""
    intake = Intake(context.settings.state_dir / "intake" / "support")
    asked = ("gc", "--keep", "1", "--keep-days", "0", "--json", "--yes")
    with ThreadPoolExecutor() as pool:
        with intake.locked(context.progress):
            removal = pool.submit(tidemill, *asked)
            with pytest.raises(TimeoutError):
                removal.result(timeout=1)
            context.storage.datasets.add(replace(versions[0], build_time=datetime.now(UTC)))
        done = json.loads(removal.result(timeout=10))
    assert [one["dataset_version"] for one in done["versions"]] == [
        version.dataset_version for version in versions[1:]
    ]
    assert has_rows(Path(versions[0].uri))


def _remove_rows(version: DatasetVersion) -> dict[str, pl.DataFrame]:
    """Remove a version's rows; return their content by file."""
    paths = list(Path(version.uri).glob("*.parquet"))
    rows = {path.name: pl.read_parquet(path) for path in paths}
    for path in paths:
        path.unlink()
    return rows


def test_removed_rows_are_built_again(
    versions: list[DatasetVersion], tidemill: Tidemill, tmp_path: Path
) -> None:
    """An old version is restored unchanged, though settings and sources have changed."""
    before = _remove_rows(versions[1])
    settings = tmp_path / "tidemill.toml"
    changed = "[tasks.support]\nmin_text_length = 26\nmax_quarantine_share = 0.0"
    settings.write_text(settings.read_text().replace("[tasks.support]", changed))
    (tmp_path / "train.csv").unlink()
    assert json.loads(tidemill("rebuild", versions[1].dataset_version, "--json"))["rows"] == 4
    after = {path.name: pl.read_parquet(path) for path in Path(versions[1].uri).glob("*.parquet")}
    assert after.keys() == before.keys()
    assert all(after[name].equals(rows) for name, rows in before.items())
    settings.write_text("", encoding="utf-8")
    told = tidemill("rebuild", versions[1].dataset_version, ends_with=1)
    assert "has no task 'support'" in told


def test_a_build_of_the_same_content_brings_rows_back(
    context: JobContext, versions: list[DatasetVersion]
) -> None:
    """A version without rows is complete once its content is built again."""
    before = _remove_rows(versions[2])
    assert build(context).dataset_version == versions[2].dataset_version
    assert read_dataset(versions[2].uri).equals(before["examples.parquet"])


def test_erased_rows_do_not_come_back(context: JobContext, versions: list[DatasetVersion]) -> None:
    """The digest of a row replaces it in a rebuild if the row was erased."""
    folder = Path(versions[0].uri)
    rows = read_dataset(versions[0].uri)
    erased = rows["text"] == "nobody can log in today"
    row_digests(rows.filter(erased)).write_parquet(folder / "erased.parquet")
    rows.filter(~erased).write_parquet(folder / "examples.parquet")
    assert len(read_dataset(versions[0].uri)) == 3
    for name in ("examples.parquet", "quarantine.parquet"):
        (folder / name).unlink()
    rule = pl.when(pl.col("text") == "nobody can log in today").then(pl.lit("ERASED"))
    _change_landed(context, versions[0], "000001", rule=rule)
    assert _rebuild(context, folder) == 3
    assert read_dataset(versions[0].uri).equals(rows.filter(~erased))


def _rebuild(context: JobContext, folder: Path) -> int:
    state_dir, erasures = context.settings.state_dir, context.storage.erasures
    return rebuild(folder, state_dir, erasures, None, context.progress)


def _change_landed(
    context: JobContext, version: DatasetVersion, segment: str, **columns: pl.Expr
) -> Path:
    """Change the landed rows of a segment; return its file."""
    (source,) = version.source_counts
    state = context.settings.state_dir
    landed = state / "intake" / "support" / source / f"{segment}.parquet"
    metadata = {"tidemill": pl.read_parquet_metadata(landed)["tidemill"]}
    pl.read_parquet(landed).with_columns(**columns).write_parquet(landed, metadata=metadata)
    shutil.rmtree(state / "prepared")
    return landed


def test_a_version_that_would_differ_is_not_built_again(
    context: JobContext, versions: list[DatasetVersion]
) -> None:
    """If landed rows were removed or changed, nothing is written and the error says so."""
    folder = Path(versions[1].uri)
    _remove_rows(versions[1])
    landed = _change_landed(context, versions[1], "000002", label=pl.col("label") + "s")
    for told in ("the result has different rows", "000002.parquet are missing"):
        with pytest.raises(DataError, match=told) as caught:
            _rebuild(context, folder)
        assert caught.value.reason == "DATASET_CHANGED"
        landed.unlink(missing_ok=True)
    assert [path.name for path in folder.iterdir()] == ["manifest.json"]
