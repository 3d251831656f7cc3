"""The page that Prometheus scrapes, on its own port and threads.

prometheus_client's WSGI app serves it. It is meant for one or two scrapers, so it accepts few
connections at a time and closes silent ones.
"""

import contextlib
import errno
import glob
import socket
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler

import psutil
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import ThreadingWSGIServer, make_wsgi_app
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from tidemill_core.durable import cause
from tidemill_core.errors import AlreadyRunning, ConfigurationError
from tidemill_server.telemetry.metrics import Metrics

MAX_CONNECTIONS = 8
"""Bound on open connections; further ones are closed immediately."""
SILENCE_SECONDS = 2.0
"""Time without data after which a connection is closed."""
_SAVE_SECONDS = 0.5


class MetricsEndpoint:
    """The server of a process's metrics, or of all workers' metrics.

    Args:
        metrics: this process's metrics.
        workers_folder: the workers' PROMETHEUS_MULTIPROC_DIR. The workers also share the port, and
            each of them answers for all. None for a process without other workers, which does not
            share the port.
        others: more collectors, whose values are the same in all workers.
    """

    def __init__(
        self,
        metrics: Metrics,
        workers_folder: Path | None = None,
        others: Sequence[Collector] = (),
    ) -> None:
        self._metrics = metrics
        self._folder = workers_folder
        self._others = others
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self, host: str, port: int) -> int:
        """Start to listen and answer.

        Returns:
            The port, which is a free one if `port` is 0.

        Raises:
            AlreadyRunning: the port is taken.
            ConfigurationError: the address cannot be used.
        """
        try:
            self._server = _Server(host, port, self._metrics, self._folder)
            for other in self._others:
                self._server.registry.register(other)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                message = f"port {port} on {host} is taken; set TIDEMILL_METRICS_PORT to a free one"
                raise AlreadyRunning(message) from error
            message = (
                f"cannot serve metrics on {host}:{port} ({cause(error)}): set TIDEMILL_METRICS_HOST"
            )
            raise ConfigurationError(f"{message} or TIDEMILL_METRICS_PORT") from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_SAVE_SECONDS,), name="metrics", daemon=True
        )
        self._thread.start()
        return self._server.server_port

    def close(self) -> None:
        """Save the values for other workers, and stop listening; takes up to half a second."""
        self._metrics.save()
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _AllWorkers(Collector):
    """The collector of the page's metrics, which reads them at each request."""

    def __init__(self, metrics: Metrics, folder: Path | None) -> None:
        self._metrics = metrics
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        self._metrics.save()
        if self._folder is None:
            return self._metrics.registry.collect()
        _forget_gone_workers(self._folder)
        # `MultiProcessCollector` itself would search with a pattern, and fail on `[` in the path.
        files = map(str, self._folder.glob("*.db"))
        return MultiProcessCollector.merge(files)  # type: ignore[no-any-return]  # it has no types


def _forget_gone_workers(folder: Path) -> None:
    """Remove the gauges of workers that are gone; their counters and histograms stay.

    Every request does it, because a killed worker cannot.
    """
    for pid in {path.stem.rpartition("_")[2] for path in folder.glob("gauge_live*.db")}:
        if not psutil.pid_exists(int(pid)):
            with contextlib.suppress(FileNotFoundError):  # another worker has just removed them
                mark_process_dead(pid, glob.escape(str(folder)))


class _Server(ThreadingWSGIServer):
    """The HTTP server, which also saves the values for other workers twice a second."""

    def __init__(self, host: str, port: int, metrics: Metrics, folder: Path | None) -> None:
        [family, *_, address] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self.address_family = family
        self.allow_reuse_port = folder is not None
        self._save = metrics.save
        self._room = threading.Semaphore(MAX_CONNECTIONS)
        super().__init__(address, _Handler)  # type: ignore[arg-type]  # its own subclass
        self.registry = CollectorRegistry()
        self.registry.register(_AllWorkers(metrics, folder))
        self.set_app(make_wsgi_app(self.registry))

    def server_bind(self) -> None:
        """Bind the port without wsgiref's DNS query for the host's name."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def service_actions(self) -> None:
        """Save the values; `serve_forever` calls this in each round."""
        self._save()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Return whether there is room for the connection; otherwise it is closed."""
        del request, client_address
        return self._room.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a connection in its own thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing, because scrapers may disconnect at any time."""


class _Handler(WSGIRequestHandler):
    timeout = SILENCE_SECONDS
    server_version = "tidemill"
    sys_version = ""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- http.server's name
        """Log nothing, because there is no need for a line per scrape."""
