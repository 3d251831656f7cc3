"""Tracking of dataset versions with DVC, if the workspace is a DVC repository.

    <workspace>/datasets/<task>/<id>.dvc    names the version's folder in state_dir, and its hash

The state directory is private and mostly ignored by Git, and DVC adds no files in ignored folders.
So a version's `.dvc` file is in another folder, to be committed to Git; its `wdir` leads to the
state directory.
"""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import structlog

from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.errors import DataError
from tidemill_core.extras import installation
from tidemill_jobs.data.whole_files import written_whole

_FOLDER = "datasets"
_SECONDS = 600.0
"""Time limit of a DVC command, so that a slow remote does not block a build."""
_ENVIRONMENT = {"DVC_NO_ANALYTICS": "true"}

log = structlog.get_logger()


def track(version: DatasetVersion, workspace: Path) -> str:
    """Add a published version to DVC, and push it if there is a default remote.

    It does nothing in a workspace without a `.dvc` folder.

    Returns:
        The problem and its cure; empty if there is none. The version is published in any case.
    """
    if not (workspace / ".dvc").is_dir():
        return ""
    try:
        _track(version, workspace)
    except (DataError, _NotTracked) as error:
        log.warning("dataset_not_tracked", dataset_version=version.dataset_version, why=str(error))
        return f"the version is not completely in DVC: {error}"
    return ""


class _NotTracked(Exception):
    """A version cannot be added to DVC."""


def _track(version: DatasetVersion, workspace: Path) -> None:
    if find_spec("dvc") is None:
        raise _NotTracked(f"DVC is not installed here: {installation('dvc')}")
    if not Path(version.uri).is_relative_to(workspace):
        raise _NotTracked(f"state_dir must lie in the repository, {workspace}")
    file = Path(_FOLDER, version.task, f"{version.dataset_version}.dvc")
    if not (workspace / file).exists():
        place = Path(version.uri).relative_to(workspace).as_posix()
        content = f"wdir: ../..\nouts:\n- path: {json.dumps(place, ensure_ascii=False)}\n"
        with written_whole(workspace / file) as staged:
            staged.write_text(content, encoding="utf-8")
    _dvc(workspace, "commit", "--force", str(file))
    if "core.remote=" in _dvc(workspace, "config", "--list"):
        _dvc(workspace, "push", str(file))


def _dvc(workspace: Path, *arguments: str) -> str:
    """Run DVC; return its output."""
    by_hand = f"fix it, then run `dvc {' '.join(arguments)}` in {workspace}"
    try:
        done = subprocess.run(  # noqa: S603 -- our own arguments
            [sys.executable, "-m", "dvc", *arguments],
            cwd=workspace,
            env={**os.environ, **_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _NotTracked(f"DVC took longer than {_SECONDS:g} s; {by_hand}") from error
    if done.returncode:
        said = re.findall(r"^ERROR: (.+)", done.stderr, re.MULTILINE)
        raise _NotTracked(f"{'; '.join(said) or f'it ended with {done.returncode}'}; {by_hand}")
    return done.stdout
