"""NVIDIA's perf_analyzer, unmodified, against the front.

    python -m bench.serving.perf_analyzer [--seconds 2]

Exits with 1 if perf_analyzer failed, which it does when a single request fails. The program is from
tritonclient 2.51, the last release for glibc 2.35. Two libraries that it needs are from
nvidia-pytriton.
"""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import end_on_sigterm
from bench.serving.environments import python_of
from bench.serving.workspace import TASK, Stack, make_workspace, running_stack

# Few enough for the front's lowest limit: the program gives up when it is refused.
_ROWS = 2
_IN_FLIGHT = 4
_LENGTH = 32
_PATIENCE_SECONDS = 120
# It measures until three windows in a row agree within this; so wide that the first three do.
_ALIKE_PERCENT = 1000
_LIBRARIES = {"libb64.so.0d": "libb64-*.so.0d", "libcudart.so.12": "libcudart-*.so.12*"}
_WAYS = {
    "ModelInfer": (),
    f"ModelInfer, {_ROWS} rows": ("-b", str(_ROWS)),
    "ModelStreamInfer": ("--streaming", "--async"),
    f"ModelStreamInfer, {_ROWS} rows": ("--streaming", "--async", "-b", str(_ROWS)),
}


def analyzed(stack: Stack, program: Path, seconds: float, options: tuple[str, ...]) -> str:
    """Run the program and return its output.

    Raises:
        RuntimeError: it failed, or took more than two minutes.
    """
    command = [str(program), "-m", f"{TASK}-onnx", "-u", stack.grpc_address, "-i", "grpc"]
    command += ["--shape", f"input_ids:{_LENGTH}", "--input-data", "zero"]
    command += ["--concurrency-range", str(_IN_FLIGHT)]
    command += ["-p", f"{seconds * 1000:.0f}", "-s", str(_ALIKE_PERCENT)]
    for (
        name,
        value,
    ) in stack.metadata:  # sent, though its help says "ignored for GRPC requests"
        command += ["-H", f"{name}:{value}"]
    with tempfile.TemporaryDirectory() as folder:
        _link_libraries(Path(folder))
        try:
            done = subprocess.run(  # noqa: S603 -- our own words
                [*command, *options],
                env={**os.environ, "LD_LIBRARY_PATH": folder},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_PATIENCE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as expired:
            raise RuntimeError(f"no end within {_PATIENCE_SECONDS} s") from expired
    if done.returncode:
        raise RuntimeError(done.stdout.strip())
    return done.stdout


def _link_libraries(folder: Path) -> None:
    """Link the libraries under the names that the program looks for."""
    found = importlib.util.find_spec("pytriton")
    if found is None or found.origin is None:
        raise RuntimeError("nvidia-pytriton is not installed")
    source = Path(found.origin).parents[1] / "nvidia_pytriton.libs"
    for name, pattern in _LIBRARIES.items():
        (folder / name).symlink_to(next(source.glob(pattern)))


def _figure(name: str, said: str) -> float:
    found = re.search(rf"{name}: ([\d.]+)", said)
    if found is None:
        raise RuntimeError(f"it does not say {name}:\n{said}")
    return float(found[1])


def main() -> int:
    """Run it in every way and print; return 1 if it failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a window")
    seconds = parser.parse_args().seconds
    console, failures = Console(), 0
    program = python_of("perf_analyzer", console).with_name("perf_analyzer")
    table = Table("load", "rows/s", "p50 ms", "p99 ms")
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(make_workspace(Path(folder)), 1) as stack,
    ):
        for way, options in _WAYS.items():
            try:
                said = analyzed(stack, program, seconds, options)
            except RuntimeError as error:
                failures += 1
                console.print(f"{way}: {error}", style="red", markup=False)
                continue
            p50, p99 = (_figure(f"{name} latency", said) / 1000 for name in ("p50", "p99"))
            table.add_row(way, f"{_figure('Throughput', said):,.0f}", f"{p50:.1f}", f"{p99:.1f}")
    console.print(table, f"{_IN_FLIGHT} requests at once")
    return 1 if failures else 0


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
