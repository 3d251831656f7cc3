"""Dataset versions that another machine built, fetched from object storage for a call."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tidemill_core.dataset_copies import DatasetCopies
from tidemill_core.errors import Unavailable
from tidemill_core.object_errors import ObjectStorageUnavailable

_FETCH_SECONDS = 10.0


class FetchedDatasets:
    """Brings files of dataset versions to this machine.

    It fetches one at a time, in a thread of its own: object storage that hangs delays no other
    call. Without object storage there is nothing to fetch.
    """

    def __init__(self, copies: DatasetCopies) -> None:
        self._copies = copies
        self._thread = ThreadPoolExecutor(1, "fetch-dataset")

    async def folder(self, task: str, dataset_version: str, *files: str) -> Path:
        """Return a version's folder, with some of its files; what is nowhere is missing.

        Raises:
            Unavailable: object storage cannot be reached, or the files take longer than a call
                should. A download that began goes on.
            DataError: object storage refuses, or has a damaged file.
        """
        folder = self._copies.folder(task, dataset_version)
        fetching = asyncio.get_running_loop().run_in_executor(
            self._thread, self._copies.fetch, folder, files
        )
        try:
            return await asyncio.wait_for(fetching, _FETCH_SECONDS)
        except TimeoutError as error:
            raise Unavailable(
                f"dataset version {dataset_version[:12]} was not fetched from object storage "
                f"within {_FETCH_SECONDS:g} s: ask again in a moment",
                ObjectStorageUnavailable.reason,
            ) from error
