"""Dataset versions that another machine built, read by a server through object storage."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.server.dataset_files import write_dataset_files
from tests.integration.server.test_catalogues import dataset
from tests.plugins.databases import new_sqlite
from tests.plugins.s3 import S3, FailingS3
from tidemill_core.dataset_copies import DatasetCopies
from tidemill_core.dataset_folder import EXAMPLES_FILE, MANIFEST_FILE, QUARANTINE_FILE
from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.errors import FailedPrecondition
from tidemill_core.model_repository import ModelRepository
from tidemill_core.object_errors import ObjectStorageUnavailable
from tidemill_core.object_storage import ObjectStorage, hashed_name
from tidemill_core.storage.database import Page
from tidemill_core.storage.storage import Storage, open_storage
from tidemill_server.handlers.dataset import DatasetHandler
from tidemill_server.handlers.fetched_datasets import FetchedDatasets
from tidemill_server.inference.router import Router

pytestmark = pytest.mark.anyio
TEXT = "My card has not arrived"
EXCLUDED = [("train.csv", "train.csv:9", "TEXT_BLANK", "quarantined", " ")]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """The database that the machines share."""
    return open_storage(new_sqlite(tmp_path / "tidemill.db"))


@pytest.fixture
def version(tmp_path: Path, storage: Storage, place: str) -> DatasetVersion:
    """A version that machine `a` built and stored."""
    copies = copies_on(tmp_path / "a", place)
    found = dataset(1, card=1)
    folder = copies.folder(found.task, found.dataset_version)
    with copies.changing(folder):
        write_dataset_files(folder, [(TEXT, "card")], EXCLUDED)
        (folder / MANIFEST_FILE).write_text("{}")
    version = replace(found, uri=str(folder))
    storage.datasets.add(version)
    return version


def copies_on(root: Path, place: str, scheme: str = "s3") -> DatasetCopies:
    """Return a machine's dataset versions, which are stored in a place."""
    return DatasetCopies(root, ObjectStorage(f"{scheme}://{place}", hashed_name))


def server(storage: Storage, copies: DatasetCopies) -> DatasetHandler:
    """Return the datasets of a server."""
    router = Router(storage.models, ModelRepository(copies.root), {})
    return DatasetHandler(storage.datasets, FetchedDatasets(copies), router)


async def test_another_machines_rows_are_fetched(
    storage: Storage, version: DatasetVersion, place: str, tmp_path: Path
) -> None:
    """A call fetches the file that it reads, whole, and no other rows."""
    copies = copies_on(tmp_path / "b", place)
    handler, name = server(storage, copies), version.dataset_version
    rows, _ = await handler.excluded(name, "", Page(10))
    assert [row.origin for row in rows] == ["train.csv:9"]
    folder = copies.folder(version.task, name)
    assert {path.name for path in folder.iterdir()} == {MANIFEST_FILE, QUARANTINE_FILE}
    [found] = await handler.examples(name, TEXT)
    assert found.label == "card"
    content = (Path(version.uri) / EXAMPLES_FILE).read_bytes()
    assert (folder / EXAMPLES_FILE).read_bytes() == content


async def test_storage_that_is_away(
    storage: Storage, version: DatasetVersion, place: str, tmp_path: Path
) -> None:
    """The error says that the storage does not answer, and not that the rows were removed."""
    handler = server(storage, copies_on(tmp_path / "b", place, "failing"))
    FailingS3.calls_left = 0
    with pytest.raises(ObjectStorageUnavailable, match=f"failing://{place} does not answer"):
        await handler.examples(version.dataset_version, TEXT)


async def test_a_damaged_object(
    storage: Storage, version: DatasetVersion, place: str, s3: S3, tmp_path: Path
) -> None:
    """Rows with another SHA-256 than those that were written are refused."""
    (path,) = s3.files().glob(f"{place}/*/*/quarantine-*.parquet")
    s3.files().pipe_file(path, b"PAR1")
    handler = server(storage, copies_on(tmp_path / "b", place))
    with pytest.raises(FailedPrecondition, match="is damaged: it has 4 bytes"):
        await handler.excluded(version.dataset_version, "", Page(10))


async def test_removed_rows_and_those_of_another_machine(
    storage: Storage, version: DatasetVersion, place: str, tmp_path: Path
) -> None:
    """Rows that `datasets gc` removed can be rebuilt; a version that is elsewhere can be shared."""
    stored = copies_on(tmp_path / "a", place)
    with stored.changing(folder := Path(version.uri)):
        (folder / EXAMPLES_FILE).unlink()
    for copies, cure in (
        (copies_on(tmp_path / "b", place), "datasets rebuild"),
        (DatasetCopies(tmp_path / "c"), "this machine has no .*dataset_storage"),
    ):
        with pytest.raises(FailedPrecondition, match=cure):
            await server(storage, copies).examples(version.dataset_version, TEXT)
