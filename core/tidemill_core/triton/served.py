"""The configuration of the versions that Triton serves.

A task's format is a setting that may change. Its versions then belong to two models, and both stay
configured while versions of both are trusted.
"""

from collections.abc import Iterable
from typing import cast

import structlog
from filelock import FileLock

from tidemill_core.domain.model import ModelVersion, model_name
from tidemill_core.model_repository import ModelRepository
from tidemill_core.triton.config import ModelConfig, ModelFormat, is_written, write_config

_LOCK_FILE = ".lock"
"""The lock in the repository with which one process at a time changes configurations."""

log = structlog.get_logger()


def by_model(versions: Iterable[ModelVersion]) -> dict[str, list[ModelVersion]]:
    """Group versions by their model."""
    found: dict[str, list[ModelVersion]] = {}
    for version in versions:
        found.setdefault(model_name(version.task, version.model_format), []).append(version)
    return found


def configure(repository: ModelRepository, versions: Iterable[ModelVersion]) -> list[str]:
    """Write config.pbtxt so that Triton serves exactly these versions at its next load.

    A file that differs, because it is damaged or from an earlier release, is written again. A
    version whose files differ from the published ones is left out and logged: at a start, Triton
    would serve no version of a model that has a broken one.

    Returns:
        The names of the models that serve them.
    """
    models = by_model(version for version in versions if is_whole(repository, version))
    for name, members in models.items():
        numbers = tuple(sorted(member.version for member in members))
        config = ModelConfig(name, cast("ModelFormat", members[0].model_format), numbers)
        repository.root.mkdir(parents=True, exist_ok=True)
        with FileLock(repository.root / _LOCK_FILE):
            if not is_written(repository.root, config):
                write_config(repository.root, config)
                log.info("model_configured", model=name, versions=numbers)
    return sorted(models)


def is_whole(repository: ModelRepository, version: ModelVersion) -> bool:
    """Return whether a version's files are the published ones; log an error if not."""
    damage = repository.damage(version.task, version.model_format, version.version)
    if damage is not None:
        log.error("version_damaged", task=version.task, version=version.version, detail=damage)
    return damage is None
