"""Load from native programs: h2load sends prepared gRPC messages, wrk calls HTTP peers."""

import contextlib
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.serving.messages import Prepared

_WRK_SCRIPT = Path(__file__).parent / "wrk.lua"
_PROGRAMS = {"h2load": "nghttp2-client", "wrk": "wrk"}


@dataclass(frozen=True)
class Load:
    """The result of a load.

    Attributes:
        rows_per_second: texts answered, without refusals.
        p50_ms: median latency of a request, in milliseconds.
        p99_ms: its 99th percentile.
        refused: share of the requests without an answer, in [0, 1].
    """

    rows_per_second: float
    p50_ms: float
    p99_ms: float
    refused: float


def require_programs() -> None:
    """Check that the load generators are installed.

    Raises:
        SystemExit: one is missing; the message shows how to install it.
    """
    missing = [package for name, package in _PROGRAMS.items() if shutil.which(name) is None]
    if missing:
        raise SystemExit(
            f"the benchmark needs h2load and wrk (Debian: apt install {' '.join(missing)})"
        )


def h2load(
    address: str,
    prepared: Sequence[Prepared],
    seconds: int,
    metadata: Sequence[tuple[str, str]] = (),
    connections: int = 1,
    streams: int = 1,
) -> Load:
    """Call a gRPC server in a closed loop, with one process for each prepared body.

    Args:
        address: host:port.
        prepared: the calls of each process.
        seconds: duration.
        metadata: the metadata of each call.
        connections: connections of each process.
        streams: simultaneous calls on each connection.

    Raises:
        RuntimeError: h2load failed.
    """
    headers = [("content-type", "application/grpc"), ("te", "trailers"), *metadata]
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder, running = Path(name), []
        for number, each in enumerate(prepared):
            (folder / f"{number}.bin").write_bytes(each.body)
            command = ["h2load", f"-D{seconds}", f"-c{connections}", f"-m{streams}"]
            command += [f"--data={folder}/{number}.bin", f"--log-file={folder}/{number}.log"]
            command += [word for pair in headers for word in ("-H", ": ".join(pair))]
            command.append(f"http://{address}{each.path}")
            process = subprocess.Popen(  # noqa: S603 -- our own words
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            running.append(stack.enter_context(process))
        outputs = [process.communicate()[0] for process in running]
        for process, output in zip(running, outputs, strict=True):
            if process.returncode:
                raise RuntimeError(f"h2load failed:\n{output}")
        logs = [folder / f"{number}.log" for number in range(len(prepared))]
        lines = [line for log in logs for line in log.read_text().splitlines()]
    if not lines:
        raise RuntimeError(f"no call ended within {seconds} s")
    micros = [int(line.split("\t")[2]) for line in lines]
    asked = answered = 0.0
    for each, output in zip(prepared, outputs, strict=True):
        asked += _number(r"requests: \d+ total, \d+ started, (\d+) done", output) * each.rows
        answered += _number(r"headers \(.*\), .*\((\d+)\) data", output) / each.answer_bytes_per_row
    p50, p99 = np.percentile(micros, [50, 99]) / 1000
    refused = max(0.0, 1 - answered / asked) if asked else 1.0
    return Load(answered / seconds, float(p50), float(p99), refused)


def _number(pattern: str, output: str) -> float:
    found = re.search(pattern, output)
    if found is None:
        raise RuntimeError(f"h2load printed something unexpected:\n{output}")
    return float(found[1])


def wrk(url: str, bodies: Sequence[str], in_flight: int, seconds: int) -> Load:
    """Call an HTTP server in a closed loop, with one text after the other on each connection.

    Args:
        url: the URL to post to.
        bodies: JSON, one line each.
        in_flight: number of connections, each with one request at a time.
        seconds: duration.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.write("\n".join(bodies))
        file.flush()
        command = ["wrk", "-t1", f"-c{in_flight}", f"-d{seconds}s", f"-s{_WRK_SCRIPT}"]
        command += ["--timeout", "10s", url, "--", file.name]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    found = json.loads(done.stdout.partition("RESULT ")[2])
    answered = found["requests"] - found["refused"]
    return Load(
        answered / found["microseconds"] * 1e6,
        found["p50_us"] / 1000,
        found["p99_us"] / 1000,
        found["refused"] / max(found["requests"], 1),
    )
