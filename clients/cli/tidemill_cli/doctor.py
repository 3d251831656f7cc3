"""`tidemill doctor`."""

from typing import Annotated

import typer
from rich.text import Text

from tidemill_cli.failure import CommandFailed
from tidemill_cli.local import require_extras, require_storage
from tidemill_cli.options import AsJson
from tidemill_cli.output import print_json, print_table

app = typer.Typer(add_completion=False)
_STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


@app.command(epilog="Example: tidemill doctor --alerts")
def doctor(
    alerts: Annotated[
        bool,
        typer.Option("--alerts", help="Also send a test alert to each sink, and resolve it."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check whether this machine and this workspace can run Tidemill."""
    require_storage()
    if alerts:
        require_extras()
    # Importing the database's packages takes half a second: only this command needs it.
    from tidemill_cli.doctor_checks import examine
    from tidemill_cli.doctor_objects import examine_objects
    from tidemill_cli.doctor_sagemaker import examine_sagemaker
    from tidemill_cli.doctor_sinks import try_sinks

    checks = [
        *examine(),
        *examine_objects(),
        *examine_sagemaker(),
        *(try_sinks() if alerts else []),
    ]
    if as_json:
        print_json(checks)
    else:
        rows = (
            (
                Text(check.result, style=_STYLES[check.result]),
                check.name,
                check.found.split("\n"),
                check.remedy.split("\n"),
            )
            for check in checks
        )
        print_table(("", "check", "found", "what to do"), rows, empty="")
    failed = [check.name for check in checks if check.result == "fail"]
    if failed:
        raise CommandFailed(f"failed: {', '.join(failed)}")
