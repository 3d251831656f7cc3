"""Rebuild of a dataset version's rows from the inputs in its manifest.

A version is a function of the landed segments and of the settings that its manifest names. So a
version whose rows were removed comes back identical, or the rebuild fails.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidemill_core.dataset_copies import DatasetCopies
from tidemill_core.dataset_folder import (
    MANIFEST_FILE,
    DatasetManifest,
    damaged,
    has_rows,
    read_manifest,
)
from tidemill_core.errors import DataError
from tidemill_core.storage.erasures import ErasureStore
from tidemill_jobs.context import Progress
from tidemill_jobs.data.deciding.decide import decide
from tidemill_jobs.data.deciding.weak_labels.weak_labels import open_weak_labels
from tidemill_jobs.data.landing.intake import Intake, Segment
from tidemill_jobs.data.preparing.prepare import PreparedCache
from tidemill_jobs.data.publishing.assemble import assemble
from tidemill_jobs.data.publishing.dataset import read_dataset, write_rows
from tidemill_jobs.data.publishing.digests import all_digests, content_id
from tidemill_jobs.data.recipe import Recipe
from tidemill_jobs.data.task_folders import TaskFolders


def rebuild(
    folder: Path,
    datasets: DatasetCopies,
    state_dir: Path,
    erasures: ErasureStore,
    labeling_functions: Path | None,
    progress: Progress,
) -> int:
    """Rebuild a version's rows, or check them if they exist.

    Args:
        folder: the version's folder, `<state_dir>/datasets/<task>/<id>`.
        datasets: where its rows are stored.
        state_dir: the state directory.
        erasures: the texts that must not come back.
        labeling_functions: the task's file, used if the version was built with labeling functions.
        progress: reports the rebuild's progress.

    Returns:
        The number of rows.

    Raises:
        DataError: DATASET_CHANGED, because its inputs have changed; DATASET_DAMAGED,
            INTAKE_DAMAGED, PREPARED_DAMAGED or NOT_WRITTEN. Nothing is written then.
        ObjectStorageUnavailable, ObjectStorageRefused: the rows are here, but not stored.
        RunCanceled: someone stopped the run.
    """
    datasets.fetch(folder)
    if has_rows(folder):
        return len(read_dataset(str(folder)))
    task, manifest = folder.parent.name, read_manifest(folder)
    kept, recipe = _kept_recipe(manifest, folder)
    folders = TaskFolders.below(state_dir, task)
    intake = Intake(folders.intake)
    with intake.locked(progress):
        segments = _segments(intake, kept["segments"], manifest, folder)
        file = labeling_functions if kept["labeling_functions"] else None
        weak = open_weak_labels(file, recipe.rename, progress)
        prepared = PreparedCache(folders.prepared, recipe.cleaning).prepare(segments, progress)
        progress(0.6, "deciding what to keep")
        erased = erasures.hashes(task).keys()
        decided = decide(prepared, recipe.rename, recipe.near_duplicate_similarity, erased, weak)
        content = assemble(task, recipe, decided, weak)
        if content_id(task, all_digests(folder, content.examples)) != folder.name:
            raise _changed(folder, manifest, "the result has different rows")
        progress(0.8, "writing the rows")
        with datasets.changing(folder):
            write_rows(content, folder)
    return len(content.examples)


def _kept_recipe(manifest: DatasetManifest, folder: Path) -> tuple[Mapping[str, Any], Recipe]:
    """Return a manifest's `recipe`, and the settings in it.

    Raises:
        DataError: DATASET_DAMAGED.
    """
    try:
        kept = manifest["recipe"]
        if kept["segments"] and "labeling_functions" in kept:
            return kept, Recipe.of(kept["settings"])
    except (KeyError, TypeError):
        pass
    raise damaged(folder / MANIFEST_FILE, "it does not say what the version was built from")


def _segments(
    intake: Intake, numbers: Mapping[str, int], manifest: DatasetManifest, folder: Path
) -> list[Segment]:
    """Return the segments that had landed of each source when the version was built."""
    segments: list[Segment] = []
    for source, number in numbers.items():
        found = [segment for segment in intake.segments(source) if segment.number <= number]
        if [segment.number for segment in found] != list(range(1, number + 1)):
            missing = f"landed rows of the source {source} up to {number:06d}.parquet are missing"
            raise _changed(folder, manifest, missing)
        segments += found
    return segments


def _changed(folder: Path, manifest: DatasetManifest, detail: str) -> DataError:
    return DataError(
        "DATASET_CHANGED",
        f"{folder} cannot be rebuilt: {detail}. A folder of its intake was removed, a text was "
        f"erased, or a labeling function or Tidemill has changed (Tidemill was "
        f"{manifest.get('code_version')}). Nothing was written; run build_dataset to build a "
        "version from the current data",
    )
