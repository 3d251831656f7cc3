"""The Helm chart, rendered by Helm, against the schemas of Kubernetes and the compose file."""

import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.unit.deploy.test_compose import ROOT, SERVICES, settings_of, unset

CHART = ROOT / "deploy" / "helm" / "tidemill"
HELM = shutil.which("helm", path=str(Path(sys.executable).parent)) or shutil.which("helm")
pytestmark = pytest.mark.skipif(HELM is None, reason="Helm is not installed: make helm-check")
VERSIONS = ("1.29", "1.33", "1.37")
OPTIONS = {
    "default": {},
    "everything": {
        "tlsSecretName": "tls",
        "front.autoscaling.enabled": "true",
        "triton.gpus": "1",
        "triton.modelRepository": "s3://bucket/models",
        "serviceAccountAnnotations.role": "tidemill",
        "awsSecretName": "aws",
        "triton.replicas": "2",
        "storage.className": "nfs",
        "storage.spoolClassName": "fast",
        "imagePullSecrets[0].name": "registry",
        "httpAllowedHosts[0]": "tidemill.example.org",
        "frontSecrets[0]": "TIDEMILL_DATABASE_URL",
        "frontSecrets[1]": "TIDEMILL_PREDICTION_ID_KEYS",
        "networkPolicy.monitoring[0].namespaceSelector.matchLabels.name": "monitoring",
        "networkPolicy.callers[0].namespaceSelector.matchLabels.name": "shop",
        "front.nodeSelector.pool": "serving",
    },
    "nothing that can be left out": {"networkPolicy.enabled": "false"},
}


def render(
    values: dict[str, str], *options: str, settings: Path | None = ROOT / "tidemill.toml"
) -> "subprocess.CompletedProcess[str]":
    """Render the chart as the release `demo`."""
    assert HELM is not None
    given = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
    given += options
    if settings:
        given += ["--set-file", f"settings={settings}"]
    command = [HELM, "template", "demo", str(CHART), *given]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def manifests(values: dict[str, str]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the chart's manifests by kind and name."""
    return _rendered(tuple(values.items()))


@cache
def _rendered(values: tuple[tuple[str, str], ...]) -> dict[tuple[str, str], dict[str, Any]]:
    done = render(dict(values))
    assert done.returncode == 0, done.stderr
    found = [each for each in yaml.safe_load_all(done.stdout) if each]
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def pods(rendered: dict[tuple[str, str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the specifications of the pods, by component."""
    return {
        name.removeprefix("demo-"): each["spec"]["template"]["spec"]
        for (_, name), each in rendered.items()
        if "template" in each.get("spec", {})
    }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("values", OPTIONS.values(), ids=OPTIONS)
def test_manifests_are_valid(values: dict[str, str], version: str) -> None:
    """Kubernetes' strict schemas accept each manifest."""
    for manifest in manifests(values).values():
        kubernetes_validate.validate(manifest, version, strict=True)


def test_settings_must_be_given() -> None:
    """Without the text of tidemill.toml the error says how to give it."""
    done = render({}, settings=None)
    assert done.returncode != 0
    assert "--set-file settings=tidemill.toml" in done.stderr


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("front.replica=3", "'replica' not allowed"),
        ("networkpolicy.enabled=true", "'networkpolicy' not allowed"),
        ("front.replicas=two", "at '/front/replicas': got string, want integer"),
        ("front.spoolSize=2GB", "at '/front/spoolSize': '2GB' does not match pattern"),
        ("front.maxUnavailable=half", "at '/front/maxUnavailable': 'half' does not match pattern"),
        ("front.autoscaling.targetQueueSeconds=ten", "'ten' does not match pattern"),
        ("frontSecrets=[]", "at '/frontSecrets': minItems: got 0, want 1"),
        ("triton.image.tag=26", "at '/triton/image/tag': got number, want string"),
    ],
)
def test_a_wrong_value_is_refused(value: str, why: str) -> None:
    """Helm names a misspelt value, or one of another type, instead of ignoring it."""
    name, given = value.split("=")
    done = render({}, "--set-json", f"{name}={given}") if given == "[]" else render({name: given})
    assert done.returncode != 0
    assert why in done.stderr


def test_settings_arrive_unchanged() -> None:
    """The ConfigMap has the file's settings."""
    text = manifests({})["ConfigMap", "demo-settings"]["data"]["tidemill.toml"]
    assert tomllib.loads(text) == tomllib.loads((ROOT / "tidemill.toml").read_text("utf-8"))


def test_variables_are_settings() -> None:
    """Each variable of a container sets something that exists."""
    for pod in pods(manifests(OPTIONS["everything"])).values():
        names = [each["name"] for each in pod["containers"][0].get("env", [])]
        ours = [name for name in names if name.startswith("TIDEMILL_")]
        settings_of({name: "" for name in ours if name != "TIDEMILL_SECRETS_DIR"})


def test_containers_have_few_rights() -> None:
    """No pod runs as root, writes to its image, keeps capabilities, or has a token of the API."""
    for pod in pods(manifests({})).values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        (container,) = pod["containers"]
        rights = container["securityContext"]
        assert rights["readOnlyRootFilesystem"] is True
        assert rights["allowPrivilegeEscalation"] is False
        assert rights["capabilities"] == {"drop": ["ALL"]}
        assert {"requests", "limits"} <= set(container["resources"])


def test_only_jobs_and_triton_have_the_control_key() -> None:
    """Fronts get only the keys of the Secret that are listed for them."""
    (front,) = (
        volume["secret"]
        for volume in pods(manifests({}))["front"]["volumes"]
        if volume["name"] == "secrets"
    )
    assert [item["key"] for item in front["items"]] == ["TIDEMILL_DATABASE_URL"]


def test_triton_starts_as_in_compose() -> None:
    """Its options and its release are those of the compose file."""
    (triton,) = pods(manifests({}))["triton"]["containers"]
    compose = SERVICES["triton"]
    assert triton["image"] == compose["image"]
    given = map(unset, compose["command"])
    plain = [re.sub(r"\$\{[^}]*\}", "$(CONTROL_KEY)", each) for each in given]
    assert triton["command"] == plain


def test_gpus_are_a_limit() -> None:
    """`triton.gpus` adds NVIDIA's resource to the other limits."""
    (triton,) = pods(manifests({"triton.gpus": "2"}))["triton"]["containers"]
    assert triton["resources"]["limits"] == {"nvidia.com/gpu": 2, "memory": "4Gi"}


def test_triton_may_read_a_bucket() -> None:
    """`triton.modelRepository` names another place, and the NetworkPolicy lets Triton reach it."""
    everything = manifests({"triton.modelRepository": "s3://bucket/models"})
    (triton,) = pods(everything)["triton"]["containers"]
    assert triton["command"][1] == "--model-repository=s3://bucket/models"
    assert everything["NetworkPolicy", "demo-triton"]["spec"]["egress"] == [{}]
    assert manifests({})["NetworkPolicy", "demo-triton"]["spec"]["egress"] == []


def test_credentials_of_a_bucket_are_files() -> None:
    """`awsSecretName` mounts AWS's files for fronts, jobs and Triton; by default nothing is."""
    wanted = {
        "AWS_SHARED_CREDENTIALS_FILE": "/aws/credentials",
        "AWS_CONFIG_FILE": "/aws/config",
    }
    for name, given in (("", {}), ("my-bucket", wanted)):
        for pod in pods(manifests({"awsSecretName": name})).values():
            (container,) = pod["containers"]
            files = {each["name"]: each.get("value") for each in container["env"]}
            assert {name: files[name] for name in files if name.startswith("AWS_")} == given
            mounts = [each for each in container["volumeMounts"] if each["name"] == "aws"]
            assert mounts == ([{"name": "aws", "mountPath": "/aws", "readOnly": True}] * bool(name))
            secrets = [each["secret"] for each in pod["volumes"] if each["name"] == "aws"]
            assert secrets == ([{"secretName": name, "defaultMode": 0o440}] * bool(name))


def test_a_front_may_write_what_it_fetches() -> None:
    """Its model folder is read-only, and the state, where it keeps fetched files, is not."""
    (front,) = pods(manifests({}))["front"]["containers"]
    mounts = {each["mountPath"]: each.get("readOnly", False) for each in front["volumeMounts"]}
    assert (mounts["/models"], mounts["/state"]) == (True, False)


def test_every_value_is_explained() -> None:
    """The guide's table has every value."""
    guide = (ROOT / "docs" / "kubernetes.md").read_text("utf-8")

    def names(values: dict[str, Any], before: str = "") -> list[str]:
        found = []
        for name, value in values.items():
            path = f"{before}{name}"
            whole = not isinstance(value, dict) or not value or name in {"resources", "image"}
            found += [path] if whole else names(value, f"{path}.")
        return found

    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    assert [name for name in names(values) if f"`{name}`" not in guide] == []


def test_tritons_address_stands_for_each_pod() -> None:
    """Fronts and jobs look up the headless Service of as many pods as are asked for."""
    rendered = manifests({"triton.replicas": "3"})
    assert rendered["Deployment", "demo-triton"]["spec"]["replicas"] == 3
    assert rendered["Service", "demo-triton"]["spec"]["clusterIP"] == "None"
    assert ("PodDisruptionBudget", "demo-triton") in rendered
    for name in ("front", "jobs"):
        environment = pods(rendered)[name]["containers"][0]["env"]
        urls = [each["value"] for each in environment if each["name"] == "TIDEMILL_TRITON__URL"]
        assert urls == ["dns:///demo-triton:8001"]
