"""The job `erase_texts` with concurrent jobs, killed runs and damaged files."""

import fcntl
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete

from tests.integration.jobs.data.building import build
from tests.integration.jobs.data.erasing.requests import NAMED, ROWS, ask, left_over
from tidemill_core.dataset_folder import version_folders
from tidemill_core.errors import DataError
from tidemill_core.storage.database import Page
from tidemill_core.storage.schema import dataset_versions
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.erasing.erase import run
from tidemill_jobs.data.publishing.dataset import read_dataset


def test_a_build_that_waited_knows_what_was_asked_meanwhile(
    context: JobContext, source: Path
) -> None:
    """A build that waited for the lock lands no text that was erased while it waited."""
    source.write_text(ROWS, encoding="utf-8")
    with ExitStack() as other_build:
        folder = context.settings.state_dir / "intake" / "support"
        folder.mkdir(parents=True)
        file = other_build.enter_context((folder / ".lock").open("w"))
        fcntl.flock(file, fcntl.LOCK_EX)

        def ask_now(_done: float, doing: str) -> None:
            if doing.startswith("waits"):
                ask(context)
                other_build.close()

        build(replace(context, progress=ask_now))
    assert left_over(context.settings.state_dir / "intake") == []


def test_one_damaged_place_keeps_no_other(built: JobContext, source: Path) -> None:
    """All other places are erased, the error names the places, and the request stays open."""
    source.write_text(ROWS + "z,b\n", encoding="utf-8")
    build(built)
    datasets = built.settings.state_dir / "datasets" / "support"
    (datasets / "backup").mkdir()
    first, second = (datasets / each.name for each in version_folders(datasets.parent))
    (first / "examples.parquet").write_bytes(b"PAR1")
    broken = built.settings.state_dir / "intake" / "support" / "broken" / "000001.parquet"
    broken.parent.mkdir()
    broken.write_bytes(b"PAR1")
    for prepared in (built.settings.state_dir / "prepared").rglob("*train*/000001.parquet"):
        prepared.write_bytes(b"PAR1")
    ask(built)
    with pytest.raises(DataError) as caught:
        run(built)
    assert str(first) in str(caught.value)
    assert str(broken) in str(caught.value)
    assert built.storage.erasures.of_task("support")[0].erase_time is None
    built.storage.database.close()
    broken.unlink()
    shutil.rmtree(first)
    assert left_over(built.settings.state_dir) == []
    assert len(read_dataset(str(second)))
    assert run(built)["erased_texts"] == 1


def test_damaged_tombstones_are_named(built: JobContext) -> None:
    """An erasure that cannot read a version's tombstones is an error that names their file."""
    ask(built)
    run(built)
    (erased,) = (built.settings.state_dir / "datasets").rglob("erased.parquet")
    erased.write_bytes(b"PAR1")
    ask(built, "x")
    with pytest.raises(DataError, match=f"{erased} is damaged") as caught:
        run(built)
    assert caught.value.reason == "DATASET_DAMAGED"


def test_what_was_erased_elsewhere_is_found_by_its_place(built: JobContext) -> None:
    """A version that failed before is erased later, though the intake no longer has the text.

    The erasure counts the rows of both runs.
    """
    (folder,) = version_folders(built.settings.state_dir / "datasets")
    examples = folder / "examples.parquet"
    whole = examples.read_bytes()
    examples.write_bytes(b"PAR1")
    ask(built)
    with pytest.raises(DataError):
        run(built)
    examples.write_bytes(whole)
    run(built)
    (erasure,) = built.storage.erasures.of_task("support")
    assert (erasure.counts["predictions"], erasure.counts["intake"]) == (1, 5)
    built.storage.database.close()
    assert left_over(built.settings.state_dir) == []


def test_a_version_from_elsewhere_stays_out_of_the_catalog(built: JobContext) -> None:
    """A version from `dvc pull` is not added as the newest."""
    with built.storage.database.write() as connection:
        connection.execute(delete(dataset_versions))
    ask(built)
    run(built)
    assert built.storage.datasets.page("support", Page())[0] == []


def test_what_nobody_uses_goes(built: JobContext) -> None:
    """Files of killed builds, removed sources and half-removed versions are erased."""
    state = built.settings.state_dir
    (folder,) = version_folders(state / "datasets")
    (folder / "examples.parquet").unlink()
    staged = state / "datasets" / "support" / ".staged-1" / "examples.parquet"
    staged.parent.mkdir()
    staged.write_text(NAMED, encoding="utf-8")
    shutil.rmtree(state / "intake" / "support" / "feedback")
    ask(built)
    run(built)
    built.storage.database.close()
    assert left_over(state) == []


@pytest.mark.parametrize("step", [0, 2, 5, 8])
def test_a_killed_run_is_made_good(built: JobContext, step: int) -> None:
    """After a run that was killed at any step, the next run erases the rest."""
    ask(built)
    told = iter(range(100))

    def stop(_done: float, _doing: str) -> None:
        if next(told) == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(replace(built, progress=stop))
    run(built)
    built.storage.database.close()
    assert left_over(built.settings.state_dir) == []


def test_each_step_is_counted_before_the_next(built: JobContext) -> None:
    """What a run erased is counted by then, so a run that is killed loses no count."""
    ask(built)
    counted: dict[str, dict[str, int]] = {}

    def note(_done: float, doing: str) -> None:
        (erasure,) = built.storage.erasures.of_task("support")
        counted[doing.partition(" from ")[2].partition(" ")[0]] = dict(erasure.counts)

    run(replace(built, progress=note))
    (erasure,) = built.storage.erasures.of_task("support")
    assert counted["predictions"]["predictions"] == erasure.counts["predictions"] == 1
    assert counted["dataset"]["predictions"] == 1
    assert erasure.counts["datasets"] > 0
