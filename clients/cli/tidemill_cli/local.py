"""What commands that work on this machine need beside the client's packages."""

from importlib.util import find_spec

from tidemill_cli.failure import WRONG_USAGE, CommandFailed, ExtrasMissing
from tidemill_core.settings import Settings, load_settings

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
    """The workspace's settings.

    Raises:
        ConfigurationError: a setting is wrong.
        CommandFailed: they name no task.
    """
    settings = load_settings()
    if not settings.tasks:
        raise CommandFailed(
            "no task is configured here: `tidemill init my-workspace --csv FILE` writes a "
            "workspace; start `tidemill up` in its folder",
            WRONG_USAGE,
        )
    return settings
