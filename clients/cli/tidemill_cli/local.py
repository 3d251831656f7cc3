"""What commands that work on this machine need beside the client's packages."""

from importlib.util import find_spec
from pathlib import Path

from tidemill_cli.failure import ExtrasMissing, UnknownTask, WrongUsage
from tidemill_core.settings import WORKSPACE_FILE, Settings, load_settings

# One package of each extra: [server], [jobs].
_TELLING_MODULES = ("sqlalchemy", "apscheduler")


def missing_module() -> str | None:
    """A module of the extras that is not installed; None where they are."""
    return next((name for name in _TELLING_MODULES if find_spec(name) is None), None)


def require_extras() -> None:
    """Refuse a command that needs more than the client's packages.

    Raises:
        ExtrasMissing: they are not installed.
    """
    if (module := missing_module()) is not None:
        raise ExtrasMissing(module)


def settings_with_tasks() -> Settings:
    """Return the workspace's settings.

    Raises:
        ConfigurationError: a setting is wrong.
        WrongUsage: they name no task.
    """
    settings = load_settings()
    if settings.tasks:
        return settings
    file = Path(WORKSPACE_FILE).absolute()
    found = f"{file} names no task" if file.exists() else f"there is no {file}"
    raise WrongUsage(
        f"{found}: change to a workspace's folder, or write a workspace by "
        "`tidemill init my-workspace --data FILE`"
    )


def require_task(settings: Settings, task: str) -> None:
    """Refuse a task that the settings do not name.

    Raises:
        UnknownTask: they name others.
    """
    if task not in settings.tasks:
        raise UnknownTask(task, settings.tasks)
