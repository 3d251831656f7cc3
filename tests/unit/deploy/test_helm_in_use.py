"""The chart in a cluster: how pods are judged, called and replaced."""

import json
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.deploy.test_compose import ROOT
from tests.unit.deploy.test_compose import SERVICES as COMPOSED
from tests.unit.deploy.test_helm import CHART, HELM, manifests, pods, render
from tidemill_core.settings import PredictionLogSettings

pytestmark = pytest.mark.skipif(HELM is None, reason="Helm is not installed: make helm-check")
GUIDE = (ROOT / "docs" / "kubernetes.md").read_text("utf-8")
AN_HOUR = 3600


def container(component: str, values: dict[str, str] | None = None) -> dict[str, Any]:
    """The container of a component's pods."""
    (found,) = pods(manifests(values or {}))[component]["containers"]
    return dict(found)


@pytest.mark.parametrize("component", ["front", "jobs"])
def test_a_long_migration_is_not_ended(component: str) -> None:
    """Pods may wait for the database and migrate it for an hour before they count as failed."""
    probe = container(component)["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= AN_HOUR


def test_jobs_that_wait_for_the_database_have_not_started() -> None:
    """The probe of the start fails meanwhile; the later one does not end runs."""
    jobs = container("jobs")
    command = ["python", "/opt/tidemill/jobs_healthy.py"]
    assert jobs["startupProbe"]["exec"]["command"] == [*command, "--startup"]
    assert jobs["livenessProbe"]["exec"]["command"] == command


def test_a_front_that_hangs_is_restarted() -> None:
    """Its process must answer: the kernel alone accepts connections of one that is stopped."""
    front = container("front")
    assert "grpc" in front["livenessProbe"]
    assert "grpc" in front["readinessProbe"]


def test_no_certificate_restarts_a_front() -> None:
    """With TLS, only its readiness needs the caller's certificate, and a second of CPU."""
    front = container("front", {"tlsSecretName": "tls"})
    assert front["livenessProbe"]["tcpSocket"] == {"port": "grpc"}
    assert "exec" in front["readinessProbe"]


def test_orphans_are_reaped() -> None:
    """The first process of the jobs' pod is not the jobs, as in compose with `init`."""
    assert COMPOSED["jobs"]["init"] is True
    assert pods(manifests({}))["jobs"]["shareProcessNamespace"] is True


def test_a_triton_goes_on_while_dns_names_it() -> None:
    """It answers for some seconds after its end was asked for, and then has time to end."""
    pod = pods(manifests({}))["triton"]
    (triton,) = pod["containers"]
    program, seconds = triton["lifecycle"]["preStop"]["exec"]["command"]
    assert (program, int(seconds) + 5 < pod["terminationGracePeriodSeconds"]) == ("sleep", True)


def test_the_http_api_knows_the_names_of_its_services() -> None:
    """Callers may use each form of both names, and those in `httpAllowedHosts`."""
    environment = container("front", {"httpAllowedHosts[0]": "shop.example"})["env"]
    (hosts,) = (e["value"] for e in environment if e["name"] == "TIDEMILL_HTTP_ALLOWED_HOSTS")
    ends = ("", ".default", ".default.svc", ".default.svc.cluster.local")
    names = [f"{service}{end}" for service in ("demo", "demo-front") for end in ends]
    assert json.loads(hosts) == [*names, "shop.example"]


@pytest.mark.parametrize("service", ["demo", "demo-front"])
def test_gateways_speak_tls_where_the_fronts_do(service: str) -> None:
    """The Services declare HTTP/2 in clear only without TLS."""
    for values, protocol in (({}, "kubernetes.io/h2c"), ({"tlsSecretName": "tls"}, None)):
        grpc, *_ = manifests(values)["Service", service]["spec"]["ports"]
        assert grpc.get("appProtocol") == protocol


def test_the_spool_has_room_for_its_bound() -> None:
    """A front's volume holds `prediction_log.max_spool_mb` and two files of the access log."""
    (claim,) = manifests({})["StatefulSet", "demo-front"]["spec"]["volumeClaimTemplates"]
    gibibytes = int(claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi"))
    assert gibibytes * 2**30 >= (PredictionLogSettings().max_spool_mb + 200) * 1e6


def test_settings_may_begin_with_an_indented_line(tmp_path: Path) -> None:
    """They arrive as they are: YAML does not take the first line's indent for that of the text."""
    text = '  # ours\n[tasks.support]\nsources = [{ path = "x.csv" }]\n\n'
    (tmp_path / "own.toml").write_text(text)
    done = render({}, settings=tmp_path / "own.toml")
    assert done.returncode == 0, done.stderr
    (found,) = (e for e in yaml.safe_load_all(done.stdout) if e and e["kind"] == "ConfigMap")
    assert tomllib.loads(found["data"]["tidemill.toml"]) == tomllib.loads(text)


def test_prometheus_finds_the_pods() -> None:
    """The scrape configuration keeps the labels and the port that the pods have."""
    text = (ROOT / "deploy" / "prometheus" / "kubernetes.yml").read_text("utf-8")
    rendered = manifests({})
    for job, kind, name in (
        ("tidemill", "StatefulSet", "demo-front"),
        ("triton", "Deployment", "demo-triton"),
    ):
        template = rendered[kind, name]["spec"]["template"]
        labels = template["metadata"]["labels"]
        ports = [each["name"] for each in template["spec"]["containers"][0]["ports"]]
        (config,) = (e for e in yaml.safe_load(text)["scrape_configs"] if e["job_name"] == job)
        keep, *added = config["relabel_configs"]
        of_pod = [labels[f"app.kubernetes.io/{each}"] for each in ("name", "component")]
        assert keep["regex"].split(";")[:2] == of_pod
        assert keep["regex"].split(";")[2] in ports
        assert {each["target_label"] for each in added} == {"namespace", "pod"}


def helm_commands() -> list[list[str]]:
    """The words of each `helm` command of the guide."""
    text = GUIDE.replace("\\\n", " ")
    lines = re.findall(r"(?:^|`)helm (-n [^`\n]+)", text, re.MULTILINE)
    return [shlex.split(line) for line in lines]


def test_the_guides_commands_are_helms() -> None:
    """Helm has each option, and an upgrade takes the new chart's defaults."""
    assert HELM is not None
    commands = helm_commands()
    assert len(commands) >= 5
    for command in commands:
        (verb,) = {"install", "upgrade", "rollback"} & set(command)
        options = {word.partition("=")[0] for word in command if word.startswith("--")}
        done = subprocess.run([HELM, verb, "--help"], capture_output=True, text=True, check=True)
        assert sorted(options - set(re.findall(r"--[a-z-]+", done.stdout))) == []
        assert verb != "upgrade" or "--reset-then-reuse-values" in options
        values = [word for word in command if "=" in word and not word.startswith("settings=")]
        done = render({}, *(part for each in values for part in ("--set", each)))
        assert done.returncode == 0, done.stderr
    assert CHART.relative_to(ROOT).as_posix() in GUIDE
