"""A receiver that speaks as much of Weights & Biases' protocol as its SDK needs to send runs."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ENTITY = "ann"


class WandbServer(ThreadingHTTPServer):
    """The receiver.

    Attributes:
        operations: the names of the GraphQL operations that it was asked for.
        runs: the variables of each run's upsert, by the run's id.
        streams: the lines of each file of a run's stream, by the run's id and the file.
        files: the uploaded files, by name.
    """

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.operations: list[str] = []
        self.runs: dict[str, dict[str, Any]] = {}
        self.streams: dict[tuple[str, str], list[str]] = {}
        self.files: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Return the data that a GraphQL operation asks for."""
        found = re.search(r"(?:query|mutation)\s+(\w+)", query)
        operation = found[1] if found else query.split("{")[1].strip().split()[0]
        self.operations.append(operation)
        if operation == "Viewer":
            return {"viewer": {"id": "1", "entity": ENTITY, "username": ENTITY, "flags": "{}"}}
        if operation == "UpsertBucket":
            name = variables["name"]
            self.runs[name] = variables
            project = {"name": variables["project"], "entity": {"name": ENTITY}}
            bucket = {"id": name, "name": name, "displayName": name, "project": project}
            return {"upsertBucket": {"bucket": {**bucket, "config": "{}"}, "inserted": True}}
        if operation == "RunResumeStatus":
            return {"model": {"id": "1", "name": variables["project"], "bucket": None}}
        if operation == "CreateRunFiles":
            files = [{"name": n, "uploadUrl": f"{self.url}/upload/{n}"} for n in variables["files"]]
            made = {"runID": variables["run"], "uploadHeaders": [], "files": files}
            return {"createRunFiles": made}
        return {}


class _Handler(BaseHTTPRequestHandler):
    server: WandbServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = json.loads(content)
        if self.path == "/graphql":
            answer = {"data": self.server.answer(asked["query"], asked.get("variables") or {})}
        else:  # /files/ENTITY/PROJECT/RUN/file_stream
            run = self.path.split("/")[4]
            for name, chunk in asked.get("files", {}).items():
                self.server.streams.setdefault((run, name), []).extend(chunk["content"])
            answer = {}
        self._send(json.dumps(answer).encode())

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.files[self.path.removeprefix("/upload/")] = content
        self._send(b"")

    def do_GET(self) -> None:
        self._send(b"{}")

    def _send(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def wandb_server(port: int = 0) -> Iterator[WandbServer]:
    """Run the receiver."""
    with WandbServer(port) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
