"""Reading of complete and damaged dataset versions."""

from pathlib import Path

import polars as pl
import pytest

from tests.integration.jobs.data.building import build
from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.errors import DataError
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.publishing.dataset import read_dataset


@pytest.fixture
def built(context: JobContext, source: Path) -> DatasetVersion:
    """Return a version with two examples."""
    source.write_text("text,label\nx,a\ny,b\n", encoding="utf-8")
    return build(context)


def _reason(uri: str) -> str:
    with pytest.raises(DataError) as caught:
        read_dataset(uri)
    return caught.value.reason


def test_a_missing_version_is_named(tmp_path: Path) -> None:
    """A missing folder has its own reason."""
    assert _reason(str(tmp_path / "gone")) == "DATASET_MISSING"


def test_a_truncated_file_is_damage(built: DatasetVersion) -> None:
    """Half a Parquet file is refused."""
    path = Path(built.uri) / "examples.parquet"
    path.write_bytes(path.read_bytes()[:100])
    assert _reason(built.uri) == "DATASET_DAMAGED"


def test_changed_rows_are_damage(built: DatasetVersion) -> None:
    """A version whose rows do not match its id is refused."""
    path = Path(built.uri) / "examples.parquet"
    pl.read_parquet(path).with_columns(label=pl.lit("a")).write_parquet(path)
    assert _reason(built.uri) == "DATASET_DAMAGED"


def test_a_damaged_manifest_is_damage(built: DatasetVersion) -> None:
    """A manifest that is not JSON is refused."""
    (Path(built.uri) / "manifest.json").write_text("{", encoding="utf-8")
    assert _reason(built.uri) == "DATASET_DAMAGED"


def test_a_moved_version_is_read_where_it_is(built: DatasetVersion) -> None:
    """A version's files do not contain its path."""
    moved = Path(built.uri).with_name("moved")
    Path(built.uri).rename(moved)
    assert len(read_dataset(str(moved))) == 2
