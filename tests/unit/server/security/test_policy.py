"""The requirements of each method."""

import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from tritonclient.grpc import service_pb2 as inference_pb2

import tidemill.v1
from tidemill_core.domain.access import Scope
from tidemill_server.security.policy import POLICY, TaskSource

MODULES = [
    *(
        importlib.import_module(f"tidemill.v1.{module.name}")
        for module in pkgutil.iter_modules(tidemill.v1.__path__)
        if module.name.endswith("_service_pb2")
    ),
    inference_pb2,
    health_pb2,
    reflection_pb2,
]
METHODS: dict[str, Any] = {
    f"/{service.full_name}/{method.name}": method
    for module in MODULES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
METHODS |= {
    path.replace(".v1alpha.", ".v1."): method
    for path, method in METHODS.items()
    if "ServerReflection" in path
}


def test_every_method_is_listed_and_no_other() -> None:
    """A new method of the contract needs a rule."""
    assert METHODS.keys() == POLICY.keys()


@pytest.mark.parametrize("path", METHODS)
def test_the_task_is_where_the_request_has_it(path: str) -> None:
    """A rule names a field of the request, and a `task` field is always used."""
    fields = METHODS[path].input_type.fields_by_name
    source = POLICY[path].task
    assert source is TaskSource.NONE or source.value in fields
    if "task" in fields:
        assert source is TaskSource.TASK


@pytest.mark.parametrize("path", METHODS)
def test_what_changes_something_is_an_admins_and_audited(path: str) -> None:
    """Admin methods are audited unless their name begins with a word for reading."""
    rule = POLICY[path]
    of_admins = ("ModelService", "MonitoringService", "JobService", "DatasetService")
    of_admins += ("AccessService",)
    if path.split("/")[1].rpartition(".")[2] in of_admins:
        reads = path.rpartition("/")[2].startswith(("List", "Get", "Watch", "Diff", "Find"))
        assert rule.scope is Scope.ADMIN
        assert rule.is_audited is not reads
    else:
        assert rule.is_audited is path.endswith("/ResolveHeldFeedback")


def test_the_guide_names_every_call_that_is_recorded() -> None:
    """The audit trail's section lists the methods with `is_audited`."""
    guide = (Path(__file__).parents[4] / "docs/security.md").read_text(encoding="utf-8")
    section = guide.partition("## The audit trail")[2].partition("## ")[0]
    audited = {path.rpartition("/")[2] for path, rule in POLICY.items() if rule.is_audited}
    assert audited <= set(re.findall(r"\w+", section))


def test_a_key_that_sends_feedback_reads_nothing() -> None:
    """Applications have such keys, and must not see what others wrote."""
    sending = {path.rpartition("/")[2] for path, rule in POLICY.items() if rule.scope == "feedback"}
    assert all(name.startswith(("Submit", "Stream")) for name in sending)


def test_only_health_is_open() -> None:
    """Only probes need no credential."""
    of_inference = "/inference.GRPCInferenceService/"
    assert {path for path, rule in POLICY.items() if rule.scope is None} == {
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
        f"{of_inference}ServerLive",
        f"{of_inference}ServerReady",
    }
