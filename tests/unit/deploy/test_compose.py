"""The compose file and the images against the code that runs in them."""

import ipaddress
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from tidemill_core.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EACH_SERVICE = pytest.mark.parametrize("name", sorted(SERVICES))
DOCKERFILE = ROOT / "deploy" / "images" / "Dockerfile"
CONTROL_KEY = "${TIDEMILL_TRITON__CONTROL_KEY:?choose one, for example with openssl rand -hex 32}"


def default(setting: str) -> Any:
    """The default of one of the settings."""
    return Settings.model_fields[setting].default


def unset(text: str) -> str:
    """A value of the compose file where the variables that have a default are not set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def settings_of(variables: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of `Settings` that the variables stand for; KeyError names a stranger."""
    arguments: dict[str, Any] = {}
    for variable, value in variables.items():
        *sections, last = variable.removeprefix("TIDEMILL_").lower().split("__")
        fields, target = Settings.model_fields, arguments
        for section in sections:
            kind = fields[section].annotation
            assert isinstance(kind, type), variable
            assert issubclass(kind, BaseModel), variable
            fields, target = kind.model_fields, target.setdefault(section, {})
        if last not in fields:
            raise KeyError(f"{variable} is no setting")
        target[last] = value
    return arguments


def tidemill_variables(name: str) -> dict[str, str]:
    """The TIDEMILL_* variables of a service."""
    environment = SERVICES[name].get("environment", {})
    return {key: value for key, value in environment.items() if key.startswith("TIDEMILL_")}


def stages() -> dict[str, list[str]]:
    """The Dockerfile's stages by name, each with its instructions and those of its base."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in DOCKERFILE.read_text("utf-8").replace("\\\n", " ").splitlines():
        if match := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            current = found[match[2]] = list(found.get(match[1], []))
        elif line and not line.startswith("#"):
            current.append(line)
    return found


def instructions(name: str, keyword: str) -> list[str]:
    """The arguments of each such instruction in the stage that a service is built from."""
    lines = stages()[SERVICES[name]["build"]["target"]]
    return [line.removeprefix(keyword).strip() for line in lines if line.startswith(f"{keyword} ")]


def volumes(name: str) -> dict[str, dict[str, Any]]:
    """A service's mounts by their path in the container."""
    return {mount["target"]: mount for mount in SERVICES[name]["volumes"]}


def images() -> Iterator[str]:
    """Every image that is pulled."""
    yield from (service["image"] for service in SERVICES.values() if "build" not in service)
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE.read_text("utf-8"), re.MULTILINE)
    yield from (base for base in bases if base not in stages())


@pytest.mark.parametrize("name", ["server", "jobs"])
def test_every_variable_is_a_setting(name: str) -> None:
    """Each TIDEMILL_* variable names a setting of today, and its value is valid for it."""
    arguments = settings_of(tidemill_variables(name))
    assert (
        Settings(**arguments).triton_address
        == SERVICES[name]["environment"]["TIDEMILL_TRITON__URL"]
    )


def test_every_variable_of_the_images_is_a_setting() -> None:
    """What the Dockerfile sets are settings, the same as compose gives."""
    lines = " ".join(stages()["runtime"])
    variables = dict(re.findall(r"(TIDEMILL_\w+)=(\S+)", lines))
    assert settings_of(variables)
    assert variables.items() <= tidemill_variables("server").items()


def test_a_variable_that_is_no_setting_is_noticed() -> None:
    """A renamed setting makes the check of its variable fail, nested or not."""
    for variable in ("TIDEMILL_STATE_DIRECTORY", "TIDEMILL_TRITON__ADDRESS", "TIDEMILL_NO__URL"):
        with pytest.raises(KeyError):
            settings_of({variable: ""})


def test_server_and_jobs_share_their_settings() -> None:
    """They differ in the addresses that the server listens on and the key that the jobs hold."""
    server, jobs = (set(tidemill_variables(name).items()) for name in ("server", "jobs"))
    assert {name for name, _ in server - jobs} == {
        "TIDEMILL_GRPC_HOST",
        "TIDEMILL_HTTP_HOST",
        "TIDEMILL_METRICS_HOST",
    }
    assert jobs - server == {("TIDEMILL_TRITON__CONTROL_KEY", CONTROL_KEY)}


def test_the_servers_ports_are_the_settings_defaults() -> None:
    """They are those that it listens on by default, and the settings' variables move them."""
    ports = {f"TIDEMILL_{name.upper()}": default(name) for name in ("grpc_port", "http_port")}
    published = [f"127.0.0.1:${{{name}:-{port}}}:{port}" for name, port in ports.items()]
    assert SERVICES["server"]["ports"] == published
    assert instructions("server", "EXPOSE") == [" ".join(map(str, ports.values()))]


def test_nothing_is_published_beyond_loopback() -> None:
    """Each published port is bound to a loopback address, and Triton and PostgreSQL have none."""
    published = {name: service.get("ports", []) for name, service in SERVICES.items()}
    open_to_users = {"server", "prometheus", "grafana"}
    assert {name for name, ports in published.items() if ports} == open_to_users
    for ports in published.values():
        assert all(ipaddress.ip_address(port.partition(":")[0]).is_loopback for port in ports)
    for name in ("triton", "postgres"):
        assert [COMPOSE["networks"][each] for each in SERVICES[name]["networks"]] == [
            {"internal": True}
        ]


def test_images_are_pinned() -> None:
    """Each pulled image has a tag with a full version, and the built ones the package's."""
    assert all(
        re.search(r":v?\d+\.\d+(\.\d+(-[a-z0-9-]+)?|-[a-z0-9-]+)$", image) for image in images()
    )
    version = re.search(
        r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE
    )
    assert version
    built = {service["image"] for service in SERVICES.values() if "build" in service}
    assert built == {f"tidemill-server:{version[1]}", f"tidemill-jobs:{version[1]}"}


@EACH_SERVICE
def test_every_service_is_watched_and_restarted(name: str) -> None:
    """Each has a health check, its own or its image's, and starts again after a crash."""
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    if "build" in service:
        (command,) = instructions(name, "HEALTHCHECK")
        script = re.search(r"(\w+\.py)", command)
        assert script
        assert (DOCKERFILE.parent / script[1]).is_file()
    else:
        assert service["healthcheck"]["test"][0] == "CMD"


@EACH_SERVICE
def test_every_service_is_confined(name: str) -> None:
    """No root, no capabilities, no way to gain any, and no writing outside volumes and /tmp."""
    service = SERVICES[name]
    user = instructions(name, "USER")[-1] if "build" in service else service["user"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in service["tmpfs"]  # noqa: S108 -- a path in the container


def test_who_reads_models_is_who_writes_them() -> None:
    """Triton and Tidemill run under one number, for what the jobs write is private to it."""
    users = {instructions(name, "USER")[-1] for name in ("server", "jobs")}
    assert users == {SERVICES["triton"]["user"]}


def test_volumes_are_declared_and_used() -> None:
    """Each named volume is declared, and each declared one is mounted somewhere."""
    mounts = [mount for name in SERVICES for mount in SERVICES[name]["volumes"]]
    used = {mount["source"] for mount in mounts if mount["type"] == "volume"}
    assert used == COMPOSE["volumes"].keys()


def test_only_the_jobs_write_models() -> None:
    """All see one model repository where their settings say; only the jobs may write to it."""
    target = tidemill_variables("jobs")["TIDEMILL_MODEL_REPOSITORY"]
    assert f"--model-repository={target}" in map(unset, SERVICES["triton"]["command"])
    mounts = {name: volumes(name)[target] for name in ("server", "jobs", "triton")}
    assert {mount["source"] for mount in mounts.values()} == {"models"}
    assert [name for name, mount in mounts.items() if not mount.get("read_only")] == ["jobs"]


def test_server_and_jobs_share_their_state() -> None:
    """The keys that sign prediction ids lie in one volume, which both may write."""
    for name in ("server", "jobs"):
        mount = volumes(name)[tidemill_variables(name)["TIDEMILL_STATE_DIR"]]
        assert (mount["source"], mount.get("read_only", False)) == ("state", False)


def test_the_workspace_is_mounted_to_be_read() -> None:
    """The settings file and the examples lie in the images' working directory, unwritable."""
    for name in ("server", "jobs"):
        folder = instructions(name, "WORKDIR")[-1]
        for source in ("tidemill.toml", "examples"):
            mount = volumes(name)[f"{folder}/{source}"]
            assert (mount["source"], mount["read_only"]) == (f"./{source}", True)
            assert (ROOT / source).exists()


def test_secrets_are_demanded_and_never_written_down() -> None:
    """Every password and key comes from a variable without which compose does not start."""
    found = [
        str(value)
        for service in SERVICES.values()
        for name, value in service.get("environment", {}).items()
        if re.search("PASSWORD|KEY", name)
    ]
    assert len(found) == 4
    assert all(re.fullmatch(r"\$\{\w+:\?[^}]+\}", value) for value in found)
    url = SERVICES["server"]["environment"]["TIDEMILL_DATABASE_URL"]
    assert re.fullmatch(r"postgresql\+psycopg://tidemill@postgres:5432/tidemill", url)


def test_the_bucket_file_only_adds_the_bucket() -> None:
    """Server and jobs get two settings and AWS's variables; Triton gets these, and a way out.

    Nothing else: podman-compose appends a list to the other file's, a health check's too.
    """
    text = (ROOT / "docker-compose.s3.yml").read_text("utf-8")
    added: dict[str, dict[str, Any]] = yaml.safe_load(text)["services"]
    assert added["server"] == added["jobs"]
    variables = added["server"].pop("environment")
    assert added["server"] == {}
    ours = {name: value for name, value in variables.items() if value is not None}
    assert settings_of(ours).keys() == {"dataset_storage", "model_storage"}
    assert {unset(value) for value in ours.values()} == {""}
    passed = {name: None for name in variables if name.startswith("AWS_")}
    assert variables == {**ours, **passed}
    assert added["triton"] == {"environment": passed, "networks": ["public"]}


@pytest.mark.parametrize("name", ["server", "jobs"])
def test_images_can_use_a_bucket(name: str) -> None:
    """Both have what the extra for `s3://` adds to the server's packages."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    _, *added = project["optional-dependencies"]["s3"]
    assert stages()["bucket"][-1].endswith(f" install --prefix=/bucket {' '.join(added)}")
    assert "--from=bucket /bucket /opt/tidemill" in instructions(name, "COPY")
