"""The cache of prepared segments."""

import shutil
from pathlib import Path

import pytest

from tests.integration.jobs.data.building import build
from tidemill_core.errors import DataError
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.publishing.dataset import read_dataset


def test_a_segment_in_the_place_of_another_is_prepared(context: JobContext, source: Path) -> None:
    """A source whose intake folder was removed is read from its beginning, as documented."""
    source.write_text("text,label\nx,a\ny,b\nz,b\n", encoding="utf-8")
    build(context)
    shutil.rmtree(context.settings.state_dir / "intake" / "support")
    source.write_text("text,label\nv,a\nw,b\n", encoding="utf-8")
    assert set(read_dataset(build(context).uri)["text"]) == {"v", "w"}


def test_a_damaged_file_is_named_and_made_again(context: JobContext, source: Path) -> None:
    """The error names the prepared file; once it is removed, the next build succeeds."""
    source.write_text("text,label\nx,a\ny,b\n", encoding="utf-8")
    version = build(context)
    (path,) = (context.settings.state_dir / "prepared").rglob("*.parquet")
    path.write_bytes(b"PAR1")
    with pytest.raises(DataError, match=f"{path} is damaged.*remove the file") as caught:
        build(context)
    assert caught.value.reason == "PREPARED_DAMAGED"
    path.unlink()
    assert build(context).dataset_version == version.dataset_version
