"""State directories with any characters in their names."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.jobs.conftest import NOW
from tests.integration.jobs.data.building import build
from tidemill_core.domain.split import content_hash
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.erasing.erase import run as erase
from tidemill_jobs.data.publishing.dataset import read_dataset
from tidemill_jobs.data.rebuild import rebuild


@pytest.mark.parametrize("name", ["data[x]", "dat[!a]*", "what? #1 %20", "{a,b} 'c' \\d"])
def test_a_dataset_is_built_in_a_folder_of_any_name(
    context: JobContext, source: Path, tmp_path: Path, name: str
) -> None:
    """Rows land, are rebuilt and erased, and no other folder's rows are read."""
    (tmp_path / "datax").mkdir()  # what the first name would match as a pattern
    state_dir = tmp_path / name / "var"
    settings = context.settings.model_copy(update={"state_dir": state_dir})
    context = replace(context, settings=settings)
    source.write_text("text,label\nx,a\ny,b\n", encoding="utf-8")
    build(context)
    with source.open("a", encoding="utf-8") as file:
        file.write("z,b\n")
    folder = Path(build(context).uri)
    rows = read_dataset(str(folder))
    assert set(rows["text"]) == {"x", "y", "z"}
    (folder / "examples.parquet").unlink()
    rebuild(folder, context.datasets, state_dir, context.storage.erasures, None, context.progress)
    assert read_dataset(str(folder)).equals(rows)
    context.storage.erasures.request("support", content_hash("z"), "ann", NOW)
    assert erase(context)["erased_intake"] == 1
    assert set(read_dataset(str(folder))["text"]) == {"x", "y"}
