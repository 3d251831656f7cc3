"""Steps with their seconds: one line each while the test runs, and a table at its end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Step:
    """One step of the test.

    Attributes:
        name: what it does.
        seconds: how long it took.
        found: what it found, in words.
        passed: whether it did not fail.
    """

    name: str
    seconds: float = 0.0
    found: str = ""
    passed: bool = False


@dataclass
class Report:
    """The steps so far."""

    steps: list[Step] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time the block as a step, and print its line."""
        step = Step(name)
        self.steps.append(step)
        start = time.monotonic()
        try:
            yield step
            step.passed = True
        finally:
            step.seconds = time.monotonic() - start
            print(_line(step), flush=True)

    def table(self) -> str:
        """Return all steps as a table of Markdown."""
        rows = [
            f"| {step.name} | {step.seconds:.1f} | {_verdict(step)} | {step.found} |"
            for step in self.steps
        ]
        total = sum(step.seconds for step in self.steps)
        verdict = "passed" if all(step.passed for step in self.steps) else "**FAILED**"
        rows.append(f"| all | {total:.1f} | {verdict} | |")
        return "\n".join(["| step | seconds | | found |", "|---|---|---|---|", *rows])


def _line(step: Step) -> str:
    return f"{_verdict(step):7} {step.seconds:6.1f} s  {step.name}: {step.found}".rstrip(": ")


def _verdict(step: Step) -> str:
    return "passed" if step.passed else "FAILED"
