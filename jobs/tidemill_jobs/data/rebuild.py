"""Makes the rows of a dataset version again, from what its manifest says it was built from.

What came in is still there, segment by segment, and a version is a function of the segments and of
the settings that its manifest names. So a version whose rows were removed comes back the same, or,
where that cannot be, not at all.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tidemill_core.dataset_folder import MANIFEST_FILE, Manifest, damaged, has_rows, read_manifest
from tidemill_core.errors import DataError
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.landing.intake import Intake, Segment
from tidemill_jobs.data.publishing.assemble import RECIPE_SETTINGS, assemble
from tidemill_jobs.data.publishing.dataset import read_dataset, write_rows
from tidemill_jobs.data.publishing.digests import all_digests, content_id


def rebuild(context: JobContext, folder: Path) -> int:
    """Make a version's rows again, or check those that are there.

    Args:
        context: of the version's task.
        folder: the version's.

    Returns:
        How many rows it has.

    Raises:
        DataError: DATASET_CHANGED, what it was built from has changed since; DATASET_DAMAGED,
            INTAKE_DAMAGED or NOT_WRITTEN. Nothing is written then.
        RunCancelled: somebody asked the run to stop.
    """
    if has_rows(folder):
        return len(read_dataset(str(folder)))
    manifest = read_manifest(folder)
    intake = Intake(context.settings.state_dir / "intake" / context.task)
    with intake.locked(context.progress):
        segments = _segments(intake, manifest, folder)
        content = assemble(_as_then(context, manifest, folder), segments)
        if content_id(context.task, all_digests(folder, content.examples)) != folder.name:
            raise _changed(folder, manifest, "other rows come out")
        context.progress(0.8, "writes the rows")
        write_rows(content, folder)
    return len(content.examples)


def _segments(intake: Intake, manifest: Manifest, folder: Path) -> list[Segment]:
    """What had landed when the version was built."""
    segments: list[Segment] = []
    for source, number in _recipe(manifest, folder)["segments"].items():
        found = [segment for segment in intake.segments(source) if segment.number <= number]
        if [segment.number for segment in found] != list(range(1, number + 1)):
            missing = f"what landed of the source {source} up to {number:06d}.parquet is not whole"
            raise _changed(folder, manifest, missing)
        segments += found
    return segments


def _as_then(context: JobContext, manifest: Manifest, folder: Path) -> JobContext:
    """The context with the task's settings that decided on the version's rows."""
    settings = _recipe(manifest, folder)["settings"]
    then = {name: settings[name] for name in RECIPE_SETTINGS if name in settings}
    # The share was kept when the version was published, whatever it is now.
    task = context.task_settings.model_copy(update={**then, "max_quarantine_share": 1.0})
    tasks = {**context.settings.tasks, context.task: task}
    return replace(context, settings=context.settings.model_copy(update={"tasks": tasks}))


def _recipe(manifest: Manifest, folder: Path) -> dict[str, Any]:
    recipe = manifest.get("recipe")
    if not isinstance(recipe, dict) or not {"segments", "settings"} <= recipe.keys():
        raise damaged(folder / MANIFEST_FILE, "it does not say what the version was built from")
    return recipe


def _changed(folder: Path, manifest: Manifest, detail: str) -> DataError:
    return DataError(
        "DATASET_CHANGED",
        f"{folder} cannot be built again: {detail}. A folder of its intake was removed, a text was "
        f"erased, a labelling function was changed, or Tidemill was (it was built by "
        f"{manifest.get('code_version')}). Nothing was written; build_dataset makes a version of "
        "what is there now",
    )
