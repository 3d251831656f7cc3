"""Arguments that may name the task first, or leave it out."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import typer

from tidemill_cli.failure import WrongUsage
from tidemill_cli.main import COMMANDS, run
from tidemill_cli.tasks import task_and_texts, task_and_version


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ("", 0)),
        (["3"], ("", 3)),
        (["support"], ("support", 0)),
        (["support", "3"], ("support", 3)),
    ],
)
def test_a_number_is_the_version(arguments: list[str], expected: tuple[str, int]) -> None:
    """The task may be left out before the version, and the version after the task."""
    assert task_and_version(arguments) == expected


@pytest.mark.parametrize("arguments", [["3", "4"], ["a", "b"], ["a", "b", "3"]])
def test_other_arguments_are_refused(arguments: list[str]) -> None:
    """Two versions, or two tasks, are wrong usage."""
    with pytest.raises(WrongUsage, match="and then the version"):
        task_and_version(arguments)


def test_a_version_that_is_needed_is_asked_for() -> None:
    """A command that changes a version does not fall back to the champion."""
    for arguments in ([], ["support"], ["support", "0"]):
        with pytest.raises(WrongUsage):
            task_and_version(arguments, least=1)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["where is it?"], ("", ["where is it?"])),
        (["refund"], ("", ["refund"])),
        (["-"], ("", ["-"])),
        (["support", "where is it?"], ("support", ["where is it?"])),
        (["support", "-"], ("support", ["-"])),
        (["Where is it?", "refund"], ("", ["Where is it?", "refund"])),
    ],
)
def test_what_looks_like_a_task_before_texts_is_one(
    arguments: list[str], expected: tuple[str, list[str]]
) -> None:
    """A single argument is a text; so is a first one that cannot be a task's name."""
    assert task_and_texts(arguments) == expected


@pytest.mark.parametrize(
    ("length", "said"),
    [
        ("3x", "--for '3x' is not a time such as 30m, 2h or 3d"),
        ("0d", "--for '0d' must be more than 0 and at most 90d"),
        ("91d", "--for '91d' must be more than 0 and at most 90d"),
    ],
)
def test_a_wrong_length_of_a_silence_names_the_option(
    length: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error has the option and its rule, before any server is asked."""
    assert run(["alerts", "silence", "--for", length, "--reason", "x"]) == 2
    assert capsys.readouterr().err == f"error: {said}\n"


@pytest.mark.parametrize(
    "command",
    [
        "predict demo text --top-k {}",
        "predict demo text --model-version {}",
        "score a.csv b.csv --model-version {}",
        "evaluate a.csv --model-version {}",
        "evaluate a.csv --against {}",
        "models show demo {}",
        "models promote demo {}",
        "models approve demo {}",
        "models reproduce demo {}",
        "models traffic demo --canary {}=10",
        "models traffic demo --canary 1={}",
        "models traffic demo --shadow {}",
        "datasets diff 00000000 11111111 --rows {}",
        "datasets gc --keep {}",
        "datasets gc --keep-days {}",
        "jobs run retrain --trials {}",
        "jobs run retrain --budget-seconds {}",
        "jobs run retrain --seed {}",
        "audit list --limit {}",
        "models list --limit {}",
    ],
)
def test_a_number_that_no_message_holds_is_wrong_usage(command: str, workspace: Path) -> None:
    """It is refused before any call, and ends with no traceback."""
    assert workspace.is_dir()
    for number in (2**32, 10**30):
        assert run(command.format(number).split()) == 2


def test_every_number_has_a_bound() -> None:
    """No option takes a number of any size, because messages and times have bounds."""
    groups = [
        typer.main.get_command(importlib.import_module(f"tidemill_cli.{name}").app)
        for name in COMMANDS
    ]
    commands = [each for one in groups for each in (one, *getattr(one, "commands", {}).values())]
    parameters: list[Any] = [each for command in commands for each in command.params]
    numbers = [each for each in parameters if "int" in str(each.type_descriptor.annotation)]
    assert len(numbers) > 20
    assert [each.opts for each in numbers if each.max is None] == []
