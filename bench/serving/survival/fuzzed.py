"""The tests' fuzzer, with more calls."""

import tempfile
from collections import Counter
from pathlib import Path

from bench.serving.survival.found import Found
from tests.integration.server.front import Front, Workspace
from tests.integration.server.fuzzing.fuzzer import fuzz
from tests.integration.server.test_fuzz import VERSIONS
from tests.plugins.triton import RunningTriton


def fuzzed(cases: int, seed: int) -> Found:
    """Call every method with arbitrary bytes, field values, metadata and ways of reading.

    Args:
        cases: number of calls.
        seed: the same seed makes the same calls.
    """
    with tempfile.TemporaryDirectory() as name:
        workspace = Workspace(Path(name), VERSIONS)
        root, models = workspace.repository.root, workspace.models
        with (
            RunningTriton(root, workspace.folder / "triton", models) as triton,
            Front(workspace, triton.grpc_address) as front,
        ):
            tally = fuzz(front, cases, seed)
            ended = front.process.poll() is not None
            surprises = sum(front.log().count(word) for word in ("unexpected_error", "Traceback"))
    codes: Counter[str] = Counter()
    for (_service, code), count in tally.codes.items():
        codes[code] += count
    counts = ", ".join(f"{count:,} {code}" for code, count in codes.most_common())
    first = f"; the first: {tally.problems[0].splitlines()[0]}" if tally.problems else ""
    return Found(
        f"{tally.cases:,} fuzzed calls of every method and the passthrough (seed {seed})",
        "never INTERNAL or UNKNOWN, never a hang, never another caller's answer",
        f"{counts}; {tally.compared:,} answers compared with the model's own; the longest call "
        f"{tally.slowest:.1f} s; {len(tally.problems)} problems{first}; "
        f"{surprises} unexpected errors in the front's log"
        f"{'; the front has ended' if ended else ''}",
        not tally.problems and not ended and not surprises,
    )
