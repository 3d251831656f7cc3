"""A comparison of Tidemill's front with its peers and with direct calls to Triton.

    python -m bench.serving [--only tidemill,triton] [--seconds 4] [--rounds 2] [--json]

Server, Triton and load generators share the machine's cores. Compare ratios within one run, not
absolute figures, and run nothing else meanwhile. A run of all systems writes
docs/benchmarks/serving.{md,json,svg}. Exits with 1 if a figure that must be reached is missed.
"""

import argparse
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

from rich.console import Console

from bench import end_on_sigterm
from bench.serving.environments import python_of
from bench.serving.load import require_wrk
from bench.serving.measure import RAW, SYSTEMS, Bench, first_label
from bench.serving.peer import ALL
from bench.serving.raw import ENVIRONMENT
from bench.serving.report import as_json, show, write
from bench.serving.targets import MUST, Results, targets
from bench.serving.workspace import make_workspace


def main() -> int:
    """Run the benchmark; return 1 if a figure is missed that must be reached."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--only", default="", help=f"some of {','.join(SYSTEMS)}")
    parser.add_argument("--seconds", type=int, default=4, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=2, help="number of measurements of each")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    systems = options.only.split(",") if options.only else list(SYSTEMS)
    if unknown := set(systems) - set(SYSTEMS):
        parser.error(f"{', '.join(unknown)}: --only accepts {', '.join(SYSTEMS)}")
    console = Console(stderr=options.json)
    prepare(systems, console)
    with tempfile.TemporaryDirectory() as folder:
        workspace = make_workspace(Path(folder))
        console.print("training the models")
        bench = Bench(workspace, systems, options.seconds, console, first_label(workspace))
        console.print("which number of processes is better")
        bench.try_processes()
        for number in range(options.rounds):
            console.print(f"round {number + 1} of {options.rounds}")
            bench.round()
    results = Results(bench.samples)
    command = " ".join(["python -m bench.serving", *sys.argv[1:]])
    if options.json:
        print(as_json(results, command))
    else:
        show(results, console)
    if set(systems) == set(SYSTEMS):
        write(results, command)
    missed = [each for each in targets(results) if each.verdict == "SHORT" and each.level == MUST]
    return 1 if missed else 0


def prepare(systems: Collection[str], console: Console) -> None:
    """Install what the peers need, before anything is measured.

    Raises:
        SystemExit: wrk is missing.
    """
    if ALL.keys() & set(systems):
        require_wrk()
    for name in ALL.keys() & set(systems):
        python_of(ALL[name].environment, console)
    if RAW in systems:
        python_of(ENVIRONMENT, console)


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
