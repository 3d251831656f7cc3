"""Arguments that may name the task first, or leave it out."""

import pytest

from tidemill_cli.failure import WrongUsage
from tidemill_cli.main import run
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
