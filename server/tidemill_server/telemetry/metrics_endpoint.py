"""`GET /metrics`, for Prometheus, on a port and in threads of its own.

It speaks to a scraper or two, so it is small on purpose: the standard library's HTTP server, a
few connections at a time, each ended after two seconds, and nothing but this one page.
"""

import contextlib
import errno
import os
import socket
import socketserver
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from tidemill_core.errors import AlreadyRunning, ConfigurationError
from tidemill_server.telemetry.metrics import Metrics

PATH = "/metrics"
MAX_CONNECTIONS = 8
"""Beyond these, connections are closed at once."""
CONNECTION_SECONDS = 2.0
"""After so long a connection is cut, whatever it does."""
_THREADS = 2
_REFRESH_SECONDS = 0.5

log = structlog.get_logger()


class MetricsEndpoint:
    """Serves a process's metrics, or those of all workers where they share a folder.

    Args:
        metrics: this process's.
        workers_folder: the workers' PROMETHEUS_MULTIPROC_DIR. They share the port too, and
            whichever is asked answers for all. None for a process that is the only one: the port
            must be its own then.
    """

    def __init__(self, metrics: Metrics, workers_folder: Path | None = None) -> None:
        self._metrics = metrics
        self._folder = workers_folder
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self, host: str, port: int) -> int:
        """Listen, and answer from now on.

        Returns:
            The port: where 0 was asked for, the one that was free.

        Raises:
            AlreadyRunning: something listens there already.
            ConfigurationError: nothing can listen there.
        """
        try:
            address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            shared = self._folder is not None
            self._server = _Server(
                address[0], address[4], shared, self._page, self._metrics.refresh
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                message = f"port {port} on {host} is taken; set TIDEMILL_METRICS_PORT to a free one"
                raise AlreadyRunning(message) from error
            message = f"cannot serve metrics on {host}:{port} ({error}): set TIDEMILL_METRICS_HOST"
            raise ConfigurationError(f"{message} or TIDEMILL_METRICS_PORT") from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_REFRESH_SECONDS,), name="metrics", daemon=True
        )
        self._thread.start()
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Bring the last tallies into their metrics, and stop listening: up to half a second."""
        self._metrics.refresh()
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _page(self) -> bytes:
        self._metrics.refresh()
        if self._folder is None:
            return generate_latest(self._metrics.registry)
        _forget_gone_workers(self._folder)
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _forget_gone_workers(folder: Path) -> None:
    """Remove the gauges of workers that are gone; their counters and histograms stay.

    Whoever is asked does it: a worker that was killed cannot, and so nobody else has to know.
    """
    for pid in {path.stem.rpartition("_")[2] for path in folder.glob("gauge_live*.db")}:
        if not _lives(int(pid)):
            with contextlib.suppress(FileNotFoundError):  # another worker was faster
                mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it does, and is somebody else's
        return True
    return True


class _Server(socketserver.TCPServer):
    """Listens; connections are answered by a few threads."""

    allow_reuse_address = True

    def __init__(
        self,
        family: socket.AddressFamily,
        address: Any,
        shared: bool,
        page: Callable[[], bytes],
        refresh: Callable[[], None],
    ) -> None:
        self.address_family = family
        self.allow_reuse_port = shared
        self.page = page
        self._refresh = refresh
        self._threads = ThreadPoolExecutor(_THREADS, "metrics")
        self._room = threading.Semaphore(MAX_CONNECTIONS)
        super().__init__(address, _Handler)

    def service_actions(self) -> None:
        """What `serve_forever` does each time round."""
        self._refresh()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is room for one more connection; without it, it is closed."""
        del request, client_address
        return self._room.acquire(blocking=False)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread."""
        self._threads.submit(self._answer, request, client_address)

    def server_close(self) -> None:
        """Close the port, and let go of the threads."""
        super().server_close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: scrapers come and go as they like."""

    def _answer(self, request: socket.socket, client_address: Any) -> None:
        cut = threading.Timer(CONNECTION_SECONDS, request.shutdown, (socket.SHUT_RDWR,))
        cut.daemon = True
        cut.start()
        try:
            self.finish_request(request, client_address)
        except OSError:  # it went away, or took too long
            return
        finally:
            cut.cancel()
            self.shutdown_request(request)
            self._room.release()


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "tidemill"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer a scrape."""
        if self.path.partition("?")[0] != PATH:
            self.send_error(404, f"there is only {PATH}")
            return
        try:
            page = self.server.page()
        except Exception:
            log.exception("metrics_not_collected")
            self.send_error(500, "see the log")
            return
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- http.server's name
        """Not a line a scrape."""
