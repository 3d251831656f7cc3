"""Attacks by HTTP/2 frames on a running stack, beside callers that behave well."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import psutil
from tritonclient.grpc import service_pb2

from bench.serving.messages import distinct_texts
from bench.serving.processes import FRONT, named
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
from bench.serving.survival.attacks.floods import FLOODS, Flood, flood
from bench.serving.survival.attacks.wire import Victim
from bench.serving.survival.found import Found
from bench.serving.survival.steady import plain_callers
from bench.serving.workspace import TASK, Stack, metadata_of
from tidemill.v1 import prediction_service_pb2 as pb

Attack = Callable[[Victim], Awaitable[object]]

_BEFORE_SECONDS = _AFTER_SECONDS = 2.0
_MOST_MB = 400.0
_SLOW_CALLERS = 200
_SLOW_SECONDS = 30.0
_LARGE = 64
_STREAM_INFER = "/inference.GRPCInferenceService/ModelStreamInfer"
_PAUSE_SECONDS = 0.05


def attacks() -> Iterator[tuple[str, Attack]]:
    """Yield each attack, with what it does in words."""
    yield from _floods()
    yield from _slow_callers()
    yield from _large_messages()
    yield (
        "50 callers that send 2,000 calls each and never read",
        lambda victim: never_read(victim, 50, 2000),
    )
    yield (
        "5,000 connections on which nothing is sent, for 15 s",
        lambda victim: hold(victim, SLOW["silent after the connection"], 5000, 15.0),
    )


def _floods() -> Iterator[tuple[str, Attack]]:
    for name, (pieces, count) in FLOODS.items():
        yield f"{count:,} {name}", _flooding(pieces, count, reads=True)
    for name in ("PING frames", "SETTINGS frames"):
        pieces, count = FLOODS[name]
        yield (
            f"{count:,} {name}, without reading the answers",
            _flooding(pieces, count, reads=False),
        )


def _slow_callers() -> Iterator[tuple[str, Attack]]:
    phases = len(SLOW) + len(SLOW_HEADERS)
    yield f"callers that are slow in one of {phases} phases, {_SLOW_CALLERS} in each", _slow
    yield (
        "2,000 callers that allow no byte of their answers, for 20 s",
        lambda victim: hold(victim, no_window, 2000, 20.0),
    )
    yield (
        "10,000 streams without a message, 100 on each connection, for 8 s",
        lambda victim: many_streams(victim, 10_000, 100, 8.0),
    )


def _large_messages() -> Iterator[tuple[str, Attack]]:
    for path, message in (
        ("/tidemill.v1.PredictionService/Predict", bytes(64 << 20)),
        ("/inference.GRPCInferenceService/ModelInfer", large_inference()),
        (_STREAM_INFER, large_inference()),
    ):
        yield (
            f"{_LARGE} gzip messages at once to {path.rpartition('/')[2]} that grow to "
            f"{len(message) >> 20} MB each",
            _bombing(path, message),
        )
    yield (
        f"{_LARGE} calls at once of ModelStreamInfer that hold 17 of 19 MB, for 5 s",
        lambda victim: large_halves(
            replace(victim, path="/inference.GRPCInferenceService/ModelStreamInfer"),
            _LARGE,
            19,
            5.0,
        ),
    )


def _flooding(pieces: Flood, count: int, *, reads: bool) -> Attack:
    return lambda victim: flood(victim, pieces, count, reads=reads)


def _bombing(path: str, message: bytes) -> Attack:
    return lambda victim: bombs(replace(victim, path=path), _LARGE, message)


def large_inference() -> bytes:
    """Return a message of ModelInfer of almost the largest size."""
    request = service_pb2.ModelInferRequest(model_name=f"{TASK}-onnx")
    request.inputs.add(name="input_ids", datatype="INT32", shape=(1, 8))
    request.raw_input_contents.append(bytes(19 << 20))
    return bytes(request.SerializeToString())


async def _slow(victim: Victim) -> str:
    phases = SLOW | SLOW_HEADERS
    holding = [hold(victim, begin, _SLOW_CALLERS, _SLOW_SECONDS) for begin in phases.values()]
    found = dict(zip(phases, await asyncio.gather(*holding), strict=True))
    return "; ".join(f"{name}: {held}" for name, held in found.items())


async def attacked(stack: Stack, api_key: str, name: str, attack: Attack) -> Found:
    """Check that an attack fails no other call and takes no more memory than allowed.

    Args:
        stack: under attack.
        api_key: the attacker's; the other callers have the stack's own.
        name: the attack in words.
        attack: makes it.
    """
    message = pb.PredictRequest(task=TASK, text=distinct_texts()[0]).SerializeToString()
    path = "/tidemill.v1.PredictionService/Predict"
    victim = Victim(stack.grpc_address, path, metadata_of(api_key), message)
    fronts: list[psutil.Process] = named(stack.pid)[FRONT]
    async with plain_callers(stack) as others:
        await asyncio.sleep(_BEFORE_SECONDS)
        begin = time.monotonic()
        attacking = asyncio.ensure_future(attack(victim))
        most = 0.0
        while not attacking.done():
            most = max(most, *map(_megabytes, fronts))
            await asyncio.wait([attacking], timeout=_PAUSE_SECONDS)
        end = time.monotonic()
        await asyncio.sleep(_AFTER_SECONDS)
    alive = all(front.is_running() for front in fronts)
    return Found(
        name,
        f"no other caller's call fails; no worker dies or takes {_MOST_MB:g} MB",
        f"{attacking.result()}; failed: {others.failures()} calls of others; their p99 "
        f"{others.p99_ms(until=begin):.0f} ms before, {others.p99_ms(begin, end):.0f} ms "
        f"meanwhile, {others.p99_ms(since=end):.0f} ms afterwards; at most {most:.0f} MB in a "
        f"worker{'' if alive else '; a worker died'}",
        alive and others.failed() == 0 and most < _MOST_MB,
    )


def _megabytes(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 1e6
    except psutil.NoSuchProcess:
        return 0.0
