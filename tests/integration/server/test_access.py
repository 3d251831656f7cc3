"""Access to a front that requires credentials, over real connections."""

import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tritonclient.grpc import service_pb2 as inference_pb

from tests.contract.storage.values import label_request
from tests.integration.server.guarded import TEXT, Guarded, bearer
from tests.integration.server.refusal import refusal, words
from tests.integration.server.test_health import SERVING, health
from tests.integration.server.test_inference_protocol import request, stub
from tests.integration.server.test_metrics import grown
from tests.plugins.waiting import wait_until
from tests.unit.server.security.issuer import Issuer
from tidemill.v1 import feedback_service_pb2 as feedback_pb
from tidemill.v1 import labeling_service_pb2 as labeling_pb
from tidemill.v1 import model_service_pb2 as model_pb
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_client import Overloaded, TidemillClient
from tidemill_core.clock import system_clock
from tidemill_core.domain.access import AuditRecord, Authentication, Scope
from tidemill_core.storage.api_keys import split_api_key
from tidemill_core.storage.database import Page

PREDICT, FEEDBACK, ADMIN = Scope.PREDICT, Scope.FEEDBACK, Scope.ADMIN
Options = dict[str, Any]
MISSING_SCOPE = ("PERMISSION_DENIED", "MISSING_SCOPE", "")
TASK_NOT_ALLOWED = ("PERMISSION_DENIED", "TASK_NOT_ALLOWED", "")


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        (None, "MISSING_CREDENTIAL"),
        ((("authorization", "Basic c2hvcDpzZWNyZXQ="),), "MALFORMED_CREDENTIAL"),
        ((("authorization", "Bearer"),), "MALFORMED_CREDENTIAL"),
        (bearer("a") + bearer("b"), "MALFORMED_CREDENTIAL"),
        (bearer("tm_0a1b2c3d4e5f_nobody"), "INVALID_API_KEY"),
        (bearer("no.token"), "INVALID_TOKEN"),
    ],
)
def test_without_a_good_credential_nothing_is_answered(
    guarded: Guarded, metadata: Any, reason: str
) -> None:
    """A call and a stream are UNAUTHENTICATED, with the reason."""
    assert words(guarded.refused(metadata)) == ("UNAUTHENTICATED", reason, "")
    ask = guarded.front.predictions.StreamPredict
    item = pb.StreamPredictRequest(id="a", task="support", text=TEXT)
    refused = refusal(lambda: list(ask(iter([item]), timeout=10, metadata=metadata)))
    assert words(refused) == ("UNAUTHENTICATED", reason, "")


def test_probes_need_no_credential(guarded: Guarded) -> None:
    """Health and the Open Inference Protocol's readiness are open to everyone."""
    assert health(guarded.front, "") == SERVING
    calls = stub(guarded.front)
    assert calls.ServerReady(inference_pb.ServerReadyRequest(), timeout=5).ready
    assert calls.ServerLive(inference_pb.ServerLiveRequest(), timeout=5).live


def test_a_key_is_good_until_it_expires(guarded: Guarded) -> None:
    """An expired key is API_KEY_EXPIRED."""
    end = system_clock() + timedelta(seconds=3)
    metadata = bearer(guarded.key(PREDICT, expire_time=end))
    assert guarded.predict(metadata).label
    wait_until(lambda: system_clock() >= end, "the key's time is over")
    assert words(guarded.refused(metadata)) == ("UNAUTHENTICATED", "API_KEY_EXPIRED", "")


def test_a_revoked_key_is_refused_within_a_second(guarded: Guarded) -> None:
    """Another key stays valid."""
    shown, other = guarded.key(PREDICT), guarded.key(PREDICT)
    assert guarded.predict(bearer(shown)).label
    guarded.workspace.storage.api_keys.revoke(split_api_key(shown)[0], system_clock())
    wait_until(lambda: not guarded.is_known(shown), "the key is refused", 1)
    assert words(guarded.refused(bearer(shown))) == ("UNAUTHENTICATED", "INVALID_API_KEY", "")
    assert guarded.predict(bearer(other)).label


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"exp": int(time.time()) - 60}, ("UNAUTHENTICATED", "TOKEN_EXPIRED", "")),
        ({"aud": "other"}, ("UNAUTHENTICATED", "INVALID_TOKEN", "")),
        ({"iss": "https://other.example"}, ("UNAUTHENTICATED", "INVALID_TOKEN", "")),
        ({"scope": "openid feedback"}, MISSING_SCOPE),
        ({"tasks": ["swapped"]}, TASK_NOT_ALLOWED),
    ],
    ids=["expired", "audience", "issuer", "scope", "task"],
)
def test_a_token_must_say_what_it_should(
    guarded: Guarded, changes: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    """A good token is accepted; with one wrong claim it is refused."""
    assert guarded.predict(bearer(guarded.issuer.token())).label
    assert words(guarded.refused(bearer(guarded.issuer.token(**changes)))) == expected


def test_a_token_must_be_signed_by_a_published_key(guarded: Guarded, tmp_path: Path) -> None:
    """Another key with the same id is INVALID_TOKEN, with a new id UNKNOWN_SIGNING_KEY."""
    stranger = Issuer(tmp_path / "jwks.json")
    refused = guarded.refused(bearer(stranger.token()))
    assert words(refused) == ("UNAUTHENTICATED", "INVALID_TOKEN", "")
    stranger.rotate("second")
    refused = guarded.refused(bearer(stranger.token()))
    assert words(refused) == ("UNAUTHENTICATED", "UNKNOWN_SIGNING_KEY", "")


def test_a_scope_opens_its_methods_and_no_others(guarded: Guarded) -> None:
    """Every kind of call without the method's scope is MISSING_SCOPE."""
    front, item = guarded.front, pb.StreamPredictRequest(id="a", task="support", text=TEXT)
    predicting: Options = {"timeout": 10, "metadata": bearer(guarded.key(PREDICT))}
    judging: Options = {"timeout": 10, "metadata": bearer(guarded.key(FEEDBACK))}
    made = guarded.predict(predicting["metadata"])
    verdict = feedback_pb.SubmitFeedbackRequest(prediction_id=made.prediction_id, correct=True)
    verdicts = [feedback_pb.StreamFeedbackRequest(prediction_id=made.prediction_id, correct=True)]
    assert front.feedback.SubmitFeedback(verdict, **judging).feedback.feedback_id
    assert stub(front).ModelInfer(request(), **predicting).id == "n0"
    refused = [
        refusal(partial(front.feedback.SubmitFeedback, verdict, **predicting)),
        refusal(partial(front.feedback.StreamFeedback, iter(verdicts), **predicting)),
        refusal(partial(front.models.SetTraffic, model_pb.SetTrafficRequest(), **predicting)),
        refusal(lambda: guarded.predict(judging["metadata"])),
        refusal(lambda: list(front.predictions.StreamPredict(iter([item]), **judging))),
        refusal(partial(stub(front).ModelInfer, request(), **judging)),
        refusal(lambda: list(stub(front).ModelStreamInfer(iter([request()]), **judging))),
        refusal(
            partial(stub(front).ServerMetadata, inference_pb.ServerMetadataRequest(), **judging)
        ),
    ]
    assert {words(each) for each in refused} == {MISSING_SCOPE}


def test_a_key_of_one_task_is_held_to_it_in_every_message(guarded: Guarded) -> None:
    """Another task is TASK_NOT_ALLOWED in every kind of call."""
    shown = guarded.key(PREDICT, FEEDBACK, tasks=["support"])
    front = guarded.front
    options: Options = {"timeout": 10, "metadata": bearer(shown)}
    theirs = guarded.predict(bearer(guarded.key(PREDICT)), "swapped").prediction_id
    own = guarded.predict(options["metadata"]).prediction_id
    items = [pb.StreamPredictRequest(id=t, task=t, text=TEXT) for t in ("support", "swapped")]
    stream = front.predictions.StreamPredict(iter(items), **options)
    assert next(stream).prediction.label
    infers = [request(0), request(1)]
    infers[1].model_name = "swapped-onnx"
    infer_stream = stub(front).ModelStreamInfer(iter(infers), **options)
    assert next(infer_stream).infer_response.id == "n0"
    verdict = feedback_pb.SubmitFeedbackRequest(prediction_id=theirs, correct=True)
    verdicts = [
        feedback_pb.StreamFeedbackRequest(prediction_id=each, correct=True)
        for each in (own, theirs)
    ]
    refused = [
        guarded.refused(options["metadata"], "swapped"),
        refusal(lambda: next(stream)),
        refusal(partial(stub(front).ModelInfer, infers[1], **options)),
        refusal(lambda: next(infer_stream)),
        refusal(partial(front.feedback.SubmitFeedback, verdict, **options)),
        refusal(partial(front.feedback.StreamFeedback, iter(verdicts), **options)),
    ]
    assert {words(each) for each in refused} == {TASK_NOT_ALLOWED}


def test_preferences_are_given_with_feedback_and_read_by_admins(guarded: Guarded) -> None:
    """Only label reads pairs to judge. Another scope is MISSING_SCOPE; a key names its task."""
    pair = {"prompt": "p", "chosen": "x", "rejected": "y", "annotator": "ana"}
    feedback, listing = guarded.front.feedback, feedback_pb.ListPreferencesRequest(task="support")

    def submit(key: str, task: str) -> feedback_pb.Preference:
        request = feedback_pb.SubmitPreferenceRequest(task=task, **pair)
        options: Options = {"timeout": 10, "metadata": bearer(key)}
        return feedback.SubmitPreference(request, **options).preference

    judging, admin = guarded.key(FEEDBACK, tasks=["support"]), guarded.key(ADMIN)
    made = submit(judging, "support")
    seen = feedback.ListPreferences(listing, timeout=10, metadata=bearer(admin)).preferences
    assert made in seen
    others = [partial(submit, judging, task) for task in ("", "swapped")]
    assert {words(refusal(call)) for call in others} == {TASK_NOT_ALLOWED}
    reading = guarded.key(Scope.LABEL, tasks=["support"])
    waiting = feedback_pb.NextPreferencePairsRequest(task="support", annotator="ben")
    pairs = feedback.NextPreferencePairs(waiting, timeout=10, metadata=bearer(reading)).pairs
    assert [pair.prompt for pair in pairs] == ["p"]
    unfit = [
        partial(feedback.NextPreferencePairs, waiting, timeout=10, metadata=bearer(judging)),
        partial(submit, admin, "support"),
        partial(submit, guarded.key(PREDICT), "support"),
        partial(feedback.ListPreferences, listing, timeout=10, metadata=bearer(judging)),
    ]
    assert {words(refusal(call)) for call in unfit} == {MISSING_SCOPE}


def test_labels_are_given_with_their_scope_and_read_by_admins(guarded: Guarded) -> None:
    """Another scope is MISSING_SCOPE; a key of one task gets only that task's items."""
    labeling, admin = guarded.front.labeling, guarded.key(ADMIN)
    texts = [label_request(task=task) for task in ("support", "swapped")]
    guarded.workspace.storage.label_items.add(texts, 1, system_clock())

    def lease(key: str, task: str) -> labeling_pb.LabelItem:
        asked = labeling_pb.LeaseLabelItemsRequest(task=task, annotator="ana")
        found = labeling.LeaseLabelItems(asked, timeout=10, metadata=bearer(key))
        return found.label_items[0]

    def submit(key: str, item: labeling_pb.LabelItem, task: str) -> labeling_pb.LabelItem:
        said = labeling_pb.SubmitLabelRequest(
            task=task, label_item_id=item.label_item_id, annotator="ana", label="a"
        )
        return labeling.SubmitLabel(said, timeout=10, metadata=bearer(key)).label_item

    def listed(key: str) -> labeling_pb.ListLabelItemsResponse:
        asked = labeling_pb.ListLabelItemsRequest(task="support")
        return labeling.ListLabelItems(asked, timeout=10, metadata=bearer(key))

    labeler, other = guarded.key(Scope.LABEL, tasks=["support"]), guarded.key(Scope.LABEL)
    theirs = lease(other, "swapped")
    assert words(refusal(lambda: lease(labeler, "swapped"))) == TASK_NOT_ALLOWED
    assert words(refusal(lambda: submit(labeler, theirs, "swapped"))) == TASK_NOT_ALLOWED
    refused = refusal(lambda: submit(labeler, theirs, "support"))
    assert words(refused) == ("NOT_FOUND", "LABEL_ITEM_NOT_FOUND", "")
    done = submit(labeler, lease(labeler, "support"), "support")
    assert [item.label for item in listed(admin).label_items] == [done.label]
    for call in (lambda: listed(labeler), lambda: lease(admin, "support")):
        assert words(refusal(call)) == MISSING_SCOPE


def test_a_front_that_is_started_alone_allows_the_whole_rate(guarded: Guarded) -> None:
    """It does not divide a rate by `server.workers`: it is one process, whatever they are."""
    metadata = bearer(guarded.key(PREDICT, rate=8))
    for _ in range(6):
        assert guarded.predict(metadata).label


def test_calls_beyond_a_keys_rate_are_told_when_to_come_back(guarded: Guarded) -> None:
    """They are RATE_LIMITED with RetryInfo, and with the same delay for gRPC's own retries."""
    metadata = bearer(guarded.key(PREDICT, rate=0.5))
    assert guarded.predict(metadata).label
    refused = guarded.refused(metadata)
    assert words(refused) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED", "")
    assert 1 < refused.retry_seconds <= 2


def test_the_client_waits_as_it_is_told(guarded: Guarded) -> None:
    """Its second attempt comes when the key's rate allows it, and not before."""
    with TidemillClient(guarded.front.address, api_key=guarded.key(PREDICT, rate=1)) as client:
        client.predict("support", TEXT)
        start = time.monotonic()
        call = partial(client.predict, "support", TEXT)
        counted = {"requests_total": {"reason": "RATE_LIMITED"}}
        assert grown(guarded.front, counted, call) == {"requests_total": 1}
        assert time.monotonic() - start > 0.6


def test_the_client_does_not_wait_where_its_time_would_be_up(guarded: Guarded) -> None:
    """If the rate allows the next call only after the deadline, the error comes immediately."""
    with TidemillClient(guarded.front.address, api_key=guarded.key(PREDICT, rate=0.2)) as client:
        client.predict("support", TEXT)
        start = time.monotonic()
        with pytest.raises(Overloaded) as caught:
            client.predict("support", TEXT, timeout=2)
        assert time.monotonic() - start < 1.5
        assert caught.value.reason == "RATE_LIMITED"
        assert 3 < (caught.value.retry_after_seconds or 0) <= 5


def audited(guarded: Guarded, task: str) -> list[AuditRecord]:
    """Return the task's audit records, oldest first."""
    records, _ = guarded.workspace.storage.audit.page(task, "", Page())
    return records[::-1]


def test_changes_of_traffic_are_written_down(guarded: Guarded) -> None:
    """Done and failed changes are recorded with caller, code and reason; refused ones are not."""
    options: Options = {"timeout": 10, "metadata": bearer(guarded.key(ADMIN))}
    done = model_pb.SetTrafficRequest(task="swapped", shadows=[2], comment="a look")
    share = model_pb.TrafficShare(model_version=1, percent=5)
    failing = model_pb.SetTrafficRequest(task="swapped", canaries=[share])
    change = guarded.front.models.SetTraffic
    assert list(change(done, **options).deployment.shadows) == [2]
    assert refusal(partial(change, failing, **options)).reason == "ILLEGAL_TRANSITION"
    predicting = bearer(guarded.key(PREDICT))
    assert words(refusal(partial(change, done, timeout=10, metadata=predicting))) == MISSING_SCOPE
    first, second = audited(guarded, "swapped")
    assert (first.code, first.reason) == ("OK", "")
    assert (second.code, second.reason) == ("FAILED_PRECONDITION", "ILLEGAL_TRANSITION")
    for record in (first, second):
        assert (record.caller, record.authentication) == ("shop", Authentication.API_KEY)
        assert record.method == "/tidemill.v1.ModelService/SetTraffic"
        assert record.peer.startswith("ipv4:127.0.0.1:")
    assert first.request["comment"] == "a look"
