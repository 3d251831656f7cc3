"""Dataset versions in object storage, with two machines that share a database."""

import shutil
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import polars as pl
import pytest

from tests.contract.storage.values import prediction
from tests.integration.jobs.data.building import build
from tests.integration.jobs.data.erasing.requests import NAMED, ask, left_over
from tests.integration.jobs.data.three_versions import FIRST, SECOND
from tests.plugins.s3 import S3, FailingS3
from tidemill_cli.main import run as cli
from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.errors import DataError
from tidemill_core.object_errors import ObjectStorageRefused, ObjectStorageUnavailable
from tidemill_core.storage.database import Page
from tidemill_core.storage.jobs import RunRequest
from tidemill_core.storage.storage import open_storage
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.erasing.erase import run as erase
from tidemill_jobs.data.publishing.dataset import read_dataset
from tidemill_jobs.feedback.check import run as check

ROWS = f"text,label\n{NAMED},a\nx,a\ny,b\n{NAMED},\n"
Machine = Callable[[str], JobContext]


@pytest.fixture
def machine(context: JobContext, place: str, tmp_path: Path, source: Path) -> Machine:
    """Return a function for a run on a machine with a state directory of its own."""
    source.write_text(ROWS, encoding="utf-8")
    database = context.settings.effective_database_url

    def on(name: str, scheme: str = "s3") -> JobContext:
        changes = {
            "state_dir": tmp_path / name,
            "database_url": database,
            "dataset_storage": f"{scheme}://{place}/datasets",
        }
        return replace(context, settings=context.settings.model_copy(update=changes))

    return on


def texts(context: JobContext, version: DatasetVersion) -> set[str]:
    """Return the texts of a version, as a machine reads them."""
    return set(read_dataset(str(context.dataset_folder(version.dataset_version)))["text"])


def stored(s3: S3, place: str, folder: Path) -> Path:
    """Copy all objects to a new folder, to look for texts in them."""
    shutil.rmtree(folder, ignore_errors=True)
    for path in s3.files().find(place):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        s3.files().get_file(path, str(folder / path))
    return folder


def test_another_machine_reads_a_version(machine: Machine) -> None:
    """A version that one machine built is whole on another one, which fetches it."""
    version = build(machine("a"))
    folder = machine("b").dataset_folder(version.dataset_version)
    assert read_dataset(str(folder)).equals(read_dataset(version.uri))
    assert {path.name for path in folder.iterdir()} == {
        *("examples.parquet", "manifest.json", "quarantine.parquet")
    }


def test_erased_texts_leave_the_storage(
    machine: Machine, s3: S3, place: str, tmp_path: Path
) -> None:
    """An erasure reaches the objects, also without a copy here, and then other machines' copies."""
    version = build(machine("a"))
    assert len(left_over(stored(s3, place, tmp_path / "objects"))) == 2
    elsewhere = machine("b").dataset_folder(version.dataset_version)
    assert len(left_over(elsewhere)) == 2
    shutil.rmtree(version.uri)
    ask(machine("a"))
    assert erase(machine("a"))["erased_datasets"] == 2
    assert left_over(stored(s3, place, tmp_path / "objects")) == []
    assert NAMED not in texts(machine("b"), version)
    assert left_over(elsewhere) == []
    assert read_dataset(version.uri).equals(read_dataset(str(elsewhere)))


def test_an_erasure_cut_off_at_any_step(
    machine: Machine, s3: S3, place: str, tmp_path: Path
) -> None:
    """Until it has reached the objects it is not done, and the next run goes on."""
    version = build(machine("a"))
    ask(machine("a"))
    for calls in count(1, 3):
        FailingS3.calls_left = calls
        try:
            erase(machine("a", "failing"))
            break
        except ObjectStorageUnavailable:
            (erasure,) = machine("a").storage.erasures.of_task("support")
            assert erasure.erase_time is None
            assert texts(machine("b"), version)
    FailingS3.calls_left = float("inf")
    assert calls > 1
    assert NAMED not in texts(machine("a"), version)
    assert left_over(stored(s3, place, tmp_path / "objects")) == []


def test_a_storage_that_is_away_keeps_no_text_in_the_database(machine: Machine) -> None:
    """An erasure removes what it can: the text of a prediction; the request stays open."""
    build(machine("a"))
    context = machine("a", "failing")
    context.storage.predictions.add([prediction("late", text=NAMED)])
    ask(context)
    FailingS3.calls_left = 0
    with pytest.raises(ObjectStorageUnavailable):
        erase(context)
    assert context.storage.predictions.texts_and_labels(["late"])["late"][0] == ""
    (erasure,) = context.storage.erasures.of_task("support")
    assert (erasure.erase_time, erasure.counts["predictions"]) == (None, 1)


def test_a_build_that_cannot_store_its_version(machine: Machine) -> None:
    """It fails and catalogs nothing; the next build stores the version."""
    FailingS3.calls_left = 3
    with pytest.raises(ObjectStorageUnavailable, match="does not answer"):
        build(machine("a", "failing"))
    assert machine("a").storage.datasets.page("support", Page())[0] == []
    version = build(machine("a"))
    assert NAMED in texts(machine("b"), version)


def test_versions_from_before_are_stored(machine: Machine, source: Path) -> None:
    """The first build with object storage also stores the versions that it does not have."""
    before = machine("a")
    old = replace(before, settings=before.settings.model_copy(update={"dataset_storage": ""}))
    first = build(old)
    assert not machine("b").dataset_folder(first.dataset_version).exists()
    source.write_text(FIRST, encoding="utf-8")
    build(machine("a"))
    assert NAMED in texts(machine("b"), first)


def test_a_build_after_another_machines(machine: Machine, source: Path) -> None:
    """Rows that the versions of a lost disk have are not judged again: manifests are fetched."""
    build(context := machine("a"))  # one of its four rows has no label
    shutil.rmtree(context.settings.state_dir / "datasets")
    strict = context.task_settings.model_copy(update={"max_quarantine_share": 0.1})
    settings = context.settings.model_copy(update={"tasks": {context.task: strict}})
    with source.open("a") as file:
        file.write("z,b\n")
    assert build(replace(context, settings=settings)).quarantine_counts["NULL_LABEL"] == 1


def test_two_machines_build_at_once(machine: Machine, postgres_url: str) -> None:
    """Two builds of the same content on machines that share a PostgreSQL take turns."""
    storages = [open_storage(postgres_url) for _ in range(2)]
    machines = [replace(machine(name), storage=storages.pop()) for name in ("a", "b")]
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(build, machines)
    for each in machines:
        each.storage.database.close()
    assert first.dataset_version == second.dataset_version
    assert texts(machine("c"), first) == texts(machine("a"), first)


def test_a_damaged_object_is_not_read(machine: Machine, s3: S3, place: str) -> None:
    """A machine refuses a version with a damaged object, in words, and has none of it."""
    version = build(machine("a"))
    (path,) = s3.files().glob(f"{place}/datasets/support/*/examples-*.parquet")
    s3.files().pipe_file(path, b"PAR1")
    with pytest.raises(DataError, match=r"examples-\w+.parquet is damaged: it has 4 bytes"):
        machine("b").dataset_folder(version.dataset_version)
    assert not (machine("b").settings.state_dir / "datasets" / "support").exists()


def test_the_commands_of_another_machine(
    machine: Machine,
    source: Path,
    s3: S3,
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exports fetch a version and write to URLs; `datasets gc` removes rows in the storage too."""
    days = [datetime(2020, 1, day, tzinfo=UTC) for day in (1, 2)]
    first = build(replace(machine("a"), clock=lambda: days[0]))
    source.write_text(SECOND, encoding="utf-8")
    second = build(replace(machine("a"), clock=lambda: days[1]))
    (tmp_path / "tidemill.toml").write_text(
        '[tasks.support]\n[[tasks.support.sources]]\npath = "train.csv"\n', encoding="utf-8"
    )
    settings = machine("b").settings
    for name in ("state_dir", "database_url", "dataset_storage"):
        monkeypatch.setenv(f"TIDEMILL_{name.upper()}", str(getattr(settings, name)))
    monkeypatch.chdir(tmp_path)
    assert cli(["datasets", "export", first.dataset_version, "out.csv"]) == 0
    assert NAMED in set(pl.read_csv("out.csv")["text"])
    exported = f"s3://{place}/exports/rows.jsonl"
    for code in (0, 2):  # it exists then
        assert cli(["datasets", "export", first.dataset_version, exported]) == code
    assert NAMED in s3.files().cat_file(exported).decode()
    assert cli(["datasets", "gc", "--keep", "1", "--yes"]) == 0
    left = s3.files().find(f"{place}/datasets/support/{first.dataset_version}")
    assert [path.rpartition("/")[2].split("-")[0] for path in left] == ["manifest", "objects.json"]
    assert texts(machine("c"), second)
    assert cli(["backup", "whole.tar"]) == 0
    with tarfile.open("whole.tar") as backup:
        assert sum(name.endswith("examples.parquet") for name in backup.getnames()) == 1
    with pytest.raises(DataError, match="datasets rebuild"):
        texts(machine("a"), first)


def test_a_check_rests_while_the_storage_is_away(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts no retraining, says why, and keeps the last count; later it counts again.

    A storage that refuses stays so until a person acts: the check fails.
    """
    context, away = machine("a"), machine("a", "failing")
    jobs, now = context.storage.jobs, context.clock()
    version = build(context)
    jobs.enqueue(RunRequest("retrain", "support", "test"), now)
    retraining = jobs.claim(now)
    assert retraining is not None
    jobs.succeed(retraining.run_id, {"dataset_version": version.dataset_version}, now)
    jobs.enqueue(RunRequest("check_feedback", "support", "test"), now)
    before = jobs.claim(now)
    assert before is not None
    jobs.succeed(before.run_id, {"new_examples": 7}, now)
    FailingS3.calls_left = 0
    found = check(away)
    assert (found["decision"], found["new_examples"]) == ("RESTING", 7)
    assert "the object storage" in found["reason"]
    assert "does not answer" in found["reason"]
    monkeypatch.setattr(FailingS3, "error", PermissionError)
    with pytest.raises(ObjectStorageRefused):
        check(away)
    FailingS3.calls_left = float("inf")
    assert (check(away)["decision"], check(away)["new_examples"]) == ("TOO_FEW", 0)
