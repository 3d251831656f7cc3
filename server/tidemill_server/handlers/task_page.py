"""Pages of the rows of one task."""

from collections.abc import Callable
from typing import TypeVar

from tidemill_core.storage.database import Page
from tidemill_server.inference.router import Router

RowT = TypeVar("RowT")
Found = tuple[list[RowT], str]
"""The rows of a page, and the next page's token."""


def of_task(
    router: Router, task: str, found: Found[RowT], every: Callable[[Page], Found[RowT]]
) -> Found[RowT]:
    """Return what was found; require that a task without any rows is one of the settings.

    The rows of a task that was removed are still listed, so a filter may leave none of them.

    Args:
        router: knows the tasks of the settings.
        task: the task that was asked for; empty for all.
        found: the page that was asked for.
        every: returns a page of all rows of the task.

    Raises:
        InvalidArgument: UNKNOWN_TASK.
    """
    if task and not found[0] and task not in router.tasks and not every(Page(1))[0]:
        router.task_settings(task)
    return found
