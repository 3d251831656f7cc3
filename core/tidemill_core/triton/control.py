"""The jobs' client of all Tritons, for model control: synchronous, with the key."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt
import structlog

from tidemill_core.errors import DeadlineExceeded, ModelVersionNotServed, TritonUnavailable
from tidemill_core.triton.addresses import resolved, shown
from tidemill_core.triton.server_control import (
    CALL_TIMEOUT_SECONDS,
    LOAD_TIMEOUT_SECONDS,
    ControlKeyRefused,
    ServerControl,
)

_POLL_SECONDS = 0.05
_REST_SECONDS = 15.0
"""How long no inference is sent to a Triton that did not answer one, while there are others."""
_CLOSE_AFTER_SECONDS = 2 * LOAD_TIMEOUT_SECONDS
"""How long after DNS named a Triton last its connection is closed."""

Found = TypeVar("Found")

log = structlog.get_logger()


class TritonControl:
    """Connections to one or several Tritons; a context manager that closes them.

    A change goes to each Triton that answers. One that is away reads the configuration in the
    model repository when it starts, and the reconciler asks it again.

    Args:
        target: see `addresses.named`.
        key: of model control.
    """

    def __init__(self, target: str, key: str) -> None:
        self._target = target
        self._key = key
        self._addresses: list[str] = []
        self._servers: dict[str, ServerControl] = {}
        self._named_at: dict[str, float] = {}
        self._rests_until: dict[str, float] = {}
        self._turn = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers.values():
            server.close()

    def servers(self) -> Sequence[ServerControl]:
        """Return each Triton, in the order of the target; the known ones while DNS is away.

        Raises:
            TritonUnavailable: DNS has not named any yet.
        """
        try:
            addresses = self._addresses = resolved(self._target)
        except OSError as error:
            addresses = self._addresses
            if not addresses:
                raise TritonUnavailable(shown(self._target), str(error)) from error
        with self._lock:
            for address in addresses:
                if address not in self._servers:
                    self._servers[address] = ServerControl(address, self._key)
                self._named_at[address] = time.monotonic()
            self._close_gone()
            return [self._servers[address] for address in addresses]

    def _close_gone(self) -> None:
        """Close those that DNS no longer names, once no call of another thread can be left."""
        oldest = time.monotonic() - _CLOSE_AFTER_SECONDS
        for address in [each for each, named_at in self._named_at.items() if named_at < oldest]:
            del self._named_at[address]
            self._rests_until.pop(address, None)
            self._servers.pop(address).close()

    def wait_ready(self, timeout_seconds: float) -> None:
        """Return once a Triton answers calls, also if DNS does not know its name before.

        Raises:
            TritonUnavailable: none did in time.
        """
        deadline = time.monotonic() + timeout_seconds
        while not self._is_one_ready():
            if time.monotonic() > deadline:
                raise TritonUnavailable(
                    shown(self._target), f"not ready within {timeout_seconds:g} s"
                )
            time.sleep(_POLL_SECONDS)

    def _is_one_ready(self) -> bool:
        try:
            return any(server.is_ready() for server in self.servers())
        except TritonUnavailable:
            return False

    def load(self, model_name: str) -> None:
        """Make each Triton serve the versions in the model's config.pbtxt.

        Raises:
            ModelLoadFailed: the load failed in one of them; has Triton's words.
            ControlKeyRefused: the only one that can be reached has another key.
            TritonUnavailable: none can be reached.
        """
        self._on_each(lambda server: server.load(model_name))

    def unload(self, model_name: str) -> None:
        """Make each Triton stop serving the model.

        Raises:
            ControlKeyRefused: the only one that can be reached has another key.
            TritonUnavailable: none can be reached.
        """
        self._on_each(lambda server: server.unload(model_name))

    def ready_versions(self, model_name: str) -> frozenset[int]:
        """Return the versions that each Triton serves that can be reached.

        Raises:
            ControlKeyRefused: the only one that can be reached has another key.
            TritonUnavailable: none can be reached.
        """
        served = self._on_each(lambda server: server.ready_versions(model_name))
        return frozenset.intersection(*served)

    def infer(
        self,
        model_name: str,
        version: int,
        input_ids: npt.NDArray[np.int32],
        timeout_seconds: float = CALL_TIMEOUT_SECONDS,
    ) -> npt.NDArray[np.float32]:
        """Classify rows with one version, in the Tritons in turn: int32 [rows, length] -> float32.

        Raises:
            ModelVersionNotServed: no Triton that answers serves the version.
            ModelOutputInvalid: the run failed, or its output is not probabilities of the rows.
            DeadlineExceeded: no answer in time.
            TritonUnavailable: no Triton can be reached.
        """
        left = self._in_turn()
        while True:
            server = left.pop(0)
            try:
                return server.infer(model_name, version, input_ids, timeout_seconds)
            except (TritonUnavailable, DeadlineExceeded, ModelVersionNotServed):
                self._rests_until[server.address] = time.monotonic() + _REST_SECONDS
                if not left:
                    raise

    def answered_calls(self) -> int:
        """Return how many inference calls the Tritons have answered since they started.

        Raises:
            TritonUnavailable: none can be reached.
        """
        return sum(self._on_each(lambda server: server.answered_calls()))

    def _in_turn(self) -> list[ServerControl]:
        """Return the Tritons in the order in which to ask them; those that rest come last."""
        servers, now = self.servers(), time.monotonic()
        self._turn += 1
        first = self._turn % len(servers)
        turned = [*servers[first:], *servers[:first]]
        return sorted(turned, key=lambda each: self._rests_until.get(each.address, 0.0) > now)

    def _on_each(self, act: Callable[[ServerControl], Found]) -> list[Found]:
        """Return what each Triton that answers has found.

        Raises:
            ControlKeyRefused: the only one that answers has another key.
            TritonUnavailable: none answers.
        """
        servers, found = self.servers(), []
        failed: dict[str, TritonUnavailable | DeadlineExceeded] = {}
        for server in servers:
            try:
                if len(servers) > 1 and not server.is_ready():
                    raise TritonUnavailable(server.address, "it does not answer")
                found.append(act(server))
            except (TritonUnavailable, DeadlineExceeded) as error:
                failed[server.address] = error
        if not found:
            raise max(failed.values(), key=lambda each: isinstance(each, ControlKeyRefused))
        for address, each in failed.items():
            log.warning("triton_away", address=address, detail=each.detail or str(each))
        return found
