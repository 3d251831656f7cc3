"""A third party's API on a real HTTP server."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Answer:
    """An answer of the API: JSON, unless `body` is bytes."""

    body: object
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    missing_bytes: int = 0
    """How much of the body is announced and never sent."""
    seconds_a_byte: float = 0.0
    """How slowly the body drips."""


@dataclass(frozen=True)
class Asked:
    """One request to the API."""

    parameters: dict[str, str]
    headers: dict[str, str]


@dataclass
class Api:
    """The API's answers, and the requests to it."""

    url: str
    answer: Callable[[Asked], Answer] = lambda _: Answer([])
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def running() -> Iterator[Api]:
    """Run an API on its own port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = Asked(dict(parse_qsl(urlsplit(self.path).query)), dict(self.headers))
            api.asked.append(asked)
            answer = api.answer(asked)
            is_json = not isinstance(answer.body, bytes)
            body = json.dumps(answer.body).encode() if is_json else answer.body
            self.send_response(answer.status)
            self.send_header("content-length", str(len(body) + answer.missing_bytes))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if not answer.seconds_a_byte:
                self.wfile.write(body)
                return
            with suppress(OSError):  # who asked has gone
                for at in range(len(body)):
                    self.wfile.write(body[at : at + 1])
                    time.sleep(answer.seconds_a_byte)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api = Api(f"http://127.0.0.1:{server.server_port}/v1/tickets")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
