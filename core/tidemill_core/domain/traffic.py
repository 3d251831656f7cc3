"""Shares of the traffic, and the versions that must stay loaded for it."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tidemill_core.domain.model import Deployment, ModelState, ModelVersion


@dataclass(frozen=True)
class Traffic:
    """The canaries and shadows of a task.

    Attributes:
        canaries: percent of callers by version, each 1 to 99, together under 100.
        shadows: versions that get a copy of the traffic.
    """

    canaries: Mapping[int, int] = field(default_factory=dict)
    shadows: tuple[int, ...] = ()


def plan_traffic(before: Traffic, after: Traffic) -> list[tuple[int, ModelState]]:
    """Return the state changes, in order, that lead from one traffic to another."""
    in_traffic = set(after.canaries) | set(after.shadows)
    out = (set(before.canaries) | set(before.shadows)) - in_traffic
    steps = [(version, ModelState.ROLLED_BACK) for version in sorted(out)]
    new_shadows = set(after.shadows) - set(before.shadows)
    steps += [(version, ModelState.SHADOW) for version in sorted(new_shadows)]
    new_canaries = set(after.canaries) - set(before.canaries)
    steps += [(version, ModelState.CANARY) for version in sorted(new_canaries)]
    return steps


def route(deployment: Deployment, routing_key: str) -> tuple[int, float]:
    """Return the version for a caller, and the probability in (0, 1] that a caller gets it.

    Equal keys get the same version as long as the task's canaries stay the same. The hash that
    places a key among 10,000 includes the task's name, so tasks split independently.
    """
    digest = hashlib.sha256(f"{deployment.task}\0{routing_key}".encode()).digest()
    place = int.from_bytes(digest[:8]) % 10_000
    for version, percent in sorted(deployment.canaries.items()):
        place -= percent * 100
        if place < 0:
            return version, percent / 100
    return deployment.champion, 1 - sum(deployment.canaries.values()) / 100


def versions_to_serve(
    deployment: Deployment | None, versions: Iterable[ModelVersion]
) -> frozenset[int]:
    """Return the versions of a task that Triton must have loaded.

    These are the champion, the previous champion, canaries, shadows, and VALIDATED versions that
    wait for a person to promote them: versions newer than the champion, and versions that a person
    asked for after the last change of traffic.
    """
    if deployment is None:
        return frozenset(v.version for v in versions if v.state is ModelState.VALIDATED)
    waiting = {
        v.version
        for v in versions
        if v.state is ModelState.VALIDATED
        and (v.version > deployment.champion or v.update_time > deployment.create_time)
    }
    trusted = {deployment.champion, *deployment.canaries, *deployment.shadows, *waiting}
    if deployment.previous_champion:
        trusted.add(deployment.previous_champion)
    return frozenset(trusted)
