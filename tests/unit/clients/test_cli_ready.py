"""The example that `tidemill up` shows once it is ready."""

import ast
import re
from pathlib import Path

import pytest

from tests.integration.server.certificates import Authority
from tidemill_cli.ready import example
from tidemill_cli.target import http_url, target_of
from tidemill_core.settings import load_settings

TASK = '[tasks.support]\n[[tasks.support.sources]]\npath = "a.csv"\n'
TLS = '[tls]\ncertificate = "server.crt"\nprivate_key = "server.key"\n'
KEY, CLIENT = "TIDEMILL_API_KEY", "TIDEMILL_CLIENT_CERTIFICATE"


@pytest.mark.parametrize(
    ("above", "below", "named", "arguments"),
    [
        ("", "", set(), set()),
        ('grpc_host = "0.0.0.0"\n', "", {KEY}, {"api_key"}),
        ("", "[auth]\nrequired = true\n", {KEY}, {"api_key"}),
        ('grpc_host = "::"\n', "[auth]\nrequired = false\n", set(), set()),
        ("", TLS, set(), {"tls"}),
        ('grpc_host = "0.0.0.0"\n', TLS, {KEY}, {"api_key", "tls"}),
        ("", f'{TLS}client_ca = "ca.crt"\n', {CLIENT}, {"tls"}),
    ],
)
def test_the_example_has_all_that_a_caller_must_show(
    above: str, below: str, named: set[str], arguments: set[str], workspace: Path
) -> None:
    """Keys, certificates and TLS are in the example if the server needs them, and only then."""
    Authority("ca").issue().write(workspace / "server.crt", workspace / "server.key")
    (workspace / "tidemill.toml").write_text(f"{above}{TASK}{below}")
    text = example(load_settings(), target_of(""))
    assert {name for name in (KEY, CLIENT) if f"export {name}=" in text} == named
    assert ("tidemill keys create" in text) == (KEY in named)
    _, _, program = text.partition("or in Python:\n")
    tree = ast.parse(re.sub(r"^  ", "", program, flags=re.MULTILINE))
    (call,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "TidemillClient"
    )
    assert {keyword.arg for keyword in call.keywords} == arguments


@pytest.mark.parametrize(
    ("host", "shown"), [("::1", "[::1]"), ("[::1]", "[::1]"), ("::", "[::1]"), ("localhost",) * 2]
)
def test_an_ipv6_address_is_in_brackets(host: str, shown: str, workspace: Path) -> None:
    """Without them, gRPC takes the port for a part of the address."""
    (workspace / "tidemill.toml").write_text(f'grpc_host = "{host}"\nhttp_host = "{host}"\n{TASK}')
    assert target_of("").address == f"{shown}:50051"
    assert http_url(load_settings()) == f"http://{shown}:8080"
