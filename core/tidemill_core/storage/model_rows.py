"""Model versions and current deployments, read and changed within a transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from tidemill_core.domain.model import Deployment, ModelState, ModelVersion, step, what_helps
from tidemill_core.domain.traffic import Traffic, versions_to_serve
from tidemill_core.errors import (
    FailedPrecondition,
    IllegalTransition,
    NotFound,
    VersionNotLoaded,
)
from tidemill_core.storage.deployments import (
    Change,
    current_deployment,
    deployment_of_row,
    record_deployment,
    repeated_change,
    require_deployment,
)
from tidemill_core.storage.schema import deployments, model_versions


def this(task: str, version: int) -> Any:
    """Return the condition that a row is that of a version."""
    return (model_versions.c.task == task) & (model_versions.c.version == version)


def get_version(connection: Connection, task: str, version: int) -> ModelVersion:
    """Return one version.

    Raises:
        NotFound: there is no such version.
    """
    query = select(model_versions).where(this(task, version))
    row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFound("model version", f"{task}/{version}")
    return version_of_row(row)


def current_deployments(connection: Connection) -> dict[str, Deployment]:
    """Return the current deployments, by task."""
    newest = select(func.max(deployments.c.deployment_id)).group_by(deployments.c.task)
    query = select(deployments).where(deployments.c.deployment_id.in_(newest))
    rows = connection.execute(query).mappings()
    return {row["task"]: deployment_of_row(row) for row in rows}


def served_versions(connection: Connection, task: str) -> list[ModelVersion]:
    """Return the versions of a task that Triton must have loaded, oldest first."""
    query = select(model_versions).where(model_versions.c.task == task)
    rows = connection.execute(query.order_by(model_versions.c.version)).mappings()
    versions = [version_of_row(row) for row in rows]
    wanted = versions_to_serve(current_deployment(connection, task), versions)
    return [version for version in versions if version.version in wanted]


def require_loaded(connection: Connection, task: str, versions: Sequence[int]) -> None:
    """Refuse traffic to versions that Triton does not keep loaded.

    Raises:
        NotFound: there is no such version.
        IllegalTransition: it is RETIRED; only a rollback makes it champion again.
        VersionNotLoaded: a newer version became champion, so Triton unloaded it.
    """
    loaded = {v.version for v in served_versions(connection, task)}
    for version in versions:
        state = get_version(connection, task, version).state
        if state is ModelState.RETIRED:
            raise IllegalTransition(state, "SHADOW, CANARY or CHAMPION", what_helps(state, ()))
        if state is ModelState.VALIDATED and version not in loaded:
            raise VersionNotLoaded(task, version, "a newer version is champion")


def recall(connection: Connection, task: str, version: int, change: Change) -> ModelVersion | None:
    """Make a ROLLED_BACK or unloaded version one that Triton loads; see `ModelStore.recall`."""
    if repeated_change(connection, change) is not None:
        return None
    before = get_version(connection, task, version)
    if before.state is ModelState.RETIRED:
        raise IllegalTransition(before.state, ModelState.CHAMPION, what_helps(before.state, ()))
    if before.state in (ModelState.ROLLED_BACK, ModelState.VALIDATED):
        waiting = {
            "state": ModelState.VALIDATED,
            "reason": f"{change.actor} asked to make it champion",
            "update_time": change.time,
        }
        connection.execute(update(model_versions).where(this(task, version)).values(waiting))
    elif before.state not in (ModelState.SHADOW, ModelState.CANARY):
        promoted = (ModelState.VALIDATED, ModelState.SHADOW, ModelState.CANARY)
        needed = (*promoted, ModelState.ROLLED_BACK)
        rule = what_helps(before.state, needed)
        raise IllegalTransition(before.state, ModelState.CHAMPION, rule)
    return before


def set_state(
    connection: Connection, task: str, version: int, target: ModelState, reason: str, now: datetime
) -> None:
    """Change a version's state.

    Raises:
        NotFound: there is no such version.
        IllegalTransition: the lifecycle has no such step.
    """
    state = step(get_version(connection, task, version).state, target)
    change = update(model_versions).where(this(task, version))
    connection.execute(change.values(state=state, reason=reason, update_time=now))


def version_of_row(row: Mapping[Any, Any]) -> ModelVersion:
    """Return a row as a value."""
    values = {name: value for name, value in row.items() if name != "sequence"}
    return ModelVersion(**{**values, "state": ModelState(values["state"])})


def new_candidate(
    task: str,
    version: int,
    model_format: str,
    dataset_version: str,
    now: datetime,
    trained_because: str,
) -> ModelVersion:
    """Return a version that is published now, and not judged yet."""
    return ModelVersion(
        task=task,
        version=version,
        model_format=model_format,
        state=ModelState.CANDIDATE,
        dataset_version=dataset_version,
        measures={},
        reason="not judged yet",
        create_time=now,
        update_time=now,
        trained_because=trained_because,
    )


def make_champion(connection: Connection, task: str, version: int, change: Change) -> Deployment:
    """Make a version champion in a transaction; the previous one retires and stays loaded.

    Raises:
        NotFound: there is no such version.
        IllegalTransition: its state does not allow it.
        VersionNotLoaded: Triton does not keep it loaded.
    """
    require_loaded(connection, task, [version])
    current = current_deployment(connection, task)
    reason = change.comment or f"promoted by {change.actor}"
    set_state(connection, task, version, ModelState.CHAMPION, reason, change.time)
    previous, traffic = 0, Traffic()
    if current is not None:
        previous = current.champion
        retired = f"version {version} took over"
        set_state(connection, task, previous, ModelState.RETIRED, retired, change.time)
        canaries = {v: p for v, p in current.canaries.items() if v != version}
        traffic = Traffic(canaries, tuple(v for v in current.shadows if v != version))
    place = (traffic.canaries, traffic.shadows)
    return record_deployment(connection, task, (version, previous), place, change)


def roll_back(connection: Connection, task: str, change: Change) -> Deployment:
    """Make the previous champion champion again in a transaction; see `ModelStore.rollback`."""
    current = require_deployment(connection, task)
    previous = current.previous_champion
    if not previous:
        message = f"{task!r} has no previous champion: a rollback goes back one step only"
        raise FailedPrecondition(message, "NO_PREVIOUS_CHAMPION")
    reason = change.comment or f"rolled back by {change.actor}"
    rolled_back = ModelState.ROLLED_BACK
    set_state(connection, task, current.champion, rolled_back, reason, change.time)
    set_state(connection, task, previous, ModelState.CHAMPION, reason, change.time)
    place = (current.canaries, current.shadows)
    return record_deployment(connection, task, (previous, 0), place, change)
