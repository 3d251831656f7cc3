"""Rows of dataset versions that are removed, and built again."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from tests.integration.jobs.data.building import build
from tests.integration.jobs.data.three_versions import FIRST, Tidemill
from tidemill_core.dataset_folder import has_rows
from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.errors import DataError
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.landing.intake import Intake
from tidemill_jobs.data.publishing.dataset import read_dataset, row_digests
from tidemill_jobs.data.rebuild import rebuild


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
    assert "datasets rebuild" in tidemill("export", folders[1].name, "x.csv", ends_with=2)
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
        done = json.loads(removal.result(timeout=60))
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
    told = tidemill("rebuild", versions[1].dataset_version, ends_with=2)
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
    return rebuild(folder, context.datasets, state_dir, erasures, None, context.progress)


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
