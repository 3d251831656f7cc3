"""`tidemill models history`: what happened to a task's versions, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from google.protobuf.timestamp_pb2 import Timestamp

from tidemill.v1 import model_service_pb2 as pb
from tidemill_cli.connection import connected
from tidemill_cli.listing import Columns, collect, print_list
from tidemill_cli.messages import enum_name
from tidemill_cli.options import Address, AsJson, LastTask, Limit
from tidemill_cli.tasks import the_task

HISTORY_EXAMPLE = "Example: tidemill models history support"
_JUDGED = ("VALIDATED", "REJECTED", "AWAITING_APPROVAL")


@dataclass(frozen=True)
class Event:
    """Something that happened to a version.

    Attributes:
        time: when.
        version: the version.
        event: PUBLISHED, what the gates made of it, SHADOW, CANARY and its percent of the callers,
            CHAMPION or ROLLED_BACK.
        by: who did it; empty for what a job did to its own version.
        because: why.
    """

    time: datetime
    version: int
    event: str
    by: str
    because: str


def history(
    task: LastTask = "", limit: Limit = 20, address: Address = "", as_json: AsJson = False
) -> None:
    """List what happened to a task's versions, the newest first: published, judged, in traffic."""
    with connected(address) as client:
        named = the_task(client, task, address)
        listed = pb.ListModelVersionsRequest(task=named)
        versions = collect(client.models.ListModelVersions, listed, limit)
        deployed = pb.ListDeploymentsRequest(task=named)
        changes = collect(client.models.ListDeployments, deployed, limit + 1)
    columns: Columns = {
        "time (UTC)": "time",
        "version": "version",
        "event": "event",
        "by": "by",
        "because": "because",
    }
    empty = "no model versions yet; `tidemill jobs run retrain` trains one"
    print_list(events(versions, changes)[:limit], columns, empty, as_json)


def events(versions: Sequence[pb.ModelVersion], changes: Sequence[pb.Deployment]) -> list[Event]:
    """Return what happened, newest first; both arguments are newest first too."""
    # A version may become champion in the moment in which it is judged.
    found = [*_of_traffic(changes), *_of_versions(versions)]
    return sorted(found, key=lambda event: event.time, reverse=True)


def _of_versions(versions: Sequence[pb.ModelVersion]) -> Iterator[Event]:
    for version in reversed(versions):
        number, state = version.model_version, enum_name(version, "state")
        published = f"trained on {version.dataset_version[:12]}"
        yield Event(_moment(version.create_time), number, "PUBLISHED", "", published)
        if state in _JUDGED:
            reason = version.reason
            yield Event(_moment(version.update_time), number, state, version.approved_by, reason)
        # Its state and its reason are those of the traffic by now.
        if version.HasField("judge_time") and version.judge_time != version.update_time:
            because = "approved" if version.approved_by else "passed the gates"
            when = _moment(version.judge_time)
            yield Event(when, number, "VALIDATED", version.approved_by, because)


def _of_traffic(changes: Sequence[pb.Deployment]) -> Iterator[Event]:
    oldest_first = [pb.Deployment(), *reversed(changes)]
    for before, after in pairwise(oldest_first):
        if before.champion == after.champion:
            changed = _beside_champion(before, after)
        elif before.previous_champion == after.champion:
            changed = {before.champion: "ROLLED_BACK"}
        else:
            changed = {after.champion: "CHAMPION"}
        for version, event in sorted(changed.items()):
            yield Event(_moment(after.create_time), version, event, after.actor, after.comment)


def _beside_champion(before: pb.Deployment, after: pb.Deployment) -> dict[int, str]:
    """Return what became of the canaries and shadows, by version, if the champion stays."""
    was, now = _roles(before), _roles(after)
    gone = {version: "ROLLED_BACK" for version in was if version not in now}
    return gone | {version: role for version, role in now.items() if was.get(version) != role}


def _roles(deployment: pb.Deployment) -> dict[int, str]:
    canaries = {share.model_version: f"CANARY {share.percent} %" for share in deployment.canaries}
    return dict.fromkeys(deployment.shadows, "SHADOW") | canaries


def _moment(time: Timestamp) -> datetime:
    return time.ToDatetime(tzinfo=UTC)
