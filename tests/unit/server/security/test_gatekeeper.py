"""Which callers the gatekeeper admits."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2 as inference

from tests.plugins.waiting import until
from tests.unit.server.security.world import HEALTH, PREDICT, PROMOTE, SIGNER, World, bearer
from tidemill.v1 import feedback_service_pb2 as feedback
from tidemill.v1 import job_service_pb2 as jobs
from tidemill.v1 import model_service_pb2 as models
from tidemill.v1 import prediction_service_pb2 as predictions
from tidemill_core.clock import system_clock
from tidemill_core.domain.access import ANONYMOUS, NOBODY, Authentication, Scope
from tidemill_core.errors import (
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
)
from tidemill_core.prediction_id import PredictionClaims
from tidemill_core.storage.api_keys import NewApiKey
from tidemill_server.security.api_keys import ApiKeys, UnknownApiKey
from tidemill_server.security.gatekeeper import MAX_REMEMBERED, Gatekeeper
from tidemill_server.security.policy import POLICY
from tidemill_server.security.rate_limits import RateLimits

SUPPORT = frozenset({"support"})


@pytest.fixture
def open_gate(world: World) -> Gatekeeper:
    """Return a gatekeeper that requires no credential, and accepts no tokens."""
    return Gatekeeper(world.api_keys, None, RateLimits(1), SIGNER, {}, is_required=False)


async def _refused(world: World, method: str, credential: str) -> str:
    with pytest.raises((Unauthenticated, PermissionDenied)) as refused:
        await world.admit(method, credential)
    return refused.value.reason


async def test_an_api_key_may_do_what_its_scopes_say(world: World) -> None:
    """Neither scope includes the other; an unlisted method needs `admin`."""
    predict, admin = await world.new_key(Scope.PREDICT), await world.new_key(Scope.ADMIN)
    assert (await world.admit(PREDICT, predict)).authentication is Authentication.API_KEY
    assert (await world.admit(PROMOTE, admin)).name == "shop"
    assert (await world.admit("/tidemill.v1.New/Method", admin)).name == "shop"
    assert await _refused(world, PROMOTE, predict) == "MISSING_SCOPE"
    assert await _refused(world, PREDICT, admin) == "MISSING_SCOPE"
    assert await _refused(world, "/tidemill.v1.New/Method", predict) == "MISSING_SCOPE"


async def test_a_token_may_do_what_its_scopes_say(world: World) -> None:
    """A token works like an API key; its subject is the caller's name."""
    caller = await world.admit(PREDICT, world.issuer.token(sub="web"))
    assert (caller.name, caller.authentication) == ("web", Authentication.TOKEN)
    assert await _refused(world, PROMOTE, world.issuer.token()) == "MISSING_SCOPE"


async def test_health_is_open(world: World) -> None:
    """Probes need no credential, and a wrong one does not matter."""
    assert await world.gatekeeper.admit(HEALTH, []) is NOBODY
    assert await world.admit(HEALTH, "tm_wrong") is NOBODY
    world.gatekeeper.check_request(NOBODY, HEALTH, object())


async def test_nothing_else_is_open(world: World) -> None:
    """Every other method refuses a call without a credential."""
    for method in (path for path, rule in POLICY.items() if rule.scope):
        with pytest.raises(Unauthenticated) as refused:
            await world.gatekeeper.admit(method, [("x", "y")])
        assert refused.value.reason == "MISSING_CREDENTIAL"


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic YTpi", "tm_0_1", "bearer  ", "Bearer töken", b"Bearer x"],
)
async def test_a_header_that_shows_nothing(world: World, header: str | bytes) -> None:
    """A malformed header is refused with the right format, and not repeated."""
    with pytest.raises(Unauthenticated, match="Bearer <API key or token>") as refused:
        await world.gatekeeper.admit(PREDICT, [("authorization", header)])
    assert refused.value.reason == "MALFORMED_CREDENTIAL"


async def test_two_credentials_are_one_too_many(world: World) -> None:
    """Two credentials are refused, because it is unclear which one counts."""
    metadata = bearer(await world.new_key(Scope.PREDICT)) * 2
    with pytest.raises(Unauthenticated) as refused:
        await world.gatekeeper.admit(PREDICT, metadata)
    assert refused.value.reason == "MALFORMED_CREDENTIAL"


async def test_without_the_need_for_a_credential_everybody_is_anonymous(
    world: World, open_gate: Gatekeeper
) -> None:
    """A credential is optional, but checked if it is given."""
    assert await open_gate.admit(PROMOTE, []) is ANONYMOUS
    assert (
        await open_gate.admit(PREDICT, bearer(await world.new_key(Scope.PREDICT)))
    ).name == "shop"
    for wrong, reason in (("tm_0_1", "INVALID_API_KEY"), ("e30.e30.", "TOKENS_NOT_TAKEN")):
        with pytest.raises(Unauthenticated) as refused:
            await open_gate.admit(PREDICT, bearer(wrong))
        assert refused.value.reason == reason


async def test_a_key_keeps_to_its_rate(world: World) -> None:
    """Calls beyond the rate are refused; a call without the scope does not count."""
    key = await world.new_key(Scope.PREDICT, rate=2)
    assert await _refused(world, PROMOTE, key) == "MISSING_SCOPE"
    await world.admit(PREDICT, key)
    await world.admit(PREDICT, key)
    with pytest.raises(ResourceExhausted):
        await world.admit(PREDICT, key)


async def test_a_stream_keeps_to_its_rate_by_waiting(world: World) -> None:
    """Messages beyond the rate wait; without a rate none does."""

    async def paced(rate: float | None, messages: int) -> float:
        caller = replace(ANONYMOUS, requests_per_second=rate, caller_id="stream")
        begin = time.monotonic()
        for _ in range(messages):
            await world.gatekeeper.pace(caller)
        return time.monotonic() - begin

    assert await paced(20, 24) >= 4 / 20 - 0.01
    assert await paced(None, 1000) < 1


def _prediction_id(task: str) -> str:
    return SIGNER.sign(PredictionClaims(task, 1, datetime(2026, 1, 1, tzinfo=UTC), 1.0))


SERVICE = "/tidemill.v1."
INFERENCE = "/inference.GRPCInferenceService/"
GET_PREDICTION = f"{SERVICE}PredictionService/GetPrediction"
NAMING: list[tuple[str, Any, str]] = [
    (PREDICT, predictions.PredictRequest, "task"),
    (f"{SERVICE}PredictionService/StreamPredict", predictions.StreamPredictRequest, "task"),
    (f"{SERVICE}ModelService/SetTraffic", models.SetTrafficRequest, "task"),
    (GET_PREDICTION, predictions.GetPredictionRequest, "prediction_id"),
    (f"{SERVICE}FeedbackService/StreamFeedback", feedback.StreamFeedbackRequest, "prediction_id"),
    (f"{INFERENCE}ModelInfer", inference.ModelInferRequest, "model_name"),
    (f"{INFERENCE}ModelReady", inference.ModelReadyRequest, "name"),
]
VALUES = {
    "task": str,
    "prediction_id": _prediction_id,
    "model_name": "{}-onnx".format,
    "name": "{}-torchscript".format,
}


@pytest.mark.parametrize(("method", "request_type", "field"), NAMING)
async def test_a_caller_of_some_tasks_must_name_one_of_them(
    world: World, method: str, request_type: Any, field: str
) -> None:
    """A request that names another task, or none, is refused."""
    caller = await world.admit(PREDICT, await world.new_key(*Scope, tasks=SUPPORT))
    request = request_type(**{field: VALUES[field]("support")})
    world.gatekeeper.check_request(caller, method, request)
    other = request_type(**{field: VALUES[field]("arxiv")})
    with pytest.raises(PermissionDenied, match="may use only support") as refused:
        world.gatekeeper.check_request(caller, method, other)
    assert refused.value.reason == "TASK_NOT_ALLOWED"
    with pytest.raises((PermissionDenied, InvalidArgument)):
        world.gatekeeper.check_request(caller, method, request_type())


async def test_a_forged_prediction_id_is_invalid(world: World) -> None:
    """Its task is readable, but not trusted."""
    caller = await world.admit(PREDICT, await world.new_key(*Scope, tasks=SUPPORT))
    forged = _prediction_id("support")[:-2] + "xx"
    request = predictions.GetPredictionRequest(prediction_id=forged)
    with pytest.raises(InvalidArgument):
        world.gatekeeper.check_request(caller, GET_PREDICTION, request)


async def test_a_method_that_names_no_task_is_not_for_callers_of_some(world: World) -> None:
    """Callers of some tasks cannot use it, listed or not."""
    caller = await world.admit(PREDICT, await world.new_key(*Scope, tasks=SUPPORT))
    request = jobs.CancelJobRunRequest(run_id="support")
    for method in (f"{SERVICE}JobService/CancelJobRun", f"{SERVICE}New/Method"):
        with pytest.raises(PermissionDenied, match="names no task"):
            world.gatekeeper.check_request(caller, method, request)


async def test_a_caller_of_all_tasks_may_name_any_or_none(world: World) -> None:
    """The messages of its calls are not checked."""
    caller = await world.admit(PREDICT, await world.new_key(Scope.PREDICT))
    world.gatekeeper.check_request(caller, PREDICT, object())


async def test_a_key_made_just_now_is_admitted(world: World) -> None:
    """It is looked up before it is refused; an unknown one is refused as before."""
    watching = asyncio.create_task(world.api_keys.watch())
    new = NewApiKey("shop", frozenset({Scope.PREDICT}))
    for _ in range(2):
        _, shown = world.storage.api_keys.create(new, system_clock())
        assert (await world.admit(PREDICT, shown)).name == "shop"
    assert await _refused(world, PREDICT, "tm_0123456789ab_secret") == "INVALID_API_KEY"
    watching.cancel()


async def test_a_remembered_caller_is_forgotten_when_keys_change(world: World) -> None:
    """A key that is revoked, and a token whose signing key is gone, are refused from then on."""
    key, token = await world.new_key(Scope.PREDICT), world.issuer.token()
    for shown in (key, token):
        assert await world.admit(PREDICT, shown) is await world.admit(PREDICT, shown)
    world.revoke(key)
    await world.api_keys.refresh()
    with pytest.raises(UnknownApiKey):
        world.gatekeeper.authorize(PREDICT, bearer(key))
    assert (await world.admit(PREDICT, token)).name == "shop"
    watching = asyncio.create_task(world.tokens.watch())
    world.issuer.rotate("second")
    await until(lambda: not world.gatekeeper.remembered, "the new keys are read", 20)
    assert await _refused(world, PREDICT, token) == "UNKNOWN_SIGNING_KEY"
    watching.cancel()


async def test_a_remembered_caller_is_admitted_until_the_credential_expires(world: World) -> None:
    """Afterwards the error is the same as for a caller who was never remembered."""
    token, end = world.issuer.token(), system_clock() + timedelta(minutes=30)
    _, key = world.storage.api_keys.create(
        NewApiKey("shop", frozenset({Scope.PREDICT}), expire_time=end), system_clock()
    )
    await world.api_keys.refresh()
    for shown, seconds, reason in ((token, 601, "TOKEN_EXPIRED"), (key, 1801, "API_KEY_EXPIRED")):
        world.clock.ahead = 0
        assert (await world.admit(PREDICT, shown)).name == "shop"
        world.clock.ahead = seconds
        assert await _refused(world, PREDICT, shown) == reason


async def test_what_is_remembered_is_bounded(world: World) -> None:
    """Beyond the bound the oldest credential is forgotten, and checked again when it is used."""
    first, remembered = world.issuer.token(), world.gatekeeper.remembered
    caller = await world.admit(PREDICT, first)
    remembered.update({str(number): caller for number in range(MAX_REMEMBERED - 1)})
    await world.admit(PREDICT, world.issuer.token(sub="other"))
    assert len(remembered) == MAX_REMEMBERED
    assert await world.admit(PREDICT, first) is not caller


def test_admin_actions_are_audited(world: World) -> None:
    """Changes are audited; predictions and unknown methods are not."""
    assert world.gatekeeper.audited(PROMOTE)
    assert not world.gatekeeper.audited(PREDICT)
    assert not world.gatekeeper.audited("/tidemill.v1.New/Method")


KEYS = st.one_of(st.just("authorization"), st.text(max_size=20))
WORDS = st.one_of(
    st.text(),
    st.binary(),
    st.from_regex(r"[Bb]earer (tm_)?[A-Za-z0-9_.=-]*", fullmatch=True),
    st.builds(
        lambda parts: "Bearer " + ".".join(parts),
        st.lists(st.sampled_from(["e30", "eyJhbGciOiJFUzI1NiJ9", "eyJraWQiOltdfQ", "bnVsbA", "-"])),
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([PREDICT, PROMOTE, HEALTH, ""]), st.lists(st.tuples(KEYS, WORDS)))
def test_any_metadata_is_refused_in_an_orderly_way(
    world: World, method: str, metadata: list[tuple[str, str | bytes]]
) -> None:
    """Any metadata without a valid credential is UNAUTHENTICATED."""
    if method == HEALTH:
        assert world.gatekeeper.authorize(method, metadata) is NOBODY
        return
    with pytest.raises(Unauthenticated):
        world.gatekeeper.authorize(method, metadata)


async def test_a_database_of_no_keys_knows_nobody(world: World) -> None:
    """Without keys and tokens every credential is refused."""
    keys = ApiKeys(world.storage.api_keys, lambda: None)
    gatekeeper = Gatekeeper(keys, None, RateLimits(1), SIGNER, {}, is_required=True)
    with pytest.raises(Unauthenticated):
        await gatekeeper.admit(PREDICT, bearer(world.issuer.token()))
