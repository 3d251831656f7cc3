"""`tidemill restore`. It uses the workspace's database and folders directly."""

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tidemill_cli.failure import CannotRead, CannotWrite
from tidemill_cli.local import require_extras
from tidemill_cli.messages import moment_text
from tidemill_cli.options import AsJson
from tidemill_cli.output import print_json, say
from tidemill_cli.progress import progress_view
from tidemill_core.counted import counted
from tidemill_core.private_files import keep_files_private
from tidemill_core.settings import settings_with_tasks

app = typer.Typer(add_completion=False)
File = Annotated[Path, typer.Argument(help="A file that `tidemill backup` wrote.")]


@app.command(epilog="Example: tidemill restore /backups/support-2026-11-29.tar && tidemill up")
def restore(file: File, as_json: AsJson = False) -> None:
    """Restore a backup into a workspace without data.

    Copy tidemill.toml first: it says which database and folders to restore into. Every file is
    checked against the backup's hashes. If anything fails, the workspace stays without data.
    """
    settings = settings_with_tasks()
    require_extras()
    from tidemill_core.backup.restore import restore_backup  # its packages are part of the extras
    from tidemill_core.supervisor.lock import StateDirectoryLock

    try:
        file.open("rb").close()
    except OSError as error:
        raise CannotRead(file, error) from error
    keep_files_private()
    lock = StateDirectoryLock(settings.state_dir)
    lock.acquire()
    try:
        with progress_view() as show:
            found = restore_backup(settings, file, partial(show, "restore"))
    except OSError as error:
        raise CannotWrite(settings.state_dir, error) from error
    finally:
        lock.release()
    if as_json:
        print_json({"file": str(file), **vars(found)})
        return
    written = moment_text(datetime.fromisoformat(found.create_time))
    say(
        f"restored {counted(sum(found.row_counts.values()), 'row')} and "
        f"{counted(len(found.files) - 1, 'file')} "
        f"of {written} UTC: start it with `tidemill up`"
    )
    if unknown := sorted(found.tasks - settings.tasks.keys()):
        say(f"tidemill.toml has no task {', '.join(unknown)}: add it, or its data stays unused")
