"""The front's process: `python -m tidemill_server.main`."""

import argparse
import asyncio
import gc
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

# With many small calls, the tokenizer's own threads only slow each other down.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import structlog
import uvloop

from tidemill_core.clock import Clock, system_clock
from tidemill_core.errors import TidemillError
from tidemill_core.freed_memory import return_large_blocks
from tidemill_core.loopback import keep_loopback_direct
from tidemill_core.private_files import keep_files_private
from tidemill_core.settings import Settings, settings_with_tasks
from tidemill_core.simulated_clock import SimulatedClock
from tidemill_core.storage.storage import Storage, wait_for_storage
from tidemill_core.supervisor.child import RETIRE_SIGNAL
from tidemill_core.supervisor.lock import stack_runs
from tidemill_core.supervisor.readiness import report_ready
from tidemill_core.telemetry import configure_logging
from tidemill_server.assembly import Front, assemble
from tidemill_server.security.exposure import check_exposure
from tidemill_server.telemetry.opening import Telemetry, open_telemetry
from tidemill_server.transports.transport import Transport

log = structlog.get_logger()


async def serve(
    settings: Settings, storage: Storage, telemetry: Telemetry, clock: Clock, *, share_port: bool
) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        AlreadyRunning: the port is taken.
        ConfigurationError: keys, certificates or tokens cannot be used.
    """
    stopping, retiring = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(RETIRE_SIGNAL, retiring.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    front = assemble(settings, storage, telemetry, clock, share_port=share_port)
    await _open(front, settings)
    watchers = [asyncio.create_task(watcher()) for watcher in front.watchers]
    writer = asyncio.create_task(front.prediction_log.run())
    stopped = asyncio.create_task(stopping.wait())
    retired = asyncio.create_task(_retired(retiring, front.transports))
    serving = [asyncio.create_task(transport.wait()) for transport in front.transports]
    # A watcher never ends. If one fails, the process ends and the supervisor restarts it.
    ends = [stopped, retired, *serving, writer, *watchers]
    ended, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    if retiring.is_set():  # one port's calls have ended, perhaps not yet the other's
        await asyncio.wait([retired, stopped], return_when=asyncio.FIRST_COMPLETED)
    for waiting in (retired, *serving):
        waiting.cancel()
    await _close(front, watchers, writer)
    for each in ended:
        each.result()  # raises a watcher's error
    log.info("stopped")


async def _open(front: Front, settings: Settings) -> None:
    await front.router.refresh()
    await front.api_keys.refresh()
    # Everything allocated so far stays: collecting it again would delay all calls.
    gc.collect()
    gc.freeze()
    # Calls leave almost no cycles behind, so the default would collect far too often.
    gc.set_threshold(10_000)
    # As late as possible: from here on, connections wait until the server has started.
    for transport in front.transports:
        await transport.start()
    report_ready()
    grpc = f"{settings.grpc_host}:{settings.grpc_port}"
    log.info("listening", grpc=grpc, http=f"{settings.http_host}:{settings.http_port}")
    check_exposure(settings)


async def _close(
    front: Front, watchers: "list[asyncio.Task[None]]", writer: "asyncio.Task[None]"
) -> None:
    log.info("draining")
    front.health.drain()
    front.drain.begin()
    await asyncio.gather(*(transport.stop() for transport in front.transports))
    for watcher in watchers:
        watcher.cancel()
    front.prediction_log.close()
    await writer
    await asyncio.gather(*watchers, return_exceptions=True)
    await front.inference.close()
    await front.coalescer.close()


async def _retired(asked: asyncio.Event, transports: Sequence[Transport]) -> None:
    await asked.wait()
    log.info("retiring")
    await asyncio.gather(*(transport.retire() for transport in transports))


def main() -> int:
    """Run the process and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tidemill_server.main", description=__doc__)
    parser.add_argument(
        "--share-ports", action="store_true", help="other workers listen on the same ports"
    )
    parser.add_argument("--clock", metavar="FILE", type=Path, help="the clock of a replay")
    asked = parser.parse_args()
    configure_logging("server")
    keep_files_private()
    return_large_blocks()
    keep_loopback_direct()
    # The first process of a container ignores a signal without a handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        settings = settings_with_tasks()
        create = not stack_runs(settings.state_dir)
        storage = wait_for_storage(settings.effective_database_url, create=create)
        telemetry = open_telemetry(settings)
        try:
            clock = system_clock if asked.clock is None else SimulatedClock(asked.clock)
            share_port: bool = asked.share_ports
            uvloop.run(serve(settings, storage, telemetry, clock, share_port=share_port))
        finally:
            telemetry.close()
    except TidemillError as error:
        log.error("cannot_serve", reason=error.reason, detail=error.detail or str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
