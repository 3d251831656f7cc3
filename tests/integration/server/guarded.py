"""A front that requires credentials, and keys and tokens for its callers."""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import grpc

from tests.integration.server.front import Front, Workspace
from tests.integration.server.refusal import Refusal, of, refusal
from tests.integration.server.test_health import SERVING, health
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until
from tests.unit.server.security.issuer import Issuer
from tidemill.v1 import job_service_pb2
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_core.clock import system_clock
from tidemill_core.domain.access import Scope
from tidemill_core.storage.api_keys import NewApiKey

Metadata = tuple[tuple[str, str], ...]
TEXT = "lost my card"


def bearer(credential: str) -> Metadata:
    """Return the metadata with a credential."""
    return (("authorization", f"Bearer {credential}"),)


@dataclass(frozen=True)
class Guarded:
    """A front with `auth.required`, its workspace, and the issuer of its tokens."""

    workspace: Workspace
    front: Front
    issuer: Issuer

    def key(
        self,
        *scopes: Scope,
        tasks: Iterable[str] = (),
        rate: float | None = None,
        expire_time: datetime | None = None,
    ) -> str:
        """Make a key; the front does not know it yet."""
        new = NewApiKey("shop", frozenset(scopes), frozenset(tasks), rate, expire_time)
        _, shown = self.workspace.storage.api_keys.create(new, system_clock())
        return shown

    def predict(self, metadata: Metadata | None, task: str = "support") -> pb.Prediction:
        """Make one prediction."""
        request = pb.PredictRequest(task=task, text=TEXT)
        return self.front.predictions.Predict(request, timeout=10, metadata=metadata).prediction

    def refused(self, metadata: Metadata | None, task: str = "support") -> Refusal:
        """Return the refusal of a prediction."""
        return refusal(lambda: self.predict(metadata, task))

    def is_known(self, shown: str) -> bool:
        """Return whether the front knows a key; costs a key without `admin` none of its rate."""
        asked, metadata = job_service_pb2.ListJobsRequest(), bearer(shown)
        try:
            self.front.jobs.ListJobs(asked, timeout=10, metadata=metadata)
        except grpc.RpcError as error:
            return of(error).reason != "INVALID_API_KEY"
        return True


@contextlib.contextmanager
def running_guarded(folder: Path, triton: RunningTriton) -> Iterator[Guarded]:
    """Yield a front that requires credentials."""
    workspace = Workspace(folder, {"support": 1, "swapped": 2})
    issuer = Issuer(folder / "jwks.json")
    environment = {
        "TIDEMILL_AUTH__REQUIRED": "true",
        "TIDEMILL_AUTH__JWKS": str(issuer.jwks),
        "TIDEMILL_AUTH__ISSUER": "https://id.example",
        "TIDEMILL_SERVER__WORKERS": "4",  # counts for `tidemill up` only
    }
    with Front(workspace, triton.grpc_address, environment=environment) as front:
        wait_until(lambda: health(front, "tidemill.task.swapped") == SERVING, "the task is served")
        yield Guarded(workspace, front, issuer)
