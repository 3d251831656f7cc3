"""ModelService, and the effect of its changes on the traffic."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.server.front import NOW, Front, Workspace
from tests.integration.server.refusal import refusal, words
from tests.plugins.waiting import wait_until
from tidemill.v1 import model_service_pb2 as pb
from tidemill.v1 import prediction_service_pb2
from tidemill_core.domain.gate import GateResult, GateVerdict
from tidemill_core.domain.model import ModelState


def predict(front: Front, task: str, **fields: Any) -> prediction_service_pb2.Prediction:
    """Request one prediction."""
    request = prediction_service_pb2.PredictRequest(task=task, text="lost my card", **fields)
    return front.predictions.Predict(request, timeout=10).prediction


class Callers:
    """Callers that ask one after another; a failed request fails the test."""

    def __init__(self, front: Front, task: str, count: int) -> None:
        self._front, self._task = front, task
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(count)]
        self.answers: list[tuple[float, int]] = []
        self.failures: list[Exception] = []

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._stopping.is_set():
            sent = time.monotonic()
            try:
                self.answers.append((sent, predict(self._front, self._task).model_version))
            except Exception as error:
                self.failures.append(error)

    def moved(self, change: Callable[[], object], version: int) -> float:
        """Return the seconds until all requests go to a version."""
        asked = len(self.answers)
        wait_until(lambda: len(self.answers) > asked + 50, "the callers are answered")
        change()
        start = time.monotonic()
        time.sleep(1.2)  # the callers go on, and nobody may get another version's answer late
        return max((sent - start for sent, v in self.answers if v != version), default=0.0)


def test_promotion_and_rollback_move_the_traffic_at_once(front: Front) -> None:
    """Under 8 callers no request fails, and within a second all go to the new champion."""

    def promote() -> pb.Deployment:
        request = pb.PromoteModelVersionRequest(
            task="swapped", model_version=2, actor="ann", comment="better", request_id="p-1"
        )
        return front.models.PromoteModelVersion(request, timeout=10).deployment

    def roll_back() -> pb.Deployment:
        request = pb.RollbackModelRequest(
            task="swapped", actor="bob", comment="worse", request_id="b-1"
        )
        return front.models.RollbackModel(request, timeout=10).deployment

    with Callers(front, "swapped", 8) as callers:
        assert callers.moved(promote, 2) < 1.0
        assert predict(front, "swapped", model_version=1).model_version == 1
        assert callers.moved(roll_back, 1) < 1.0
    assert callers.failures == []
    assert len(callers.answers) > 200
    assert promote().champion == 2  # a repeat gets its first answer again
    assert predict(front, "swapped").model_version == 1
    listed = front.models.ListDeployments(pb.ListDeploymentsRequest(task="swapped"), timeout=10)
    assert [(d.champion, d.actor, d.comment) for d in listed.deployments] == [
        (1, "bob", "worse"),
        (2, "ann", "better"),
        (1, "test", "first"),
    ]
    states = {v.model_version: v.state for v in versions(front, "swapped")}
    assert states == {1: pb.MODEL_STATE_CHAMPION, 2: pb.MODEL_STATE_ROLLED_BACK}
    back = pb.RollbackModelRequest(task="swapped")
    refused = refusal(lambda: front.models.RollbackModel(back, timeout=10))
    assert words(refused) == ("FAILED_PRECONDITION", "NO_PREVIOUS_CHAMPION", "")


def test_a_champion_that_was_rolled_back_by_mistake_comes_back(front: Front) -> None:
    """Under 8 callers a promotion undoes a rollback, and no request fails."""
    again = pb.PromoteModelVersionRequest(task="undone", model_version=2, actor="ann")
    front.models.PromoteModelVersion(again, timeout=30)
    with Callers(front, "undone", 8) as callers:
        front.models.RollbackModel(pb.RollbackModelRequest(task="undone"), timeout=10)
        wait_until(lambda: predict(front, "undone").model_version == 1, "version 1 answers", 2)
        deployment = front.models.PromoteModelVersion(again, timeout=30).deployment
        wait_until(lambda: predict(front, "undone").model_version == 2, "version 2 answers", 2)
    assert (deployment.champion, deployment.previous_champion) == (2, 1)
    assert callers.failures == []
    states = {v.model_version: v.state for v in versions(front, "undone")}
    assert states == {1: pb.MODEL_STATE_RETIRED, 2: pb.MODEL_STATE_CHAMPION}


def versions(front: Front, task: str) -> list[pb.ModelVersion]:
    """Return all versions of a task."""
    request = pb.ListModelVersionsRequest(task=task)
    return list(front.models.ListModelVersions(request, timeout=10).model_versions)


def set_traffic(front: Front, canaries: dict[int, int], *shadows: int) -> pb.Deployment:
    """Set canaries and shadows of `mixed`."""
    shares = [pb.TrafficShare(model_version=v, percent=p) for v, p in canaries.items()]
    request = pb.SetTrafficRequest(task="mixed", canaries=shares, shadows=shadows, actor="ann")
    return front.models.SetTraffic(request, timeout=10).deployment


def test_canaries_share_and_shadows_watch(front: Front, workspace: Workspace) -> None:
    """A canary gets its share, sticky by key; a shadow gets copies and answers no caller."""
    set_traffic(front, {}, 2)
    refused = refusal(lambda: set_traffic(front, {3: 30}))
    assert words(refused) == ("FAILED_PRECONDITION", "ILLEGAL_TRANSITION", "")
    deployment = set_traffic(front, {2: 30}, 3)
    assert [(c.model_version, c.percent) for c in deployment.canaries] == [(2, 30)]
    wait_until(
        lambda: predict(front, "mixed", routing_key="u1").model_version == 2, "version 2 answers", 2
    )
    keys = [f"u{i}" for i in range(400)]
    first = {key: predict(front, "mixed", routing_key=key, request_id="m") for key in keys}
    again = {key: predict(front, "mixed", routing_key=key).model_version for key in keys[:50]}
    assert all(first[key].model_version == version for key, version in again.items())
    assert Counter(answer.model_version for answer in first.values())[2] == pytest.approx(
        120, abs=40
    )
    assert {answer.model_version for answer in first.values()} == {1, 2}
    assert {predict(front, "mixed").model_version for _ in range(60)} == {1, 2}

    def seen() -> dict[str, list[Any]]:
        rows = [row for row in workspace.stored() if row[4] == "m"]
        return {kind: [r for r in rows if r[1] == kind] for kind in ("Predict", "Shadow")}

    wait_until(
        lambda: [len(rows) for rows in seen().values()] == [400, 400],
        "both shadows have seen all texts",
    )
    assert {row[2] for row in seen()["Shadow"]} == {3}
    propensity = {row[0]: round(row[3], 3) for row in seen()["Predict"]}
    expected = {1: 0.7, 2: 0.3}
    assert propensity == {a.prediction_id: expected[a.model_version] for a in first.values()}


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"task": "unheard_of"}, "UNKNOWN_TASK", "task"),
        ({"canaries": [(2, 0)]}, "INVALID_PERCENT", "canaries[0].percent"),
        ({"canaries": [(2, 100)]}, "INVALID_PERCENT", "canaries[0].percent"),
        ({"canaries": [(2, 60), (3, 40)]}, "INVALID_PERCENT", "canaries"),
        ({"canaries": [(2, 5), (2, 5)]}, "DUPLICATE_VERSION", "canaries"),
        ({"canaries": [(2, 5)], "shadows": [2]}, "DUPLICATE_VERSION", "shadows"),
        ({"actor": "a" * 201}, "VALUE_TOO_LONG", "actor"),
        ({"comment": "c" * 2001}, "VALUE_TOO_LONG", "comment"),
    ],
)
def test_traffic_that_makes_no_sense_is_refused(
    front: Front, fields: dict[str, Any], reason: str, field: str
) -> None:
    """Each broken rule is INVALID_ARGUMENT with its reason and field."""
    shares = [pb.TrafficShare(model_version=v, percent=p) for v, p in fields.pop("canaries", [])]
    request = pb.SetTrafficRequest(**{"task": "support", **fields}, canaries=shares)
    refused = refusal(lambda: front.models.SetTraffic(request, timeout=10))
    assert words(refused) == ("INVALID_ARGUMENT", reason, field)


def test_the_champion_cannot_be_its_own_canary(front: Front) -> None:
    """A champion that is also in the traffic is refused."""
    shares = [pb.TrafficShare(model_version=1, percent=5)]
    request = pb.SetTrafficRequest(task="support", canaries=shares)
    refused = refusal(lambda: front.models.SetTraffic(request, timeout=10))
    assert words(refused) == ("FAILED_PRECONDITION", "ILLEGAL_TRANSITION", "")


def test_versions_are_listed_in_pages_and_found(front: Front) -> None:
    """Each version is listed once, newest first; version 0 is the champion."""
    seen, token = [], ""
    while True:
        request = pb.ListModelVersionsRequest(task="mixed", page_size=2, page_token=token)
        page = front.models.ListModelVersions(request, timeout=10)
        seen += [version.model_version for version in page.model_versions]
        if not (token := page.next_page_token):
            break
    assert seen == [3, 2, 1]
    asked = pb.GetModelVersionRequest(task="support")
    found = front.models.GetModelVersion(asked, timeout=10).model_version
    assert (found.model_version, found.state) == (1, pb.MODEL_STATE_CHAMPION)
    assert dict(found.measures) == {"accuracy": 0.9}


def test_releases_are_paused_and_resumed(front: Front, workspace: Workspace) -> None:
    """A pause has who asked and why, and ends when it is resumed; an unknown task is refused."""
    pauses = workspace.storage.pauses
    asked = pb.PauseReleasesRequest(task="support", actor="ann", comment="labels are checked")
    front.models.PauseReleases(asked, timeout=10)
    paused = pauses.get("support")
    assert paused is not None
    assert (paused.actor, paused.comment) == ("ann", "labels are checked")
    for was_paused in (True, False):
        resume = pb.ResumeReleasesRequest(task="support")
        assert front.models.ResumeReleases(resume, timeout=10).was_paused is was_paused
        assert pauses.get("support") is None
    unknown = pb.PauseReleasesRequest(task="other")
    refused = refusal(lambda: front.models.PauseReleases(unknown, timeout=10))
    assert words(refused) == ("INVALID_ARGUMENT", "UNKNOWN_TASK", "task")


def test_a_version_has_what_the_gates_found(front: Front, workspace: Workspace) -> None:
    """GetModelVersion has each verdict, with its figures only where the gate has them."""
    found = [
        GateResult("loads", GateVerdict.PASSED, None, None, "loaded"),
        GateResult("classes", GateVerdict.FAILED, 0.0, 0.5, "no", {"parts": [{"rows": 3}]}),
    ]
    models = workspace.storage.models
    number = models.add_candidate("support", "onnx", "d" * 64, NOW).version
    models.judge("support", number, ModelState.REJECTED, {}, "no", NOW, found)
    asked = pb.GetModelVersionRequest(task="support", model_version=number)
    loads, classes = front.models.GetModelVersion(asked, timeout=10).gate_results
    assert (loads.gate, loads.verdict) == ("loads", pb.GATE_VERDICT_PASSED)
    assert not loads.HasField("figure")
    assert not loads.HasField("threshold")
    assert (classes.verdict, classes.reason) == (pb.GATE_VERDICT_FAILED, "no")
    assert (classes.HasField("figure"), classes.threshold) == (True, 0.5)
    parts: Any = classes.details["parts"]
    assert parts[0]["rows"] == 3


@pytest.mark.parametrize(
    ("task", "version", "expected"),
    [
        ("support", 99, ("NOT_FOUND", "MODEL_VERSION_NOT_FOUND", "")),
        ("support", -1, ("NOT_FOUND", "MODEL_VERSION_NOT_FOUND", "")),
        ("untrained", 0, ("FAILED_PRECONDITION", "NO_CHAMPION", "")),
        ("unheard_of", 1, ("INVALID_ARGUMENT", "UNKNOWN_TASK", "task")),
    ],
)
def test_a_version_that_is_not_there(
    front: Front, task: str, version: int, expected: tuple[str, str, str]
) -> None:
    """Reading or promoting a version that does not exist is an error."""
    get = pb.GetModelVersionRequest(task=task, model_version=version)
    assert words(refusal(lambda: front.models.GetModelVersion(get, timeout=10))) == expected
    if version:
        promote = pb.PromoteModelVersionRequest(task=task, model_version=version)
        refused = refusal(lambda: front.models.PromoteModelVersion(promote, timeout=10))
        assert words(refused) == expected


def test_nobody_can_roll_back_a_task_without_a_champion(front: Front) -> None:
    """RollbackModel and SetTraffic of an untrained task are NO_CHAMPION."""
    expected = ("FAILED_PRECONDITION", "NO_CHAMPION", "")
    back = pb.RollbackModelRequest(task="untrained")
    assert words(refusal(lambda: front.models.RollbackModel(back, timeout=10))) == expected
    traffic = pb.SetTrafficRequest(task="untrained", shadows=[1])
    assert words(refusal(lambda: front.models.SetTraffic(traffic, timeout=10))) == expected
