"""What the documents tell a reader to type, write and ask, checked without running it.

`tests/e2e/test_guides.py` runs the commands of all blocks, or names the test that does.
"""

import ast
import importlib
import re
import shlex
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from pydantic import ValidationError
from typer._click.exceptions import UsageError

from tidemill_cli.main import COMMANDS
from tidemill_core.settings import Settings
from tidemill_server.gateway.routes import ROUTES

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
_BLOCK = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(tidemill [^`\n]+)`")
_QUOTED = re.compile(rf"tidemill (?:{'|'.join(COMMANDS)})\b[^`,;()&\n\"]*")
_PATH = re.compile(r"(?<![\w/.])(/(?:v1|health|predict|docs|openapi)[\w/{}:.-]*)")
_TASKS = {"support": {"sources": [{"path": "rows.csv"}]}}


class Block(NamedTuple):
    """A block of code of a page."""

    page: str
    line: int
    language: str
    text: str


def blocks() -> Iterator[Block]:
    """Yield the blocks of all pages."""
    for path in PAGES:
        content = path.read_text(encoding="utf-8")
        for found in _BLOCK.finditer(content):
            line = content.count("\n", 0, found.start()) + 1
            yield Block(str(path.relative_to(ROOT)), line, found[2], found[3])


def commands_of_blocks() -> Iterator[tuple[str, str]]:
    """Yield the command lines of blocks that start with `tidemill`, with their pages and lines."""
    for block in blocks():
        if block.language not in ("", "sh", "console", "bash"):
            continue
        for line in block.text.replace("\\\n", " ").splitlines():
            for part in re.split(r" \| | && |; ", line.strip().removeprefix("$ ")):
                if part.startswith("tidemill "):
                    yield f"{block.page}:{block.line}", part


def commands() -> Iterator[tuple[str, str]]:
    """Yield the command lines of blocks and sentences that start with `tidemill`."""
    yield from commands_of_blocks()
    for path in PAGES:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for found in _INLINE.finditer(line):
                yield f"{path.relative_to(ROOT)}:{number}", found[1]


def problem_of(command: str) -> str:
    """Return why the command line does not accept a command; empty if it does."""
    try:
        words = shlex.split(command, comments=True)[1:]
    except ValueError as error:
        return str(error)
    words = words[: next((i for i, word in enumerate(words) if word in (">", "<", "|")), None)]
    if words in (["--version"], ["--help"]):
        return ""
    if words[0] not in COMMANDS:
        return f"there is no command {words[0]}"
    group = typer.main.get_command(importlib.import_module(f"tidemill_cli.{words[0]}").app)
    given = words[1:]
    while given and (verbs := getattr(group, "commands", {})) and not given[0].startswith("-"):
        if given[0] not in verbs:
            return f"there is no {words[0]} {given[0]}"
        group = verbs[given.pop(0)]
    known = {each for param in group.params for each in (*param.opts, *param.secondary_opts)}
    options = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    if unknown := sorted(options - known - {"--help"}):
        return f"it has no option {', '.join(unknown)}"
    return _too_many(group, given)


def _too_many(command: Any, given: list[str]) -> str:
    """Return which words a command does not accept; empty if it accepts all."""
    if hasattr(command, "commands") or "--help" in given:
        return ""
    with suppress(UsageError):  # the value of an option may be left out in a sentence
        _, extra, _ = command.make_parser(command.context_class(command)).parse_args(given)
        return f"it does not accept {' '.join(extra)}" if extra else ""
    return ""


ALL_COMMANDS = sorted(set(commands()))


def test_there_are_commands() -> None:
    """The pages' commands are found, in blocks and in sentences."""
    assert len(ALL_COMMANDS) > 150


def test_every_command_of_the_docs_exists() -> None:
    """Each `tidemill` command, and each of its options, exists."""
    wrong = [
        (place, command, problem)
        for place, command in ALL_COMMANDS
        if (problem := problem_of(command))
    ]
    assert wrong == []


def commands_of_messages() -> Iterator[tuple[str, str]]:
    """Yield the command lines that errors, advice and other strings of the code quote."""
    for folder in ("core", "server", "jobs", "clients/python", "clients/cli"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            for node in ast.walk(ast.parse(text)) if "tidemill " in text else ():
                for found in _QUOTED.findall(_said(node)):
                    yield str(path.relative_to(ROOT)), found.rstrip(" .")


def _said(node: ast.AST) -> str:
    """Return a string of the code, with a word where it has a value; empty for anything else."""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            _said(part) if isinstance(part, ast.Constant) else "x" for part in node.values
        )
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"{\w*}", "x", node.value)
    return ""


def test_every_command_of_a_message_is_accepted() -> None:
    """What errors and alerts advise to type is a command, with the words and options it accepts."""
    found = sorted(set(commands_of_messages()))
    assert len(found) > 100
    wrong = [(place, command, why) for place, command in found if (why := problem_of(command))]
    assert wrong == []


TOML = [block for block in blocks() if block.language == "toml"]


@pytest.mark.parametrize("block", TOML, ids=[f"{each.page}:{each.line}" for each in TOML])
def test_every_settings_block_of_the_docs_is_accepted(block: Block) -> None:
    """Each block of settings is valid TOML, and has settings with values that exist.

    A block may need those above it on its page, such as the route of an alert its sink.
    """
    above = [each for each in TOML if each.page == block.page and each.line < block.line]
    try:
        accept(block)
    except ValidationError:
        accept(*above, block)


def accept(*parts: Block) -> None:
    """Read blocks as one file of settings."""
    found: dict[str, Any] = {}
    for part in parts:
        merge(found, tomllib.loads(part.text))
    for task in found.get("tasks", {}).values():
        if task.get("kind") != "preference":
            task.setdefault("sources", [{"path": "rows.csv"}])
    Settings.model_validate({"tasks": _TASKS, **found})


def merge(into: dict[str, Any], new: dict[str, Any]) -> None:
    """Add settings to others; of two values, the new one counts."""
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            merge(into[name], value)
        else:
            into[name] = value


def test_every_path_of_the_http_api_in_the_docs_has_a_route() -> None:
    """Each path that a page asks for, in a command or in a sentence, is one of the routes."""
    routes = [re.sub(r"{\w+}", "[^/]+", route.path) for route in ROUTES]
    known = re.compile("|".join([*routes, "/docs", "/openapi.json", r"/v1/traces|/v1/metrics"]))
    wrong = [
        (f"{path.relative_to(ROOT)}:{number}", found)
        for path in PAGES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for found in _PATH.findall(line)
        if not known.fullmatch(found.rstrip(".:"))
    ]
    assert wrong == []
