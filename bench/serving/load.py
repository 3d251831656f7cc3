"""Load on HTTP peers by wrk, and the result of any load."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_WRK_SCRIPT = Path(__file__).parent / "wrk.lua"


@dataclass(frozen=True)
class Load:
    """The result of a load.

    Attributes:
        asked_per_second: texts sent.
        rows_per_second: texts answered in time, without refusals.
        p50_ms: median latency of the answered calls, in milliseconds; NaN without any.
        p99_ms: its 99th percentile.
        refused_p99_ms: 99th percentile of the latency of refusals; NaN without any.
        refused: share of the calls that were refused, in [0, 1].
        unanswered: calls answered too late, or without an outcome 2 s after the end.
        generator: CPU seconds of the load generator per second.
        cpu_us: CPU microseconds of the front's processes per answered text; NaN if not counted.
    """

    asked_per_second: float
    rows_per_second: float
    p50_ms: float
    p99_ms: float
    refused_p99_ms: float = float("nan")
    refused: float = 0.0
    unanswered: int = 0
    generator: float = float("nan")
    cpu_us: float = float("nan")


def require_wrk() -> None:
    """Check that wrk is installed.

    Raises:
        SystemExit: it is missing; the message shows how to install it.
    """
    if shutil.which("wrk") is None:
        raise SystemExit(
            "wrk is missing, which calls the HTTP servers. Install it (Debian: apt install wrk), "
            "or measure only the others, as in: --only tidemill,triton"
        )


def wrk(
    url: str,
    bodies: Sequence[str],
    callers: int,
    seconds: int,
    headers: Sequence[tuple[str, str]] = (),
) -> Load:
    """Call an HTTP server in a closed loop, with the bodies in turn.

    Args:
        url: the URL to post to.
        bodies: JSON, one line each.
        callers: number of connections, each with one request at a time.
        seconds: duration.
        headers: of each request, beside the content type.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.write("\n".join(bodies))
        file.flush()
        command = ["wrk", "-t1", f"-c{callers}", f"-d{seconds}s", f"-s{_WRK_SCRIPT}"]
        command += [f"-H{name}: {value}" for name, value in headers]
        command += ["--timeout", "10s", url, "--", file.name]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 -- our own words
    found = json.loads(done.stdout.partition("RESULT ")[2])
    length = found["microseconds"] / 1e6
    return Load(
        asked_per_second=found["requests"] / length,
        rows_per_second=(found["requests"] - found["refused"]) / length,
        p50_ms=found["p50_us"] / 1000,
        p99_ms=found["p99_us"] / 1000,
        refused=found["refused"] / max(found["requests"], 1),
    )
