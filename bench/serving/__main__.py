"""A comparison of Tidemill's front with its peers and with direct calls to Triton.

    python -m bench.serving [--only tidemill,triton] [--seconds 5] [--rounds 3] [--json]

Server, Triton and load generators share the machine's cores. Compare ratios within one run, not
absolute figures, and run nothing else meanwhile. A run of all systems writes
docs/benchmarks/serving.{md,json,svg}. Exits with 1 if a target is missed.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from bench.serving.environments import python_of
from bench.serving.load import require_programs
from bench.serving.measure import SYSTEMS, Bench, Sample, expected_label
from bench.serving.peer import ALL
from bench.serving.report import as_json, show, write
from bench.serving.targets import Results, targets
from bench.serving.workspace import make_workspace


def main() -> int:
    """Run the benchmark; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--only", default="", help=f"some of {','.join(SYSTEMS)}")
    parser.add_argument("--seconds", type=int, default=5, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="number of measurements of each")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    systems = options.only.split(",") if options.only else list(SYSTEMS)
    if unknown := set(systems) - set(SYSTEMS):
        parser.error(f"{', '.join(unknown)}: --only accepts {', '.join(SYSTEMS)}")
    require_programs()
    command = " ".join(["python -m bench.serving", *sys.argv[1:]])
    console = Console(stderr=options.json)
    for name in ALL.keys() & set(systems):  # before anything is measured
        python_of(ALL[name].environment, console)
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory() as folder:
        workspace = make_workspace(Path(folder))
        console.print("training the models")
        label = expected_label(workspace)
        for number in range(options.rounds):
            console.print(f"round {number + 1} of {options.rounds}")
            samples += Bench(workspace, systems, options.seconds, console).round(label)
    results = Results(samples)
    if options.json:
        print(as_json(results, command))
    else:
        show(results, console)
    if set(systems) == set(SYSTEMS):
        write(results, command)
    return 1 if any(each.verdict == "SHORT" for each in targets(results)) else 0


if __name__ == "__main__":
    sys.exit(main())
