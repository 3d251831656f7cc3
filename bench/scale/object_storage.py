"""Versions in object storage: seconds to store and fetch them, and writers killed at each step.

    python -m bench.scale.object_storage

It starts a real S3 server (SeaweedFS) on this machine. Then it kills a process that replaces a
version before each of its S3 calls, and reads the version as another machine does after each kill.
It ends non-zero if a reader ever saw some of the old files and some of the new ones, or none.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import fsspec

from bench import end_on_sigterm
from tests.plugins.s3 import S3, FailingS3, seaweed
from tidemill_core.durable import sha256_of
from tidemill_core.object_storage import ObjectStorage, hashed_name

NAME = "support/version"
FILES = ("examples.parquet", "quarantine.parquet", "manifest.json")
_KILLED = 9


class KillingS3(FailingS3):
    """An S3 whose caller is killed before one of its calls; URLs start with `killing://`."""

    protocol = ("killing",)

    async def _call_s3(self, method: str, *arguments: Any, **options: Any) -> Any:
        if FailingS3.calls_left < 1:
            os._exit(_KILLED)
        return await super()._call_s3(method, *arguments, **options)


def write(url: str, folder: Path) -> None:
    """Store a folder's files as the version."""
    files = {file: folder / file for file in FILES}
    ObjectStorage(url, hashed_name).write(NAME, files)


def read(url: str, folder: Path) -> dict[str, str]:
    """Fetch the version to a new folder; return the SHA-256 of each file."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        target = Path(place) / "version"
        ObjectStorage(url, hashed_name).download(NAME, target, Path(place))
        return {path.name: sha256_of(path) for path in target.iterdir()} if target.exists() else {}


def make(folder: Path, sizes: tuple[int, int, int]) -> dict[str, str]:
    """Write random files of some bytes; return the SHA-256 of each."""
    folder.mkdir()
    for file, size in zip(FILES, sizes, strict=True):
        (folder / file).write_bytes(os.urandom(size))
    return {file: sha256_of(folder / file) for file in FILES}


def seconds(work: Callable[[], object]) -> float:
    """Return how long some work takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def measure(server: S3, folder: Path) -> None:
    """Print the seconds to store and fetch versions of several sizes."""
    print("| version | store | fetch and check |\n|---|---|---|")
    for megabytes in (1, 10, 100):
        url = f"s3://{server.new_place()}"
        source = folder / f"{megabytes}"
        make(source, (megabytes << 20, 1 << 16, 1 << 14))
        stored = seconds(lambda url=url, source=source: write(url, source))
        fetched = seconds(lambda url=url: read(url, folder))
        print(f"| {megabytes} MiB | {stored:.2f} s | {fetched:.2f} s |", flush=True)


def kill_at_each_step(server: S3, folder: Path) -> bool:
    """Kill a writer before each of its calls; return whether readers saw whole versions only."""
    place = server.new_place()
    old = make(folder / "old", (1 << 20, 1 << 16, 1 << 14))
    new = make(folder / "new", (1 << 20, 1 << 16, 1 << 14))
    seen = {"old": 0, "new": 0, "half": 0, "lost": 0}
    incomplete = 0
    for calls in count():
        write(f"s3://{place}", folder / "old")
        code = child(place, folder / "new", calls)
        if code == 0:
            break
        if code != _KILLED:
            raise SystemExit(f"the writer ended with {code}")
        found = read(f"s3://{place}", folder)
        whole = "old" if found == old else "new" if found == new else ""
        seen[whole or ("half" if found else "lost")] += 1
        child(place, folder / "new", None)
        left = len(server.files().find(place))
        incomplete += read(f"s3://{place}", folder) != new or left != len(FILES) + 1
    print(f"\nkilled before each of {calls} S3 calls, then read: {seen}")
    print(f"not completed by the next writer, or with objects left over: {incomplete}")
    return not (seen["half"] or seen["lost"] or incomplete)


def child(place: str, folder: Path, calls: int | None) -> int:
    """Store a folder in a process that is killed before its call with this number."""
    command = [sys.executable, "-m", "bench.scale.object_storage", "--write", place, str(folder)]
    return subprocess.run([*command, "" if calls is None else str(calls)]).returncode  # noqa: S603 -- our own words


def main() -> int:
    """Run the benchmark, or be its writer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", nargs=3, metavar=("PLACE", "FOLDER", "CALLS"))
    asked = parser.parse_args()
    if asked.write:
        place, source, calls = asked.write
        fsspec.register_implementation("killing", KillingS3)
        FailingS3.calls_left = float(calls or "inf")
        write(f"killing://{place}", Path(source))
        return 0
    with tempfile.TemporaryDirectory() as name:
        (data := Path(name) / "s3").mkdir()
        with seaweed(data) as server:
            os.environ.update(server.variables())
            measure(server, Path(name))
            return 0 if kill_at_each_step(server, Path(name)) else 1


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
