"""Pages of the rows of one task."""

from typing import TypeVar

from tidemill_server.inference.router import Router

RowT = TypeVar("RowT")


def of_task(router: Router, task: str, page: tuple[list[RowT], str]) -> tuple[list[RowT], str]:
    """Return a page of rows and the next page's token; the page is empty only if the task exists.

    The rows of a task that was removed are still listed. If a filter leaves none of them, the task
    is unknown.

    Args:
        router: knows the tasks.
        task: the task that was asked for; empty for all.
        page: what was found.

    Raises:
        InvalidArgument: UNKNOWN_TASK.
    """
    if task and not page[0]:
        router.task_settings(task)
    return page
