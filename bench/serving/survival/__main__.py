"""Failures that the front must survive, inflicted on a running stack.

    python -m bench.serving.survival [--cases 10000] [--only streams,attacks]

Everything shares the machine's cores. Exits with 1 if a requirement does not hold. A run of all
cases writes docs/benchmarks/survival.md.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console

from bench import end_on_sigterm
from bench.serving.pages import Rows, markdown, print_table, write_page
from bench.serving.survival.attacked import attacked, attacks
from bench.serving.survival.deaths import triton_killed, triton_stopped, worker_killed
from bench.serving.survival.found import Found
from bench.serving.survival.fuzzed import fuzzed
from bench.serving.survival.unread import unread_streams
from bench.serving.workspace import Stack, Workspace, make_workspace, running_stack

CASES = ("worker", "triton-killed", "triton-stopped", "streams", "attacks", "fuzz")
_SEED = 1
_HEADER = ("case", "requirement", "result", "")


def main() -> int:
    """Run the cases; return 1 if a requirement does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--cases", type=int, default=10_000, help="number of the fuzzer's calls")
    parser.add_argument("--only", default="", help=f"some of {','.join(CASES)}")
    options = parser.parse_args()
    chosen = options.only.split(",") if options.only else list(CASES)
    if unknown := set(chosen) - set(CASES):
        parser.error(f"{', '.join(unknown)}: --only accepts {', '.join(CASES)}")
    console, found = Console(), []
    for each in _cases(chosen, options.cases):
        console.print(f"  {each.case}: {each.found}", style="" if each.reached else "red")
        found.append(each)
    rows: Rows = [(f.case, f.wanted, f.found, "reached" if f.reached else "SHORT") for f in found]
    print_table(_HEADER, rows, console)
    if set(chosen) == set(CASES):
        write_page("survival", "bench.serving.survival", cases=markdown(_HEADER, rows))
    return 0 if all(each.reached for each in found) else 1


def _cases(chosen: list[str], fuzz_cases: int) -> Iterator[Found]:
    on_a_stack: dict[str, Callable[[Stack, Workspace], Coroutine[Any, Any, Found]]] = {
        "worker": lambda stack, space: worker_killed(stack, space.folder / "var"),
        "triton-killed": lambda stack, _: triton_killed(stack),
        "triton-stopped": lambda stack, _: triton_stopped(stack),
        "streams": lambda stack, _: unread_streams(stack),
    }
    with tempfile.TemporaryDirectory() as folder:
        workspace = make_workspace(Path(folder))
        if on_a_stack.keys() & set(chosen):
            with running_stack(workspace, 2) as stack:
                for name, case in on_a_stack.items():
                    if name in chosen:
                        yield uvloop.run(case(stack, workspace))
        if "attacks" in chosen:
            # A new stack, for the streams leave large processes behind.
            with running_stack(workspace, 2) as stack:
                key = workspace.api_key("attacker")
                for words, attack in attacks():
                    yield uvloop.run(attacked(stack, key, words, attack))
    if "fuzz" in chosen:
        yield fuzzed(fuzz_cases, _SEED)


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
