"""The options that several commands have, and the groups of commands."""

from typing import Annotated

import typer

Address = Annotated[
    str,
    typer.Option(
        envvar="TIDEMILL_ADDRESS",
        metavar="HOST:PORT",
        help="The server, by default the one of this folder's tidemill.toml. Keys and TLS: "
        "see `tidemill --help`.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Comment = Annotated[str, typer.Option(help="Why, for the record.", show_default=False)]
Reason = Annotated[str, typer.Option("--comment", help="Why, for the record.", show_default=False)]
LARGEST = 2**31 - 1
"""The largest number that a message of the contract holds."""
Limit = Annotated[int, typer.Option(min=1, max=LARGEST, help="How many to show, newest first.")]

TaskAndVersion = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[TASK] VERSION",
        help="The task, not needed if there is only one, and the version.",
        show_default=False,
    ),
]
LastTask = Annotated[
    str, typer.Argument(help="The task; not needed if there is only one.", show_default=False)
]
ForTask = Annotated[
    str,
    typer.Option("--task", help="The task; not needed if there is only one.", show_default=False),
]
OnlyTask = Annotated[str, typer.Option("--task", help="Only this task.", show_default=False)]

TaskAndTexts = Annotated[
    list[str],
    typer.Argument(
        metavar="[TASK] TEXT...",
        help="The task, not needed if there is only one, and the texts; - reads lines from stdin.",
    ),
]


def group(example: str) -> typer.Typer:
    """Return a group of commands whose help ends with an example."""
    return typer.Typer(no_args_is_help=True, add_completion=False, epilog=f"Example: {example}")
