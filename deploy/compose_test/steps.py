"""What the running stack must do: each function returns what it found, or raises `Failed`."""

import json
import signal
import time
from functools import partial

import httpx

from deploy.compose_test.engine import Failed
from deploy.compose_test.stack import LABELS, TASK, Stack, wait_until
from deploy.compose_test.traffic import Traffic
from tidemill_client import TidemillError

_FIRST_MODEL_SECONDS = 600.0
_LEADER = "select holder from leases"


def create_key(stack: Stack, service: str) -> str:
    """Create a key with the command that the compose file shows, in a service's container."""
    scopes = [f"--scope={scope}" for scope in ("predict", "feedback", "admin")]
    made = stack.tidemill("keys", "create", "--name=test", *scopes, "--json", service=service)
    return str(json.loads(made)["api_key"])


def predict_with_a_new_key(stack: Stack) -> str:
    """Create a key in the server's container, and predict with it."""
    return predict(stack, create_key(stack, "server"))


def wait_for_the_first_model(stack: Stack, key: str) -> str:
    """Wait until the jobs have trained a model and it answers."""
    seconds = wait_until(
        lambda: version_of(stack, key) == 1, "version 1 answers", _FIRST_MODEL_SECONDS
    )
    return f"version 1 answers {seconds:.0f} s after the containers are healthy"


def predict(stack: Stack, key: str) -> str:
    """Predict over gRPC and over HTTP, and check that a caller without a key is refused."""
    text = "text number 1 is red"
    with stack.client(key) as client:
        over_grpc = client.predict(TASK, text)
    url, headers = f"{stack.http}/v1/tasks/{TASK}:predict", {"authorization": f"Bearer {key}"}
    over_http = httpx.post(url, json={"text": text}, headers=headers, timeout=30)
    refused = httpx.post(url, json={"text": text}, timeout=30)
    if (over_grpc.label, over_http.status_code, refused.status_code) != ("red", 200, 401):
        raise Failed(f"{over_grpc}\n{over_http.text}\n{refused.status_code} {refused.text}")
    if over_http.json()["label"] != "red":
        raise Failed(over_http.text)
    return "gRPC and HTTP answer with the key; without it HTTP answers 401"


def version_of(stack: Stack, key: str) -> int:
    """Return the version that answers now; 0 if none does."""
    try:
        with stack.client(key) as client:
            return client.predict(TASK, f"text number 2 is {LABELS[0]}").model_version
    except TidemillError:
        return 0


def retrain(stack: Stack, key: str, version: int) -> str:
    """Give feedback and retrain while callers go on, and wait until the new version answers."""
    with Traffic(stack, key) as traffic:
        traffic.wait_for(200)
        stack.tidemill("jobs", "run", "retrain", f"--task={TASK}", key=key)
        wait_until(lambda: version in traffic.versions, f"version {version} answers")
        traffic.wait_for(100)
    lost = traffic.lost()
    if traffic.failures or lost:
        raise Failed(f"{traffic.summary()}, {lost} lost")
    return f"version {version} took over; {traffic.summary()}, 0 lost"


def kill(stack: Stack, key: str, service: str) -> str:
    """Kill a service's main process; the engine must start it again, and the stack must answer."""
    before, leader = stack.started(service), stack.sql(_LEADER)
    begin = time.monotonic()
    stack.send(signal.SIGKILL, service)
    wait_until(lambda: stack.started(service) != before, f"{service} starts again")
    stack.wait_healthy((service,))
    if service == "jobs":  # its health check is content until the lease of the dead one expires
        wait_until(lambda: stack.sql(_LEADER) != leader, "the new jobs process leads")
    wait_until(lambda: version_of(stack, key) > 0, "it answers")
    return f"started again, healthy, and the stack answers {time.monotonic() - begin:.0f} s later"


def start_without_database(stack: Stack, key: str) -> str:
    """Kill the server while PostgreSQL hangs: it starts again, and waits instead of ending."""
    before = stack.started("server")
    stack.send(signal.SIGSTOP, "postgres")
    try:
        stack.send(signal.SIGKILL, "server")
        wait_until(lambda: stack.started("server") != before, "the server starts again")
        log = partial(stack.log, stack.container("server"))
        wait_until(lambda: "waiting_for_database" in log(), "the server says that it waits")
        waits = stack.started("server")
    finally:
        stack.send(signal.SIGCONT, "postgres")
    seconds = wait_until(lambda: version_of(stack, key) > 0, "it answers")
    if stack.started("server") != waits:
        raise Failed("the server ended while it waited")
    return f"the server waits, and answers {seconds:.0f} s after PostgreSQL does"


def restart(stack: Stack, key: str) -> str:
    """Stop all containers, check that each ended by itself, remove them, and start again."""
    version = version_of(stack, key)
    stored = stack.sql("select count(*) from predictions")
    seconds = stack.stop()
    stack.compose("down")
    stack.up()
    wait_until(lambda: version_of(stack, key) == version, f"version {version} answers")
    if int(stack.sql("select count(*) from predictions")[0]) < int(stored[0]):
        raise Failed("the database has lost predictions")
    return f"all ended by themselves in {seconds:.0f} s; version {version} answers again"
