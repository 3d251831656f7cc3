"""A real S3 server (SeaweedFS), started once per session for the first test that needs it."""

import itertools
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec
import pytest
from botocore.exceptions import BotoCoreError
from s3fs import S3FileSystem

from tests.plugins.waiting import wait_until

SECRET = "the-secret-of-the-tests"  # noqa: S105 -- a server on loopback
READ_ONLY = "read-only"
BUCKET = "tidemill"


class FailingS3(S3FileSystem):
    """An S3 that answers no calls after some, as to a killed caller; URLs start with `failing://`.

    Attributes:
        calls_left: how many it answers.
        error: what the others raise.
    """

    protocol = ("failing",)
    calls_left: float = float("inf")
    error: type[OSError] = ConnectionResetError

    async def _call_s3(self, method: str, *arguments: Any, **options: Any) -> Any:
        if FailingS3.calls_left < 1:
            raise FailingS3.error(method)
        FailingS3.calls_left -= 1
        return await super()._call_s3(method, *arguments, **options)


@dataclass(frozen=True)
class S3:
    """An S3 server with one bucket, and a folder in it for each test.

    Attributes:
        endpoint: its URL.
    """

    endpoint: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def variables(self, key: str = "tests") -> dict[str, str]:
        """Return the environment in which a process reaches it."""
        return {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def new_place(self) -> str:
        """Return the bucket with an empty folder."""
        return f"{BUCKET}/{next(self._numbers)}"

    def answers(self) -> bool:
        """Return whether it is ready to store objects."""
        with suppress(OSError), socket.create_connection(self._address, timeout=1):
            try:
                self.files().makedirs(BUCKET, exist_ok=True)
                self.files().pipe_file(f"{BUCKET}/ready", b"yes")
            except (OSError, BotoCoreError):
                return False
            return True
        return False

    @property
    def _address(self) -> tuple[str, int]:
        host, port = self.endpoint.removeprefix("http://").split(":")
        return host, int(port)

    def files(self) -> Any:
        """Return its file system."""
        return S3FileSystem(
            key="tests",
            secret=SECRET,
            endpoint_url=self.endpoint,
            client_kwargs={"region_name": "us-east-1"},
            use_listings_cache=False,
        )


@contextmanager
def seaweed(folder: Path) -> Iterator[S3]:
    """Run an S3 server on free ports; its data is in the folder."""
    ports = {name: (_free_port(), _free_port()) for name in ("master", "volume", "filer", "s3")}
    identities = [
        _identity("tests", "Admin", "Read", "Write", "List"),
        _identity(READ_ONLY, "Read", "List"),
    ]
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": identities}))
    options = [f"-{name}.port={port}" for name, (port, _) in ports.items()]
    options += [f"-{name}.port.grpc={port}" for name, (_, port) in ports.items()]
    program = Path(sys.executable).with_name("weed")
    command = [str(program), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += ["-filer", "-s3", f"-s3.config={config}", "-s3.autoCreateBucket=false", *options]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
    command += ["-master.volumeSizeLimitMB=64", "-volume.max=40"]
    with (folder / "log").open("wb") as log, ExitStack() as stopping:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        stopping.callback(process.wait)
        stopping.callback(process.kill)
        server = S3(f"http://127.0.0.1:{ports['s3'][0]}")
        wait_until(server.answers, "the S3 server answers", seconds=60)
        yield server


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def _identity(key: str, *actions: str) -> dict[str, Any]:
    credentials = [{"accessKey": key, "secretKey": SECRET}]
    return {"name": key, "credentials": credentials, "actions": actions}


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """Run the session's S3 server."""
    fsspec.register_implementation("failing", FailingS3, clobber=True)
    with seaweed(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def place(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield a bucket and an empty folder in it that this process may use: `bucket/folder`."""
    for name, value in s3.variables().items():
        monkeypatch.setenv(name, value)
    _forget()
    yield s3.new_place()
    FailingS3.calls_left = float("inf")
    _forget()


def _forget() -> None:
    """Drop file systems that were made in another environment."""
    S3FileSystem.clear_instance_cache()
    FailingS3.clear_instance_cache()
