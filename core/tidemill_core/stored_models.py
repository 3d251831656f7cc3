"""The copies of model versions in object storage, which Triton can read as its model repository.

    <url>/support-onnx/config.pbtxt
                      /3/{model.onnx, tokenizer.json, manifest.json, objects.json}

A version is stored once and never changes. `config.pbtxt` names the versions that Triton serves; it
is replaced at once, after all of these are stored.
"""

import math
import threading
import time
from collections.abc import Collection
from pathlib import Path

import structlog

from tidemill_core.durable import sha256_of
from tidemill_core.errors import DataError, TidemillError
from tidemill_core.object_errors import ObjectStorageUnavailable
from tidemill_core.object_storage import ObjectStorage, same_name
from tidemill_core.settings import Settings

STAGING = ".staging"
CONFIG_FILE = "config.pbtxt"
KEEP_FILE = ".keep"
MANIFEST_FILE = "manifest.json"
TOKENIZER_FILE = "tokenizer.json"
FRONT_MODELS = "front-models"
"""The folder in the state directory for the files that fronts fetch."""
_PAUSE_SECONDS = 5.0
_TICK_SECONDS = 0.5

log = structlog.get_logger()


class ModelVersionMissing(DataError):
    """A model version that is missing."""

    def __init__(self, where: object, detail: str) -> None:
        super().__init__("MODEL_VERSION_MISSING", f"{where}: {detail}")


class ModelVersionExists(DataError):
    """A model version whose number is taken."""

    def __init__(self, where: object, cure: str = "") -> None:
        super().__init__("MODEL_VERSION_EXISTS", f"{where} exists already{cure and '; '}{cure}")


class StoredModels:
    """The stored versions of a model repository.

    Methods raise what `ObjectStorage` raises.

    Args:
        storage: where they are stored.
        root: the folder that they are fetched into: the local model repository, or a front's own.
        is_read: whether a Triton reads its models in the storage.
        only: the names of the files that are fetched; empty: all of a version.
    """

    def __init__(
        self, storage: ObjectStorage, root: Path, *, is_read: bool, only: Collection[str] = ()
    ) -> None:
        self._storage = storage
        self.root = root
        self._is_read = is_read
        self._only = only
        self._pauses: dict[Path, float] = {}
        self._fetching: dict[Path, threading.Thread] = {}

    @classmethod
    def of(cls, settings: Settings) -> "StoredModels | None":
        """Return the copies of a workspace; None without object storage."""
        if not settings.model_storage:
            return None
        storage = ObjectStorage(settings.model_storage, same_name)
        return cls(storage, settings.model_repository, is_read=bool(settings.triton.url))

    @classmethod
    def of_front(cls, settings: Settings) -> "StoredModels | None":
        """Return those of a front, which reads no models and may not write the repository."""
        if not settings.model_storage:
            return None
        storage = ObjectStorage(settings.model_storage, same_name)
        files = (MANIFEST_FILE, TOKENIZER_FILE)
        return cls(storage, settings.state_dir / FRONT_MODELS, is_read=False, only=files)

    def fetch(self, folder: Path) -> None:
        """Fetch a version that is not here, if it is stored; the folder appears when it is whole.

        After a failure it does not ask again for some seconds: a front asks four times a second.

        Raises:
            ModelVersionMissing: it is not here, and the storage does not answer, or this machine's
                disk cannot be written.
            ObjectDamaged: an object is not the one that was written.
        """
        if folder.exists() or time.monotonic() < self._pauses.get(folder, 0.0):
            return
        try:
            self._storage.download(self._name(folder), folder, self.root / STAGING, self._only)
        except (ObjectStorageUnavailable, OSError) as error:
            raise ModelVersionMissing(folder, str(error)) from error
        finally:
            self._pauses[folder] = time.monotonic() + _PAUSE_SECONDS

    def fetch_meanwhile(self, folder: Path) -> bool:
        """Fetch a version that is not here in a thread; return False if it is here."""
        if folder.exists():
            return False
        thread = self._fetching.get(folder)
        if thread is None or not thread.is_alive():
            thread = threading.Thread(target=self._fetch, args=(folder,), daemon=True)
            self._fetching[folder] = thread
            thread.start()
        return True

    def _fetch(self, folder: Path) -> None:
        try:
            self.fetch(folder)
        except DataError as error:
            log.warning("model_not_fetched", reason=error.reason, detail=str(error))

    def fetch_all(self) -> None:
        """Fetch all versions of all models that are not here."""
        for name in self._storage.names():
            self.fetch(self.root / name)

    def versions(self, model: str) -> list[int]:
        """Return the numbers of a model's stored versions."""
        names = (Path(name).name for name in self._storage.names(model))
        return [int(name) for name in names if name.isdecimal()]

    def store(self, model: str) -> None:
        """Store the versions of a model that are here only.

        Raises:
            ModelVersionExists: the storage has another version with such a number.
        """
        for manifest in (self.root / model).glob(f"[0-9]*/{MANIFEST_FILE}"):
            folder = manifest.parent
            index = self._storage.index(self._name(folder))
            if index is None:
                files = {path.name: path for path in folder.iterdir()}
                self._storage.write(self._name(folder), files)
                continue
            stored = index.get(MANIFEST_FILE)  # it has the others' hashes
            if stored is None or stored.sha256 != sha256_of(manifest):
                place = f"{self._storage.url}/{self._name(folder)}"
                cure = f"it differs from {folder}: one URL is for one database"
                raise ModelVersionExists(place, cure)

    def prepare(self) -> None:
        """Store an object, once, because a Triton does not start on a folder that has none.

        A failure is logged, and the object is stored some seconds later.
        """
        if not self._is_read or time.monotonic() < self._pauses.get(self.root, 0.0):
            return
        self._pauses[self.root] = math.inf
        try:
            if not self._storage.exists(KEEP_FILE):
                self._storage.replace(KEEP_FILE, b"")
        except TidemillError as error:
            self._pauses[self.root] = time.monotonic() + _PAUSE_SECONDS
            log.warning("model_storage_not_prepared", reason=error.reason, detail=str(error))

    def offer(self, model: str) -> None:
        """Let the Triton that reads the storage find what the local config.pbtxt names."""
        if not self._is_read:
            return
        self.store(model)
        place, config = f"{model}/{CONFIG_FILE}", (self.root / model / CONFIG_FILE).read_bytes()
        if self._storage.read(place) == config:
            return
        before = self._storage.modified(place)
        self._storage.replace(place, config)
        # Triton ignores a file whose time is the one before, and S3's times are whole seconds.
        while self._storage.modified(place) == before:
            time.sleep(_TICK_SECONDS)
            self._storage.replace(place, config)

    def _name(self, folder: Path) -> str:
        return f"{folder.parent.name}/{folder.name}"
