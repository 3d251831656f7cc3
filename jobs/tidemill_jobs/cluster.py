"""Work on a Ray cluster: parts of a job as tasks, which Ray repeats when a node is lost.

A task gets its data from the job and returns its result to it. It needs no folder and no database,
and no credential ever goes to a node. See docs/ray.md.
"""

import os
import re
import socket
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from tidemill_core.durable import cause
from tidemill_core.errors import ConfigurationError, TidemillError, Unavailable
from tidemill_core.extras import installation

if TYPE_CHECKING:
    from ray import ObjectRef

Item = TypeVar("Item")
Found = TypeVar("Found")
Map = Callable[[Callable[[Item], Found], Iterable[Item]], Iterator[Found]]
"""Python's `map`, or a cluster's: the results in the order of the items."""

_RETRIES = 5
"""How often Ray repeats a task whose node or process is lost."""
_NOT_IMPORTED = ("failed to import on the worker", "No module named", "Can't get attribute")
"""What Ray says if a node has no Tidemill, or one without the job's functions."""
_CONNECT_SECONDS = 5.0
_LOOK_SECONDS = 5.0
_WITHOUT_CPUS_SECONDS = 180.0
"""How long a cluster may have no node that works."""


class ClusterUnavailable(Unavailable):
    """A Ray cluster that cannot be reached, or that lost the work."""

    reason = "RAY_UNAVAILABLE"

    def __init__(self, address: str, detail: str) -> None:
        problem = f"the Ray cluster {address!r} cannot do the work: {detail}"
        super().__init__(f"{problem}; look at `ray status`, and start the job again")


@dataclass(frozen=True)
class _Failed:
    """A task's deliberate error. Errors that build their own message cannot be pickled."""

    reason: str
    message: str


def _guarded(wanted: str, function: Callable[..., Found], *arguments: Any) -> Found | _Failed:
    try:
        _check_version(wanted)
        return function(*arguments)
    except TidemillError as error:
        return _Failed(error.reason, str(error))


def _guarded_stream(
    wanted: str, function: Callable[..., Iterator[Found]], *arguments: Any
) -> Iterator[Found | _Failed]:
    try:
        _check_version(wanted)
        yield from function(*arguments)
    except TidemillError as error:
        yield _Failed(error.reason, str(error))


def _check_version(wanted: str) -> None:
    """Raise ConfigurationError on a node that has another Tidemill than the job."""
    if (found := version("tidemill")) != wanted:
        import ray

        node = ray.util.get_node_ip_address()
        raise ConfigurationError(_other_version(f"node {node} has {found}", wanted))


def _other_version(difference: str, wanted: str) -> str:
    cure = f"{installation('jobs,ray')} of the same release there, and start the node again"
    return f"the job has Tidemill {wanted}, but the Ray {difference}: {cure}"


class Cluster:
    """A connection to a Ray cluster; a context manager that closes it.

    Args:
        address: as in the settings; not empty.

    Raises:
        ConfigurationError: Ray is not installed, or the cluster has another version of it.
        ClusterUnavailable: there is no cluster at the address.
    """

    def __init__(self, address: str) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # Ray reads it when it is imported
        try:
            import ray
        except ImportError as error:
            advice = installation("jobs,ray")
            raise ConfigurationError(f"[ray] needs the extra `ray`: {advice}") from error
        self._ray = ray
        self._address = address
        _check_reachable(address)
        try:
            ray.init(address, log_to_driver=False, configure_logging=False)
        except (ConnectionError, ValueError, TimeoutError, ray.exceptions.RayError) as error:
            detail = str(error).partition("\n")[0]
            problem = f"is it a cluster, and this machine one of its nodes? ({detail})"
            raise ClusterUnavailable(address, problem) from error
        except RuntimeError as error:  # it says which versions differ
            raise ConfigurationError(_other_ray(address, str(error))) from error
        self._version = version("tidemill")
        self._head = str(ray.get_runtime_context().gcs_address)
        self._run = ray.remote(max_retries=_RETRIES, num_cpus=1)(_guarded)
        self._streamed = ray.remote(max_retries=_RETRIES, num_cpus=1, num_returns="streaming")(
            _guarded_stream
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()

    @property
    def cpus(self) -> int:
        """How many tasks can run at a time; 0 if all nodes are lost."""
        found: dict[str, float] = self._ray.cluster_resources()
        return int(found.get("CPU", 0))

    def share(self, value: Found) -> Found:
        """Return a reference to pass to tasks, which get the value itself, sent once a node."""
        return cast("Found", self._ray.put(value))

    def submit(self, function: Callable[..., Found], *arguments: Any) -> "ObjectRef[Found]":
        """Start a task: a function of a module, with arguments that can be pickled."""
        return cast("ObjectRef[Found]", self._run.remote(self._version, function, *arguments))

    def result(self, task: "ObjectRef[Found]") -> Found:
        """Return a task's result, once it is there.

        Raises:
            TidemillError: the task's error.
            ClusterUnavailable: its nodes are lost, or have too little memory.
        """
        self._wait(task)
        try:
            found = self._ray.get(task)
        except self._ray.exceptions.OutOfMemoryError as error:
            raise ClusterUnavailable(self._address, "a node has too little memory") from error
        except self._ray.exceptions.RayTaskError as error:
            if any(words in str(error) for words in _NOT_IMPORTED):
                cause = str(error).strip().rpartition("\n")[2]
                difference = f"cluster has a node that cannot import it ({cause})"
                raise ConfigurationError(_other_version(difference, self._version)) from error
            raise  # a fault in our code, with its traceback
        except self._ray.exceptions.RayError as error:
            detail = str(error).partition("\n")[0] or type(error).__name__
            raise ClusterUnavailable(self._address, detail) from error
        if isinstance(found, _Failed):
            raise TidemillError(found.message, found.reason)
        return found

    def stream(self, function: Callable[..., Iterator[Found]], *arguments: Any) -> Generator[Found]:
        """Yield what a generator yields on a node; see `result`. Closing it cancels the task.

        If the node is lost, the generator runs again from its start on another one. What it
        yielded before is not yielded again, so it must be the same.
        """
        task = self._streamed.remote(self._version, function, *arguments)
        try:
            while True:
                self._wait(task)
                try:
                    reference = next(task)
                except StopIteration:
                    return
                yield self.result(reference)
        finally:
            self._ray.cancel(task)

    def map(self, function: Callable[[Item], Found], items: Iterable[Item]) -> Iterator[Found]:
        """Yield the results of a function for each item, in order; see `result`.

        At most two tasks a CPU are in progress, so that the memory stays bounded.
        """
        waiting: deque[ObjectRef[Found]] = deque()
        most = 2 * max(self.cpus, 1)
        for item in items:
            waiting.append(self.submit(function, item))
            if len(waiting) >= most:
                yield self.result(waiting.popleft())
        while waiting:
            yield self.result(waiting.popleft())

    def _wait(self, task: "ObjectRef[Any]") -> None:
        """Wait for a task while the cluster has its head and a node that works.

        Ray ends the process itself, without an exception, 60 s after it lost the head.
        """
        worked = time.monotonic()
        while not self._ray.wait([task], timeout=_LOOK_SECONDS)[0]:
            _check_reachable(self._head)
            if self.cpus:
                worked = time.monotonic()
            elif time.monotonic() - worked > _WITHOUT_CPUS_SECONDS:
                raise ClusterUnavailable(self._address, "it has no node with CPUs")


def _other_ray(address: str, detail: str) -> str:
    """Return an error about the versions that Ray's own error names."""
    versions = re.findall(r"(?:Ray|Python): \S+", detail)
    if len(versions) != 4:
        return f"the Ray cluster {address!r}: {detail}"
    theirs, ours = (", ".join(each) for each in (versions[:2], versions[2:]))
    cure = f"on each machine of the cluster, {installation('jobs,ray')} with the same Python"
    rule = f"the Ray cluster {address!r} has {theirs}, this machine has {ours}"
    return f"{rule}: {cure}, and start the cluster again"


def _check_reachable(address: str) -> None:
    """Raise ClusterUnavailable if nothing listens at an address; Ray would try for a minute."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ClusterUnavailable(address, f"it does not answer ({cause(error)})") from error


@contextmanager
def mapping(address: str) -> Iterator[Map[Any, Any]]:
    """Yield the `map` of a cluster; Python's own without an address."""
    if not address:
        yield map
        return
    with Cluster(address) as cluster:
        yield cluster.map
