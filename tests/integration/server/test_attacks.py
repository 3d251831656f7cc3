"""Attacks by HTTP/2 frames: other callers are answered meanwhile, and memory is bounded."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bench.serving.survival.attacked import large_inference
from bench.serving.survival.attacks.crowds import (
    SLOW,
    SLOW_HEADERS,
    bombs,
    hold,
    large_halves,
    many_streams,
    never_read,
    no_window,
)
from bench.serving.survival.attacks.floods import FLOODS, flood
from bench.serving.survival.attacks.wire import Victim
from tests.integration.server.front import Front, Workspace
from tests.integration.server.fuzzing.neighbor import Neighbor, calling
from tests.integration.server.scraping import in_flight
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import until
from tidemill.v1 import prediction_service_pb2 as pb

SHARE = 20
"""A flood here has so much less than in `python -m bench.serving.survival`."""
MOST_GROWTH_MB = 150
MOST_MB = 400
SLOWEST_SECONDS = 15.0
SLOW_CALLERS = 40
ENDED_SECONDS = 90.0
PREDICT = "PredictionService/Predict"


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory, triton: RunningTriton) -> Iterator[Front]:
    """Yield a front that only the attacks use."""
    workspace = Workspace(Path(tmp_path_factory.mktemp("attacked")), {"support": 1})
    with Front(workspace, triton.grpc_address) as front:
        yield front


@pytest.fixture
async def neighbor(attacked: Front) -> AsyncIterator[Neighbor]:
    """Yield a caller beside the attack, and check afterwards that it was always answered."""
    size = psutil.Process(attacked.process.pid).memory_info().rss / 1e6
    async with calling(attacked) as found:
        await until(lambda: found.codes["OK"] > 0, "the neighbor is answered")
        yield found
        await until(lambda: in_flight(attacked, PREDICT)[0] <= 1, "no call of the attack is left")
    assert set(found.codes) == {"OK"}
    assert found.slowest < SLOWEST_SECONDS
    assert found.megabytes < max(MOST_MB, size + MOST_GROWTH_MB)
    assert attacked.process.poll() is None
    assert "unexpected_error" not in attacked.log()
    assert "Traceback" not in attacked.log()


def victim(front: Front) -> Victim:
    """Return what is attacked."""
    message = pb.PredictRequest(task="support", text="lost my card").SerializeToString()
    return Victim(front.address, "/tidemill.v1.PredictionService/Predict", (), message)


@pytest.mark.usefixtures("neighbor")
@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_of_frames_does_not_hurt_others(attacked: Front, name: str) -> None:
    """Each kind of frame is refused or ignored by the thousands, and others are answered."""
    pieces, count = FLOODS[name]
    found = await flood(victim(attacked), pieces, max(50, count // SHARE))
    assert found.sent >= max(50, count // SHARE)


@pytest.mark.usefixtures("neighbor")
async def test_slow_callers_are_ended(attacked: Front) -> None:
    """Callers that linger, in each phase of a call at once, are ended."""
    target = victim(attacked)
    holding = [hold(target, begin, SLOW_CALLERS, ENDED_SECONDS) for begin in SLOW.values()]
    found = dict(zip(SLOW, await asyncio.gather(*holding), strict=True))
    assert {name: held.ended for name, held in found.items()} == dict.fromkeys(SLOW, SLOW_CALLERS)


@pytest.mark.usefixtures("neighbor")
@pytest.mark.parametrize("name", SLOW_HEADERS)
async def test_slow_headers_hold_up_nobody(attacked: Front, name: str) -> None:
    """Callers that send their headers byte by byte wait alone."""
    await hold(victim(attacked), SLOW_HEADERS[name], 5 * SLOW_CALLERS, 2.0)


@pytest.mark.usefixtures("neighbor")
async def test_answers_without_a_window_hold_up_nobody(attacked: Front) -> None:
    """Callers that allow no byte of their answers wait alone."""
    await hold(victim(attacked), no_window, SLOW_CALLERS, 2.0)


@pytest.mark.usefixtures("neighbor")
async def test_streams_that_are_held_open_leave_room_for_others(attacked: Front) -> None:
    """A thousand streams without a message are open, and other callers are answered."""
    await many_streams(victim(attacked), 1000, 100, 2.0)


@pytest.mark.parametrize("method", ["Predict", "ModelInfer", "ModelStreamInfer"])
async def test_compressed_bombs_take_little_memory(
    attacked: Front, neighbor: Neighbor, method: str
) -> None:
    """64 small messages that grow to 19 MB or more take less than 400 MB, whatever the method."""
    target, message = victim(attacked), bytes(64 << 20)
    if method != "Predict":
        target = replace(target, path=f"/inference.GRPCInferenceService/{method}")
        message = large_inference()
    found = await bombs(target, 64, message)
    assert found.ended == 64
    assert neighbor.megabytes < MOST_MB


@pytest.mark.parametrize("method", ["ModelInfer", "ModelStreamInfer"])
async def test_large_messages_that_never_end_take_little_memory(
    attacked: Front, neighbor: Neighbor, method: str
) -> None:
    """64 calls that each hold 17 MB of a message take less than 400 MB."""
    path = f"/inference.GRPCInferenceService/{method}"
    found = await large_halves(replace(victim(attacked), path=path), 64, 19, 1.0)
    assert found.ended >= 56  # no room for more than two
    assert neighbor.megabytes < MOST_MB


@pytest.mark.usefixtures("neighbor")
async def test_callers_that_never_read_do_not_fill_the_memory(attacked: Front) -> None:
    """Unread answers stop the calls behind them."""
    await never_read(victim(attacked), 50, 2000)
