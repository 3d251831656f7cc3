"""The files of models that were made elsewhere, from their upload until a job has judged them.

    <state_dir>/imports/<upload id>/{model, tokenizer, labels}

The server writes a folder under another name and renames it when all files are complete. The job
`import_model` removes it.
"""

import shutil
import time
import uuid
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from tidemill_core.durable import sync
from tidemill_core.errors import ResourceExhausted

MAX_UPLOADS = 16
"""Models that are being sent or wait for their job."""
MAX_AGE_SECONDS = 24 * 3600.0
"""Age at which a folder is removed: its server was killed, or its run was canceled."""
_PARTIAL = ".partial"
_RETRY_SECONDS = 60.0


class ImportFileKind(StrEnum):
    """The part that a file has in an imported model, and its name in the folder."""

    MODEL = "MODEL"
    TOKENIZER = "TOKENIZER"
    LABELS = "LABELS"

    @property
    def file_name(self) -> str:
        """The file's name."""
        return self.value.lower()


MAX_BYTES: Mapping[ImportFileKind, int] = {
    ImportFileKind.MODEL: 1 << 30,
    ImportFileKind.TOKENIZER: 64 << 20,
    ImportFileKind.LABELS: 1 << 20,
}
"""The largest size of each file."""


class ModelUploads:
    """The folders of imported models, in the state directory that server and jobs share."""

    def __init__(self, state_dir: Path) -> None:
        self._root = state_dir / "imports"

    def begin(self, size_bytes: int) -> tuple[str, Path]:
        """Create a folder to fill, and return the upload's id and the folder.

        Args:
            size_bytes: the size of all files together.

        Raises:
            ResourceExhausted: TOO_MANY_IMPORTS, or DISK_FULL: the disk must hold two copies, as
                the job publishes one.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        self._remove_old()
        if len(list(self._root.iterdir())) >= MAX_UPLOADS:
            message = f"{MAX_UPLOADS} models are being imported; try again when one of them is done"
            raise ResourceExhausted("TOO_MANY_IMPORTS", message, _RETRY_SECONDS)
        if shutil.disk_usage(self._root).free < 2 * size_bytes:
            raise disk_full(size_bytes)
        upload_id = uuid.uuid4().hex
        folder = self._root / (upload_id + _PARTIAL)
        folder.mkdir()
        return upload_id, folder

    def complete(self, upload_id: str) -> None:
        """Give a filled folder its name."""
        filled = self._root / (upload_id + _PARTIAL)
        sync(filled)
        filled.rename(self.folder(upload_id))
        sync(self._root)

    def folder(self, upload_id: str) -> Path:
        """Return the folder of a complete upload; it may be gone."""
        return self._root / upload_id

    def remove(self, upload_id: str) -> None:
        """Remove an upload, complete or not."""
        shutil.rmtree(self.folder(upload_id), ignore_errors=True)
        shutil.rmtree(self._root / (upload_id + _PARTIAL), ignore_errors=True)

    def _remove_old(self) -> None:
        for folder in self._root.iterdir():
            if time.time() - folder.stat().st_mtime > MAX_AGE_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def disk_full(size_bytes: int) -> ResourceExhausted:
    """Return the error of a disk without room for an import."""
    message = (
        f"the disk of the state directory has no room for an import of {size_bytes:,} bytes: "
        "free at least twice as much"
    )
    return ResourceExhausted("DISK_FULL", message, _RETRY_SECONDS)
