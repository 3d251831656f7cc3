"""`tidemill backup`. It uses the workspace's database and folders directly."""

import importlib.metadata
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tidemill_cli.failure import AlreadyThere, CannotWrite
from tidemill_cli.local import require_extras, workspace_settings
from tidemill_cli.options import AsJson
from tidemill_cli.output import print_json, say
from tidemill_cli.progress import progress_view
from tidemill_core.clock import system_clock
from tidemill_core.counted import counted
from tidemill_core.private_files import keep_files_private

app = typer.Typer(add_completion=False)
File = Annotated[Path, typer.Argument(help="The backup: a tar file that does not exist yet.")]


@app.command(epilog="Example: tidemill backup /backups/support-2026-11-29.tar")
def backup(file: File, as_json: AsJson = False) -> None:
    """Write the database, datasets, models and keys to a file, while everything runs.

    The database is copied as of one moment, whichever it is; a backup of PostgreSQL can be restored
    into SQLite, and the other way round. Not in the backup: tidemill.toml, logs, predictions that
    wait because the database did not answer, and what builds can prepare again. The file has texts
    and secret keys, so only you may read it.
    """
    require_extras()
    from tidemill_core.backup.write import write_backup  # its packages are part of the extras

    keep_files_private()
    settings, version = workspace_settings(), importlib.metadata.version("tidemill")
    try:
        with progress_view() as show:
            found = write_backup(settings, file, version, system_clock(), partial(show, "backup"))
    except FileExistsError as error:
        raise AlreadyThere(file, "name a new file") from error
    except OSError as error:
        raise CannotWrite(file, error) from error
    if as_json:
        print_json({"file": str(file), "bytes": file.stat().st_size, **vars(found)})
        return
    say(
        f"{file}: {counted(sum(found.row_counts.values()), 'row')}, "
        f"{counted(len(found.files) - 1, 'file')}, "
        f"{file.stat().st_size / 1e6:,.1f} MB"
    )
