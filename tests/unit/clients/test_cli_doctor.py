"""`tidemill doctor`."""

import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from tests.plugins.fake_triton import FakeTriton
from tidemill_cli.main import run
from tidemill_core.supervisor import StateDirectoryLock


@pytest.mark.parametrize("name", ["grpc", "http"])
def test_doctor_names_a_port_that_is_taken_and_what_to_do(
    workspace: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """A failed check ends with 1, and names the setting that changes the port."""
    assert run(["init"]) == 0
    settings = workspace / "tidemill.toml"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        settings.write_text(f"{name}_port = {port}\n{settings.read_text()}")
        capsys.readouterr()
        assert run(["doctor", "--json"]) == 1
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert checks[f"port {port}"]["result"] == "fail"
    assert f"TIDEMILL_{name.upper()}_PORT" in checks[f"port {port}"]["remedy"]
    assert checks["python"]["result"] == checks["settings"]["result"] == "ok"


@pytest.mark.usefixtures("workspace")
def test_doctor_says_what_a_proxy_changes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy is shown, with a warning if Triton is on another machine."""
    assert run(["init"]) == 0
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    for url, result in (("127.0.0.1:8001", "ok"), ("triton.example:8001", "warn")):
        monkeypatch.setenv("TIDEMILL_TRITON__URL", url)
        capsys.readouterr()
        run(["doctor", "--json"])
        checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
        assert "https_proxy" in checks["proxy"]["found"]
        assert checks["proxy"]["result"] == result


def test_doctor_names_a_source_that_is_missing_and_a_key_that_others_may_read(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are failures with a remedy that a shell can run."""
    workspace = workspace / "my mill"
    assert run(["init", "my mill"]) == 0
    monkeypatch.chdir(workspace)
    (workspace / "data" / "example.csv").unlink()
    key = workspace / "var" / "prediction_id_keys.json"
    key.parent.mkdir()
    key.touch()
    key.chmod(0o644)
    capsys.readouterr()
    assert run(["doctor", "--json"]) == 1
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert "data/example.csv" in checks["settings"]["found"]
    assert "a backup has no source files" in checks["settings"]["remedy"]
    assert "tasks answer but cannot be built and trained" in checks["settings"]["remedy"]
    assert checks[key.name]["remedy"] == f"chmod 600 '{key}'"


def test_doctor_names_sources_that_nothing_here_can_read(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A URL with an unknown scheme or driver is a failure, without the URL's password."""
    sql = 'kind = "sql"\ntable = "t"\ncursor_column = "id"\n'
    (workspace / "tidemill.toml").write_text(
        '[[tasks.t.sources]]\npath = "s4://bucket/rows.csv"\n'
        '[[tasks.t.sources]]\npath = "s3://bucket/rows.csv"\n'
        f'[[tasks.t.sources]]\n{sql}url = "postgres8://u:secret@h/d"\n'
        f'[[tasks.t.sources]]\n{sql}url_env = "TICKETS_URL"\n'
        f'[[tasks.t.sources]]\n{sql}url = "sqlite:///rows.db"\n'
    )
    monkeypatch.setenv("TICKETS_URL", "mysql+pymysql://u:secret@h/d")
    assert run(["doctor", "--json"]) == 1
    printed = capsys.readouterr().out
    checks = {check["name"]: check for check in json.loads(printed)}
    assert checks["settings"]["found"].splitlines() == [
        "tasks.t.sources.0: fsspec knows no URL that begins with s4://",
        "tasks.t.sources.2: SQLAlchemy does not know its url; write one such as postgresql+psycopg://…",
        "tasks.t.sources.3: the driver that its url names is not installed: pymysql",
    ]
    assert "secret" not in printed


def test_a_variable_that_a_source_needs_is_missed_before_a_build_fails(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`doctor` and `up` warn about each unset variable with the setting that names it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        (workspace / "tidemill.toml").write_text(
            f"grpc_port = {listener.getsockname()[1]}\n"
            "[[tasks.t.sources]]\n"
            'kind = "sql"\nurl_env = "TICKETS_URL"\ntable = "t"\ncursor_column = "id"\n'
            "[[tasks.t.sources]]\n"
            'kind = "http"\nurl = "http://x/"\nauth = "bearer"\ntoken_env = "DESK_TOKEN"\n'
            "[[tasks.t.sources]]\n"
            'kind = "http"\nurl = "http://y/"\nauth = "bearer"\ntoken_env = "OTHER_TOKEN"\n'
        )
        monkeypatch.setenv("TICKETS_URL", "")
        monkeypatch.setenv("OTHER_TOKEN", "secret")
        run(["doctor", "--json"])
        found = [
            (check["result"], check["found"])
            for check in json.loads(capsys.readouterr().out)
            if check["name"] == "environment"
        ]
        assert found == [
            ("warn", "tasks.t.sources.0.url_env: TICKETS_URL is not set"),
            ("warn", "tasks.t.sources.1.token_env: DESK_TOKEN is not set"),
        ]
        command = [sys.executable, "-m", "tidemill_cli.main", "up"]
        up = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (
        "TICKETS_URL is not set: tasks.t.sources.0.url_env needs it to read its source" in up.stderr
    )
    assert "DESK_TOKEN is not set: tasks.t.sources.1.token_env" in up.stderr
    assert "OTHER_TOKEN" not in up.stderr


def test_doctor_asks_each_triton(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each Triton of `triton.url` must answer, not only listen, and take the control key."""
    assert workspace.is_dir()
    assert run(["init"]) == 0
    monkeypatch.setenv("TIDEMILL_TRITON__CONTROL_KEY", "ours")
    with (
        socket.create_server(("127.0.0.1", 0)) as there,
        FakeTriton("ours") as one,
        FakeTriton("theirs") as other,
    ):
        silent = f"127.0.0.1:{there.getsockname()[1]}"
        for url, result, found in (
            (one.address, "ok", f"uses {one.address}"),
            (f"{one.address},{silent}", "warn", f"no Triton answers at {silent}"),
            (f"{one.address},127.0.0.1:1", "warn", "no Triton answers at 127.0.0.1:1"),
            (
                f"{one.address},{other.address}",
                "warn",
                f"triton.control_key is not the key of {other.address}",
            ),
            ("dns:///nowhere.invalid:8001", "warn", "dns:///nowhere.invalid:8001: "),
        ):
            monkeypatch.setenv("TIDEMILL_TRITON__URL", url)
            capsys.readouterr()
            run(["doctor", "--json"])
            checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
            assert checks["triton"]["result"] == result
            assert checks["triton"]["found"].startswith(found)


@pytest.mark.usefixtures("workspace")
def test_doctor_knows_a_front_that_up_did_not_start(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ports of a front of its own are a warning; those of another workspace's are a failure."""
    assert run(["init", "--task", "ours"]) == 0
    health = HealthServicer()
    server = grpc.server(ThreadPoolExecutor(1))
    add_HealthServicer_to_server(health, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("TIDEMILL_GRPC_PORT", str(port))
    for task, name, result in (("theirs", f"port {port}", "fail"), ("ours", "ports", "warn")):
        health.set(f"tidemill.task.{task}", HealthCheckResponse.NOT_SERVING)
        capsys.readouterr()
        run(["doctor", "--json"])
        checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
        assert checks[name]["result"] == result
    assert f"127.0.0.1:{port}" in checks["ports"]["found"]
    assert f"port {port}" not in checks
    server.stop(None).wait()


def test_doctor_names_what_sagemaker_needs(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings of SageMaker, a region and credentials are checked as soon as a setting is set."""
    assert run(["init"]) == 0
    settings = workspace / "tidemill.toml"
    before = settings.read_text()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(workspace / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    whole = 'bucket = "b"\nrole = "r"\nimage = "i"'
    for variables, section, result, found in (
        ({}, 'bucket = "b"', "fail", "not set: sagemaker.role, sagemaker.image"),
        ({}, whole, "warn", "AWS's tools find no region and no credentials"),
        ({"AWS_DEFAULT_REGION": "us-east-1"}, whole, "warn", "AWS's tools find no credentials"),
        (
            {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"},
            whole,
            "ok",
            "trains with i in b",
        ),
    ):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        settings.write_text(f"{before}\n[sagemaker]\n{section}\n")
        capsys.readouterr()
        run(["doctor", "--json"])
        checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
        assert (checks["sagemaker"]["result"], checks["sagemaker"]["found"]) == (result, found)


def test_doctor_says_what_arize_gets(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Settings of Arize are checked as soon as one is set; the key is not shown."""
    assert run(["init"]) == 0
    settings = workspace / "tidemill.toml"
    before = settings.read_text()
    for arize, schedule, found in (
        ('api_key = "secret"', "", "arize.api_key and arize.space_id need each other"),
        ('api_key = "secret"\nspace_id = "s"', "", "it gets predictions only on demand"),
        (
            'api_key = "secret"\nspace_id = "s"',
            '[schedule]\nsend_arize = "*/15 * * * *"',
            "https://api.arize.com/v1 gets predictions without texts",
        ),
    ):
        settings.write_text(f"{before}\n[arize]\n{arize}\n{schedule}\n")
        capsys.readouterr()
        run(["doctor", "--json"])
        printed = capsys.readouterr().out
        checks = {check["name"]: check for check in json.loads(printed)}
        assert checks["arize"]["found"] == found
        assert "secret" not in printed


@pytest.mark.usefixtures("workspace")
def test_doctor_names_a_schedule_that_never_fires(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each wrong setting has a line of its own, also in the table."""
    assert run(["init"]) == 0
    monkeypatch.setenv("TIDEMILL_SCHEDULE__CHECK_DRIFT", "0 0 31 2 *")
    monkeypatch.setenv("TIDEMILL_GRPC_PORT", "high")
    capsys.readouterr()
    assert run(["doctor"]) == 1
    printed = capsys.readouterr().out
    (first,) = (line for line in printed.splitlines() if "wrong settings:" in line)
    assert first.startswith("fail  settings")
    assert "\\n" not in printed
    assert "\n                  grpc_port is 'high'" in printed
    assert "schedule.check_drift is '0 0 31 2 *'" in printed


def test_doctor_finds_the_database_of_a_running_stack_missing(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that was moved away is a failure while the stack runs, for other commands too."""
    assert run(["init"]) == 0
    stack = StateDirectoryLock(workspace / "var")
    stack.acquire()
    try:
        capsys.readouterr()
        assert run(["doctor", "--json"]) == 1
        checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
        file = workspace / "var" / "tidemill.db"
        assert checks["database"]["result"] == "fail"
        assert checks["database"]["found"] == f"{file} is missing"
        assert checks["database"]["remedy"].startswith("move it back; to begin with an empty")
        for command in (["keys", "list"], ["keys", "create", "--name", "a", "--scope", "predict"]):
            assert run(command) == 1
            assert f"{file} is missing" in capsys.readouterr().err
        assert not file.exists()
    finally:
        stack.release()
    run(["doctor", "--json"])
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert checks["database"]["result"] == "ok"
