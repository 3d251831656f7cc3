"""The packages and settings that commands on this machine need besides the client's."""

from importlib.util import find_spec

from tidemill_cli.failure import ExtrasMissing, UnknownTask
from tidemill_core.settings import NoTask, Settings, load_settings

_STORAGE = "sqlalchemy"
"""A package that both extras have, [server] and [jobs]: enough to use the database."""
_OF_THE_JOBS = "apscheduler"


def missing_module() -> str | None:
    """Return a module of the extras that is not installed; None if all are."""
    return next((name for name in (_STORAGE, _OF_THE_JOBS) if find_spec(name) is None), None)


def require_extras() -> None:
    """Require the packages of the extras.

    Raises:
        ExtrasMissing: they are not installed.
    """
    if (module := missing_module()) is not None:
        raise ExtrasMissing(module)


def require_storage() -> None:
    """Require the packages of either extra, such as those in the server's image.

    Raises:
        ExtrasMissing: neither is installed.
    """
    if find_spec(_STORAGE) is None:
        raise ExtrasMissing(_STORAGE)


def workspace_settings() -> Settings:
    """Return the settings of a workspace that exists; elsewhere no command creates a state.

    Raises:
        ConfigurationError: a setting is wrong, or there are neither tasks nor a state directory.
    """
    settings = load_settings()
    if settings.tasks or settings.state_dir.exists():
        return settings
    raise NoTask


def require_task(settings: Settings, task: str) -> None:
    """Require that the settings have a task.

    Raises:
        UnknownTask: they do not; the error lists those that they have.
    """
    if task not in settings.tasks:
        raise UnknownTask(task, settings.tasks)
