"""A killed worker, a killed Triton and a stopped Triton, under load."""

import asyncio
import signal
import time
from pathlib import Path

import psutil

from bench.serving.processes import FRONT, named
from bench.serving.survival.found import Found
from bench.serving.survival.steady import client_callers, plain_callers
from bench.serving.workspace import Stack
from tidemill_core.supervisor import ProcessState, read_processes

_BEFORE_SECONDS = 2.0
_AFTER_SECONDS = 3.0
_WORKER_SECONDS = 15.0
_TRITON_SECONDS = 15.0
_STOPPED_SECONDS = 2.0
_SHORT_SECONDS = 0.5


async def worker_killed(stack: Stack, state_dir: Path) -> Found:
    """Kill one of two workers: its calls in flight fail, but the client retries them."""
    async with plain_callers(stack) as plain, client_callers(stack) as clients:
        await asyncio.sleep(_BEFORE_SECONDS)
        victim = named(stack.pid)[FRONT][0]
        victim.kill()
        killed = time.monotonic()
        while not _both_run(state_dir, victim.pid) and time.monotonic() - killed < _WORKER_SECONDS:
            await asyncio.sleep(0.05)
        back = time.monotonic() - killed
        await asyncio.sleep(_AFTER_SECONDS)
    codes = {code for _, _, code in plain.ended} - {"OK"}
    return Found(
        "one of two workers killed (-9)",
        "no failed call with the client; UNAVAILABLE at most with a plain stub; two workers again",
        f"failed: {clients.failures()} calls with the client, {plain.failures()} with a plain "
        f"stub; both workers again after {back:.1f} s",
        clients.failed() == 0 and codes <= {"UNAVAILABLE"} and back < _WORKER_SECONDS,
    )


def _both_run(state_dir: Path, killed: int) -> bool:
    workers = [each for each in read_processes(state_dir) if each.name.startswith("server-")]
    return all(each.state is ProcessState.RUNNING and each.pid != killed for each in workers)


async def triton_killed(stack: Stack) -> Found:
    """Kill Triton: calls are UNAVAILABLE at once, and answered again after its restart."""
    async with plain_callers(stack) as plain:
        await asyncio.sleep(_BEFORE_SECONDS)
        (triton,) = named(stack.pid)["Triton"]
        triton.kill()
        killed = time.monotonic()
        while time.monotonic() - killed < _TRITON_SECONDS and not _well(plain.last_failure()):
            await asyncio.sleep(0.1)
    last = plain.last_failure()
    away = 0.0 if last is None else last - killed
    codes, well = plain.codes(since=killed), _well(last)
    return Found(
        "Triton killed (-9)",
        f"UNAVAILABLE meanwhile, and answers again within {_TRITON_SECONDS:g} s",
        f"answers again after {away:.1f} s; meanwhile {codes['UNAVAILABLE']:,} calls UNAVAILABLE",
        set(codes) == {"OK", "UNAVAILABLE"} and well and away < _TRITON_SECONDS,
    )


def _well(last_failure: float | None) -> bool:
    return last_failure is not None and time.monotonic() - last_failure > 1.0


async def triton_stopped(stack: Stack) -> Found:
    """Stop Triton for two seconds: long calls wait, and short calls end at their deadline."""
    async with plain_callers(stack) as patient, plain_callers(stack, _SHORT_SECONDS) as hurried:
        await asyncio.sleep(_BEFORE_SECONDS)
        processes = [*named(stack.pid)["Triton"], *named(stack.pid)["Triton's backend"]]
        _signal(processes, signal.SIGSTOP)
        await asyncio.sleep(_STOPPED_SECONDS)
        _signal(processes, signal.SIGCONT)
        going = time.monotonic()
        await asyncio.sleep(_AFTER_SECONDS)
    longest = max(end - begin for begin, end, _ in hurried.ended)
    settled = going + 1.0
    after = patient.codes(settled) + hurried.codes(settled)
    allowed = {"OK", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}
    return Found(
        "Triton stopped for 2 s",
        f"calls with 5 s are answered; none with {_SHORT_SECONDS:g} s takes longer than 1 s; "
        "all are answered a second after it goes on",
        f"failed: {patient.failures()} with 5 s, {hurried.failures()} with {_SHORT_SECONDS:g} s, "
        f"the longest of which took {longest:.2f} s; afterwards {patient.failures(settled)} and "
        f"{hurried.failures(settled)}",
        patient.failed() == 0
        and set(hurried.codes()) <= allowed
        and longest < 2 * _SHORT_SECONDS
        and after.total() == after["OK"] > 0,
    )


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        process.send_signal(number)
