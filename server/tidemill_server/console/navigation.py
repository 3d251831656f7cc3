"""The pages' names and addresses."""

from dataclasses import dataclass

from tidemill_core.domain.access import Caller, Scope

ROOT = "/console"


@dataclass(frozen=True)
class Place:
    """A page in the navigation.

    Attributes:
        name: its name.
        path: its address.
        key: the key that opens it after `g`.
        is_here: whether it is the page that is shown.
    """

    name: str
    path: str
    key: str
    is_here: bool


_OF_TASK = (
    ("Try it", "try", "t", Scope.PREDICT),
    ("Versions", "versions", "v", Scope.ADMIN),
    ("Quality", "quality", "q", Scope.ADMIN),
    ("Label", "label", "l", Scope.LABEL),
    ("Data", "data", "d", Scope.ADMIN),
    ("Jobs", "jobs", "j", Scope.ADMIN),
    ("Alerts", "alerts", "a", Scope.ADMIN),
)


def places(caller: Caller, task: str, here: str) -> list[Place]:
    """Return the pages that a caller may open.

    Args:
        caller: the caller.
        task: the task whose pages to name; empty for none.
        here: the address of the page that is shown.
    """
    found = []
    if Scope.ADMIN in caller.scopes:
        found.append(Place("Loop", f"{ROOT}/", "o", here == f"{ROOT}/"))
    for name, page, key, scope in _OF_TASK if task else ():
        if scope in caller.scopes:
            path = task_path(task, page)
            found.append(Place(name, path, key, f"{here}/".startswith(f"{path}/")))
    if Scope.ADMIN in caller.scopes and not caller.tasks:
        found.append(Place("Keys", f"{ROOT}/keys", "k", here.startswith(f"{ROOT}/keys")))
    return found


def task_path(task: str, page: str) -> str:
    """Return the address of a task's page."""
    return f"{ROOT}/t/{task}/{page}"
