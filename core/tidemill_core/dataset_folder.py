"""The folder of a dataset version: its files, how it is found, and its manifest.

<state_dir>/datasets/<task>/<id>/examples.parquet     the rows
                                /quarantine.parquet   every row that is not in it, and why
                                /manifest.json        what it is, and from what it was built
                                /erased.parquet       what stands for rows that were erased since

`tidemill datasets gc` removes the first two; what the others say of the version stays.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tidemill_core.errors import DataError

EXAMPLES_FILE = "examples.parquet"
QUARANTINE_FILE = "quarantine.parquet"
ERASED_FILE = "erased.parquet"
MANIFEST_FILE = "manifest.json"

_ID = re.compile(r"[0-9a-f]{64}")
_START_OF_ID = re.compile(r"[0-9a-f]{8,64}")

DatasetManifest = Mapping[str, Any]
"""What `manifest.json` holds: `tidemill_core.domain.dataset.DatasetVersion` in JSON, without its
place; `outcome_counts`; `schema`, `recipe` and `profile`, as the build of it wrote them."""


class DatasetMissing(DataError):
    """No dataset version, or none of its files, is where it was looked for."""

    def __init__(self, message: str) -> None:
        super().__init__("DATASET_MISSING", message)


def version_folders(datasets: Path) -> list[Path]:
    """The folders of all versions of all tasks, by task and id.

    Args:
        datasets: the folder of all datasets; it need not be there.
    """
    return sorted(path.parent for path in datasets.glob(f"*/*/{MANIFEST_FILE}") if _is_id(path))


def find_version(datasets: Path, dataset_version: str) -> Path:
    """The folder of the version of that id, or of the only one whose id starts so.

    Args:
        datasets: the folder of all datasets.
        dataset_version: the id, or its first 8 or more characters.

    Raises:
        DatasetMissing: there is none.
        DataError: DATASET_AMBIGUOUS, several start so.
    """
    found = []
    if _START_OF_ID.fullmatch(dataset_version):
        folders = version_folders(datasets)
        found = [folder for folder in folders if folder.name.startswith(dataset_version)]
    if not found:
        cure = "name it by its id, or by the id's first 8 or more characters"
        raise DatasetMissing(f"{datasets} holds no dataset version {dataset_version!r}: {cure}")
    if len(found) > 1:
        message = f"several dataset versions start with {dataset_version!r}: give more of the id"
        raise DataError("DATASET_AMBIGUOUS", message)
    return found[0]


def read_manifest(folder: Path) -> DatasetManifest:
    """What a version's manifest says.

    Raises:
        DatasetMissing: it is not there.
        DataError: DATASET_DAMAGED.
    """
    path = folder / MANIFEST_FILE
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DatasetMissing(f"there is no {path}") from error
    except (OSError, ValueError) as error:
        raise damaged(path, error) from error
    if not isinstance(manifest, dict):
        raise damaged(path, "it is no JSON object")
    return manifest


def build_time(manifest: DatasetManifest) -> datetime:
    """When the version was last built, as far as its folder tells.

    Building what is the newest already leaves the folder as it is; the catalogue knows of it.
    """
    return datetime.fromisoformat(manifest.get("build_time") or manifest["create_time"])


def has_rows(folder: Path) -> bool:
    """Whether a version's rows are there: not removed since."""
    return (folder / EXAMPLES_FILE).exists()


def rows_removed(folder: Path) -> DataError:
    """The error for a version whose rows are not there any more."""
    cure = f"`tidemill datasets rebuild {folder.name[:12]}` makes them again"
    return DataError("DATASET_REMOVED", f"the rows of {folder} were removed: {cure}")


def damaged(path: Path, detail: object) -> DataError:
    """The error for a file of a version that cannot be read, or is not what was published."""
    cure = "remove its folder, and the next build_dataset makes it again"
    return DataError("DATASET_DAMAGED", f"{path} is damaged: {detail}; {cure}")


def _is_id(manifest: Path) -> bool:
    return _ID.fullmatch(manifest.parent.name) is not None
