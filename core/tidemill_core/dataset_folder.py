"""The folder of a dataset version: its files, its manifest, and the search for it by id.

<state_dir>/datasets/<task>/<id>/examples.parquet     the rows
                                /quarantine.parquet   every excluded row, and the reason
                                /manifest.json        its description and its inputs
                                /erased.parquet       placeholders for rows erased later

`tidemill datasets gc` removes the first two files and keeps the others.
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
"""The content of `manifest.json`: `tidemill_core.domain.dataset.DatasetVersion` in JSON without its
URI, and `outcome_counts`, `schema`, `recipe` and `profile` as its build wrote them."""


class DatasetMissing(DataError):
    """A dataset version, or a file of it, that is missing."""

    def __init__(self, message: str) -> None:
        super().__init__("DATASET_MISSING", message)


def version_folders(datasets: Path) -> list[Path]:
    """Return the folders of all versions of all tasks, by task and id.

    Args:
        datasets: the folder of all datasets; it may be missing.
    """
    return sorted(path.parent for path in datasets.glob(f"*/*/{MANIFEST_FILE}") if _is_id(path))


def find_version(datasets: Path, dataset_version: str) -> Path:
    """Return the folder of the version with an id, or with the start of an id.

    Args:
        datasets: the folder of all datasets.
        dataset_version: the id, or its first 8 or more characters.

    Raises:
        DatasetMissing: no version has this id.
        DataError: DATASET_AMBIGUOUS, several ids start with this.
    """
    found = []
    if _START_OF_ID.fullmatch(dataset_version):
        folders = version_folders(datasets)
        found = [folder for folder in folders if folder.name.startswith(dataset_version)]
    if not found:
        cure = "`tidemill datasets list` shows what there is; give 8 or more characters of the id"
        raise DatasetMissing(f"{datasets} holds no dataset version {dataset_version!r}: {cure}")
    if len(found) > 1:
        message = f"several dataset versions start with {dataset_version!r}: give more of the id"
        raise DataError("DATASET_AMBIGUOUS", message)
    return found[0]


def read_manifest(folder: Path) -> DatasetManifest:
    """Return a version's manifest.

    Raises:
        DatasetMissing: there is no manifest.
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
        raise damaged(path, "it is not a JSON object")
    return manifest


def build_time(manifest: DatasetManifest) -> datetime:
    """Return when the version was last built, by its folder.

    A build that repeats the newest version does not change the folder; only the catalog records it.
    """
    return datetime.fromisoformat(manifest.get("build_time") or manifest["create_time"])


def has_rows(folder: Path) -> bool:
    """Return whether a version still has its rows."""
    return (folder / EXAMPLES_FILE).exists()


def rows_removed(folder: Path) -> DataError:
    """Return the error for a version whose rows were removed."""
    cure = f"rebuild them with `tidemill datasets rebuild {folder.name[:12]}`"
    return DataError("DATASET_REMOVED", f"the rows of {folder} were removed: {cure}")


def damaged(path: Path, detail: object) -> DataError:
    """Return the error for a file that cannot be read or differs from the published one."""
    cure = "remove its folder, and the next build_dataset builds the version again"
    return DataError("DATASET_DAMAGED", f"{path} is damaged: {detail}; {cure}")


def _is_id(manifest: Path) -> bool:
    return _ID.fullmatch(manifest.parent.name) is not None
