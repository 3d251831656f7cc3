"""The history of a task's versions."""

from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from tidemill.v1 import model_service_pb2 as pb
from tidemill_cli.model_history import events

START = datetime(2026, 3, 1, tzinfo=UTC)


def at(hours: float) -> Timestamp:
    """Return a time some hours after the start."""
    time = Timestamp()
    time.FromDatetime(START + timedelta(hours=hours))
    return time


def version(number: int, hours: float, state: str) -> pb.ModelVersion:
    """Return a version that was judged half an hour after it was published."""
    return pb.ModelVersion(
        model_version=number,
        state=f"MODEL_STATE_{state}",
        dataset_version="d" * 64,
        reason=f"reason {number}",
        create_time=at(hours),
        update_time=at(hours + 0.5),
    )


def change(hours: float, champion: int, previous: int, **fields: Any) -> pb.Deployment:
    """Return a change of traffic."""
    return pb.Deployment(
        champion=champion,
        previous_champion=previous,
        create_time=at(hours),
        actor="ann",
        comment=f"because {hours:g}",
        **fields,
    )


def test_versions_and_traffic_are_one_history() -> None:
    """A promotion names the new champion, a rollback the version that left, newest first."""
    versions = [version(3, 6, "REJECTED"), version(2, 2, "ROLLED_BACK"), version(1, 0, "CHAMPION")]
    share = pb.TrafficShare(model_version=2, percent=5)
    changes = [change(5, 1, 0), change(4, 2, 1), change(3, 1, 0, canaries=[share]), change(1, 1, 0)]
    found = [(each.event, each.version, each.by) for each in events(versions, changes)]
    assert found == [
        ("REJECTED", 3, ""),
        ("PUBLISHED", 3, ""),
        ("ROLLED_BACK", 2, "ann"),
        ("CHAMPION", 2, "ann"),
        ("CANARY 5 %", 2, "ann"),
        ("PUBLISHED", 2, ""),
        ("CHAMPION", 1, "ann"),
        ("PUBLISHED", 1, ""),
    ]


def test_the_way_of_a_rollout() -> None:
    """Each step names the version on its way; what stays the same is no event."""

    def share(percent: int) -> list[pb.TrafficShare]:
        return [pb.TrafficShare(model_version=2, percent=percent)]

    changes = [
        change(5, 1, 0),
        change(4, 1, 0, canaries=share(25), shadows=[3]),
        change(3, 1, 0, canaries=share(5), shadows=[3]),
        change(2, 1, 0, shadows=[2, 3]),
        change(1, 1, 0, shadows=[3]),
    ]
    found = [(each.event, each.version) for each in events([], changes)]
    assert found == [
        ("ROLLED_BACK", 2),
        ("ROLLED_BACK", 3),
        ("CANARY 25 %", 2),
        ("CANARY 5 %", 2),
        ("SHADOW", 2),
        ("CHAMPION", 1),
    ]


def test_an_event_has_its_reason() -> None:
    """A verdict has the gates' reason, and a change of traffic its comment."""
    rejected, published = events([version(3, 6, "REJECTED")], [])
    assert (rejected.because, rejected.time) == ("reason 3", START + timedelta(hours=6.5))
    assert published.because == "trained on dddddddddddd"
    assert [each.because for each in events([], [change(1, 1, 0)])] == ["because 1"]


def test_a_version_in_traffic_was_validated_before() -> None:
    """The gates' verdict stays in the history, below what the version became at that moment."""
    judged = version(2, 0, "CHAMPION")
    judged.judge_time.CopyFrom(at(0.5))
    judged.update_time.CopyFrom(at(3))
    approved = version(1, 0, "RETIRED")
    approved.judge_time.CopyFrom(at(0.25))
    approved.approved_by = "ann"
    changes = [change(3, 2, 1), change(0.25, 1, 0)]
    found = [(e.event, e.version, e.by, e.because) for e in events([judged, approved], changes)]
    assert found[:-2] == [
        ("CHAMPION", 2, "ann", "because 3"),
        ("VALIDATED", 2, "", "passed the gates"),
        ("CHAMPION", 1, "ann", "because 0.25"),
        ("VALIDATED", 1, "ann", "approved"),
    ]


def test_a_version_that_was_just_judged_has_one_verdict() -> None:
    """The verdict is shown once, with its reason."""
    judged = version(1, 0, "VALIDATED")
    judged.judge_time.CopyFrom(judged.update_time)
    assert [each.because for each in events([judged], [])][:1] == ["reason 1"]
    assert [each.event for each in events([judged], [])] == ["VALIDATED", "PUBLISHED"]


def test_a_task_without_versions_has_no_history() -> None:
    """Nothing happened yet."""
    assert events([], []) == []
