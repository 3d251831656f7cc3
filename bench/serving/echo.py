"""The base cost of a gRPC call on each transport: servers that only send the request back.

    python -m bench.serving.echo TRANSPORT PORT

serves one. They check no caller, call no model and store nothing, so no front on that transport can
be cheaper.
"""

import asyncio
import contextlib
import itertools
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import grpc
import h2corn
import psutil
import uvloop

from bench.serving.callers import Crew
from bench.serving.messages import distinct_texts, framed
from bench.serving.workspace import TASK
from tests.plugins.triton import free_ports
from tidemill.v1 import prediction_service_pb2 as pb

TRANSPORTS = ("h2corn", "grpcio")
_PATH = "/bench.Echo/Echo"


@contextlib.contextmanager
def running_echo(transport: str, processes: int) -> Iterator[tuple[str, list[psutil.Process]]]:
    """Yield address and processes of servers that share one port.

    Raises:
        RuntimeError: a server did not start.
    """
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "bench.serving.echo", transport, str(port)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603 -- our own words
        for _ in range(processes)
    ]
    try:
        for each in running:
            if each.stdout is None or not each.stdout.readline():
                raise RuntimeError("an echoing server did not start")
        yield f"127.0.0.1:{port}", [psutil.Process(each.pid) for each in running]
    finally:
        for each in running:
            each.kill()
            each.communicate()


def echoed(address: str, callers: int) -> Crew:
    """Return callers of an echoing server."""
    bodies = [framed(pb.PredictRequest(task=TASK, text=text)) for text in distinct_texts()]
    return Crew(address, _PATH, (), itertools.cycle(bodies), callers)


async def _answer(_scope: Any, receive: Any, send: Any) -> None:
    """Answer a gRPC call as an ASGI application."""
    body, more = b"", True
    while more:
        event = await receive()
        body += event.get("body", b"")
        more = event.get("more_body", False)
    headers = [(b"content-type", b"application/grpc")]
    await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
    await send({"type": "http.response.body", "body": body})
    await send({"type": "http.response.trailers", "headers": [(b"grpc-status", b"0")]})


async def _serve_h2corn(port: int) -> None:
    config = h2corn.Config(
        bind=(f"127.0.0.1:{port}",), reuse_port=True, lifespan="off", grpc=True, access_log=False
    )
    server = h2corn.Server(_answer, config)
    serving = asyncio.create_task(server.serve())
    await server.wait_started()
    print("listening", flush=True)
    await serving


async def _serve_grpcio(port: int) -> None:
    async def echo(request: bytes, _context: object) -> bytes:
        return request

    server = grpc.aio.server(options=[("grpc.so_reuseport", 1)])
    handlers: dict[str, Any] = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("bench.Echo", handlers)])
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    print("listening", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    serve = _serve_h2corn if sys.argv[1] == "h2corn" else _serve_grpcio
    uvloop.run(serve(int(sys.argv[2])))
