"""Model versions, and the deployments that put them in traffic."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import func, select, update

from tidemill_core.domain.gate import GateResult
from tidemill_core.domain.model import Deployment, ModelState, ModelVersion
from tidemill_core.domain.traffic import Traffic, plan_traffic
from tidemill_core.storage.database import Database, Page
from tidemill_core.storage.deployments import (
    Change,
    current_deployment,
    deployment_of_row,
    record_deployment,
    repeated_change,
    require_deployment,
)
from tidemill_core.storage.gate_results import (
    approve,
    gate_results_of,
    record_gate_results,
    reject,
)
from tidemill_core.storage.model_rows import (
    current_deployments,
    get_version,
    make_champion,
    new_candidate,
    recall,
    require_loaded,
    roll_back,
    served_versions,
    set_state,
    this,
    version_of_row,
)
from tidemill_core.storage.rollouts import keep_to_one_canary, request_rollout
from tidemill_core.storage.schema import deployments, model_versions


class ModelStore:
    """The tables of model versions and deployments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_candidate(
        self,
        task: str,
        model_format: str,
        dataset_version: str,
        now: datetime,
        above: int = 0,
        trained_because: str = "",
    ) -> ModelVersion:
        """Add a candidate with the task's next version number, which is greater than `above`."""
        highest = select(func.coalesce(func.max(model_versions.c.version), 0))
        with self._database.write(alone_on=model_versions) as connection:
            known = connection.execute(highest.where(model_versions.c.task == task)).scalar_one()
            version = max(known, above) + 1
            candidate = new_candidate(
                task, version, model_format, dataset_version, now, trained_because
            )
            connection.execute(model_versions.insert(), vars(candidate))
        return candidate

    def judge(
        self,
        task: str,
        version: int,
        target: ModelState,
        measures: Mapping[str, float],
        reason: str,
        now: datetime,
        gates: Sequence[GateResult] = (),
        rollout: bool = False,
        promotion: Change | None = None,
    ) -> ModelVersion:
        """Make a candidate VALIDATED, REJECTED or AWAITING_APPROVAL, and store why.

        With `rollout`, a VALIDATED one then waits for its rollout, unless it is the task's first.
        With `promotion`, a VALIDATED one becomes champion in the same transaction.

        Raises:
            IllegalTransition: the version is no candidate.
            VersionNotLoaded: it would be promoted, and Triton does not keep it loaded.
        """
        with self._database.write(alone_on=model_versions) as connection:
            set_state(connection, task, version, target, reason, now)
            row = this(task, version)
            values = {"measures": dict(measures), "judge_time": now}
            connection.execute(update(model_versions).where(row).values(values))
            record_gate_results(connection, task, version, gates)
            if rollout and target is ModelState.VALIDATED:
                request_rollout(connection, task, version, now)
            if promotion is not None and target is ModelState.VALIDATED:
                make_champion(connection, task, version, promotion)
            return get_version(connection, task, version)

    def approve(
        self, task: str, version: int, change: Change, rollout: bool = False
    ) -> ModelVersion:
        """Make a version that waits for a person VALIDATED, and store who approved it.

        A version that was approved before stays as it is. `rollout` is as in `judge`.

        Raises:
            NotFound: there is no such version.
            IllegalTransition: it does not wait for a person.
        """
        with self._database.write(alone_on=model_versions) as connection:
            approved, is_new = approve(connection, task, version, change)
            if rollout and is_new:
                request_rollout(connection, task, version, change.time)
            return approved

    def reject(self, task: str, version: int, change: Change) -> ModelVersion:
        """Make a version that waits for a person REJECTED, and store who rejected it and why.

        A version that a person rejected before stays as it is.

        Raises:
            NotFound: there is no such version.
            IllegalTransition: it does not wait for a person.
        """
        with self._database.write(alone_on=model_versions) as connection:
            return reject(connection, task, version, change)

    def get(self, task: str, version: int) -> ModelVersion:
        """Return one version.

        Raises:
            NotFound: there is no such version.
        """
        with self._database.read() as connection:
            return get_version(connection, task, version)

    def gate_results(self, task: str, version: int) -> list[GateResult]:
        """Return what the gates found about a version; empty before it is judged."""
        with self._database.read() as connection:
            return gate_results_of(connection, task, version)

    def page(self, task: str, page: Page) -> tuple[list[ModelVersion], str]:
        """Return a page of versions, newest first, and the next page's token."""
        return self._database.page(version_of_row, model_versions, page, task=task)

    def in_states(self, task: str, states: Sequence[ModelState]) -> list[ModelVersion]:
        """Return a task's versions that are in one of some states, oldest first."""
        query = select(model_versions).where(
            model_versions.c.task == task, model_versions.c.state.in_(states)
        )
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(model_versions.c.version)).mappings()
            return [version_of_row(row) for row in rows]

    def versions_to_serve(self, task: str) -> list[ModelVersion]:
        """Return the versions of a task that Triton must have loaded, oldest first."""
        with self._database.read() as connection:
            return served_versions(connection, task)

    def deployment(self, task: str) -> Deployment | None:
        """Return the current deployment of a task; None before its first champion."""
        with self._database.read() as connection:
            return current_deployment(connection, task)

    def deployments(self) -> dict[str, Deployment]:
        """Return the current deployments, by task."""
        with self._database.read() as connection:
            return current_deployments(connection)

    def serving(self) -> dict[str, tuple[Deployment, list[ModelVersion]]]:
        """Return the current deployment and the versions to serve, by task, as of one moment."""
        with self._database.read() as connection:
            held = current_deployments(connection)
            return {task: (held[task], served_versions(connection, task)) for task in held}

    def deployments_page(self, task: str, page: Page) -> tuple[list[Deployment], str]:
        """Return a page of changes of traffic, newest first, and the next page's token."""
        return self._database.page(deployment_of_row, deployments, page, task=task)

    def recall(self, task: str, version: int, change: Change) -> ModelVersion | None:
        """Make Triton load a version, so that it can be promoted.

        A ROLLED_BACK version becomes VALIDATED, so a champion that was rolled back by mistake can
        return. A VALIDATED version that was unloaded for a newer champion is loaded again.

        Returns:
            The version as it was before; None if the same request promoted it already.

        Raises:
            NotFound: there is no such version.
            IllegalTransition: it cannot become champion.
        """
        with self._database.write(alone_on=model_versions) as connection:
            return recall(connection, task, version, change)

    def promote(self, task: str, version: int, change: Change) -> Deployment:
        """Make a version champion; the previous one retires and stays loaded.

        Raises:
            NotFound: there is no such version.
            IllegalTransition: its state does not allow it.
            VersionNotLoaded: Triton does not keep it loaded; `recall` it first.
        """
        with self._database.write(alone_on=model_versions) as connection:
            if (repeated := repeated_change(connection, change)) is not None:
                return repeated
            return make_champion(connection, task, version, change)

    def rollback(self, task: str, change: Change) -> Deployment:
        """Take the champion out of traffic and make the previous one champion again.

        Raises:
            NoChampion: the task has no champion.
            FailedPrecondition: the task has no previous champion.
        """
        with self._database.write(alone_on=model_versions) as connection:
            if (repeated := repeated_change(connection, change)) is not None:
                return repeated
            return roll_back(connection, task, change)

    def set_traffic(self, task: str, traffic: Traffic, change: Change) -> Deployment:
        """Replace the canaries and shadows of a task.

        Raises:
            NoChampion: the task has no champion to share the traffic with.
            NotFound: there is no such version.
            RolloutRunning: another version's rollout needs all callers that the champion leaves.
            IllegalTransition: a version's state does not allow the change.
            VersionNotLoaded: Triton does not keep a version loaded.
        """
        with self._database.write(alone_on=model_versions) as connection:
            if (repeated := repeated_change(connection, change)) is not None:
                return repeated
            current = require_deployment(connection, task)
            before = Traffic(current.canaries, current.shadows)
            keep_to_one_canary(connection, task, before, traffic)
            require_loaded(connection, task, [*traffic.canaries, *traffic.shadows])
            reason = change.comment or f"traffic set by {change.actor}"
            for version, target in plan_traffic(before, traffic):
                set_state(connection, task, version, target, reason, change.time)
            versions = (current.champion, current.previous_champion)
            return record_deployment(
                connection, task, versions, (traffic.canaries, traffic.shadows), change
            )
