"""The section `[schedule]`: when jobs run by themselves."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator

from tidemill_core.counted import counted
from tidemill_core.settings.section import Section

_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)
_FIELDS = 5
_MAX_LENGTH = 100
_RULE = (
    "it has five fields: minute (0-59), hour (0-23), day of month (1-31), month (1-12 or jan-dec) "
    "and day of week (0-7 or sun-sat; 0 and 7 are Sunday); each is *, a number or name, an "
    "ascending range such as 1-5, a list such as 1,15, or a step such as */10"
)


def _crontab(expression: str) -> str:
    """Return a crontab expression; empty means never.

    Raises:
        ValueError: the expression breaks a rule, which the error names, or it never fires.
    """
    if not expression:
        return expression
    # Importing it takes longer than reading all settings; few workspaces set an expression.
    from cronsim import CronSim, CronSimError

    def fires(cron: str) -> bool:
        return next(CronSim(cron, _ANY_TIME), None) is not None

    problem = "not a crontab expression: "
    if (found := len(fields := expression.split())) != _FIELDS:
        raise ValueError(f"{problem}it has {counted(found, 'field')}; {_RULE}")
    if len(expression) > _MAX_LENGTH:
        raise ValueError(f"{problem}it is longer than {_MAX_LENGTH} characters")
    minute, hour, day, month, weekday = fields
    try:
        # Each by itself first: the library calls February 31 a bad day of the month.
        fires(f"{minute} {hour} * {month} {weekday}")
        fires(f"{minute} {hour} {day} * {weekday}")
    except (CronSimError, ValueError) as error:
        raise ValueError(f"{problem}{error}; {_RULE}") from error
    with suppress(CronSimError):
        if fires(expression):
            return expression
    raise ValueError("it never fires: there is no such day in such a month")


Crontab = Annotated[str, AfterValidator(_crontab)]
"""When something happens, in UTC, in crontab's words."""


class ScheduleSettings(Section):
    """When jobs run by themselves: crontab expressions in UTC; empty means never.

    They mean what they mean in Debian's cron: with a day of the month and a day of the week, a job
    runs on either. In addition, `L` is the month's last day, `LW` its last weekday, `5L` its last
    Friday and `fri#2` its second Friday.
    """

    check_feedback: Crontab = "* * * * *"
    """Reviews feedback, and starts `retrain` if the retrain policy has a reason."""
    check_drift: Crontab = "0 2 * * *"
    """Compares the day's predictions with the version's reference."""
    check_accuracy: Crontab = "15 2 * * *"
    """Estimates accuracy from audits, feedback and confidence."""
    check_latency: Crontab = "*/10 * * * *"
    """Compares the latency and the errors with their limits."""
    write_evidently: Crontab = ""
    """Writes the drift check's window as a report of Evidently."""
    send_arize: Crontab = ""
    """Sends predictions and feedback to Arize."""
    find_label_errors: Crontab = "0 4 * * 0"
    """Looks for wrong labels in the newest dataset version."""
    queue_labels: Crontab = "30 2 * * *"
    """Chooses predictions for people to label."""
    expire_predictions: Crontab = "20 3 * * *"
    """Removes predictions older than `prediction_log.retention_days`."""
    expire_texts: Crontab = "30 3 * * *"
    """Removes texts older than their task's `text_retention_days`."""
    send_tracking: Crontab = "15 5 * * *"
    """Sends trainings that a tracker did not take before."""
    erase_texts: Crontab = "45 3 * * *"
    """Erases texts that `tidemill erase` could not erase immediately."""
