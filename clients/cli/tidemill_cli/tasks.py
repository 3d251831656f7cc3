"""The task that a command is for.

The only task need not be named. Where it comes before other arguments, its form distinguishes them:
a number is a version, and the first of several arguments is the task if it looks like the name of
one.
"""

import re
from collections.abc import Sequence

from tidemill.v1.model_service_pb2 import ListTasksRequest, ServedTask
from tidemill_cli.failure import TaskNotNamed, WrongUsage
from tidemill_cli.listing import CALL_SECONDS
from tidemill_cli.options import LARGEST
from tidemill_client import PermissionDenied, TidemillClient, translated_errors
from tidemill_core.settings import TASK_NAME, load_settings


def the_task(client: TidemillClient, task: str, address: str) -> str:
    """Return the named task, or the only one if none is named.

    Raises:
        TaskNotNamed: no task is named, and there is not exactly one or the caller may not list
            them.
        TidemillError: the server cannot be reached.
    """
    if task:
        return task
    try:
        with translated_errors():
            tasks = tasks_of(client, address)
    except PermissionDenied as error:
        raise TaskNotNamed from error
    return only_one(tasks)


def task_and_version(arguments: Sequence[str] | None, least: int = 0) -> tuple[str, int]:
    """Return the task, empty if it is left out, and the version, 0 if it is left out.

    Args:
        arguments: the arguments of a command.
        least: the lowest version that the command takes.

    Raises:
        WrongUsage: they are not a task and a version.
    """
    given = list(arguments or ())
    last = given.pop() if given and is_version(given[-1]) else "0"
    if len(given) > 1 or int(last) < least or (given and given[0].isdecimal()):
        raise WrongUsage("give the task, if there are several, and then the version, such as 3")
    return (given[0] if given else ""), int(last)


def is_version(word: str) -> bool:
    """Return whether a word is a number that may be a version's."""
    return word.isdecimal() and len(word) <= len(str(LARGEST)) and int(word) <= LARGEST


def task_and_texts(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return the task, empty if it is left out, and the texts."""
    first, *others = arguments
    if others and re.fullmatch(TASK_NAME, first):
        return first, others
    return "", list(arguments)


def only_one(tasks: Sequence[str]) -> str:
    """Return the only task.

    Raises:
        TaskNotNamed: there is not exactly one.
    """
    if len(tasks) != 1:
        raise TaskNotNamed(tasks)
    return tasks[0]


def tasks_of(client: TidemillClient, address: str) -> list[str]:
    """Return the tasks in this folder's settings, or else the server's."""
    if not address and (tasks := list(load_settings().tasks)):
        return tasks
    return [each.task for each in served_tasks(client)]


def served_tasks(client: TidemillClient) -> list[ServedTask]:
    """Return the server's tasks and the versions that answer; its database may be away."""
    return list(client.models.ListTasks(ListTasksRequest(), timeout=CALL_SECONDS).tasks)
