"""The stack with datasets and models in a bucket, by docker-compose.s3.yml."""

import secrets
import sys
import time
from pathlib import Path

from deploy.compose_test import steps
from deploy.compose_test.engine import Failed
from deploy.compose_test.images import ROOT
from deploy.compose_test.stack import SERVICES, TASK, Stack, wait_until

_S3 = Path(__file__).parent / "s3.yml"
_BUCKET, _ENDPOINT = "tidemill", "http://s3:8333"


def start(stack: Stack) -> str:
    """Start an empty stack with a bucket, and return a key of its first model's callers."""
    variables = {
        "WEED": str(Path(sys.executable).with_name("weed")),
        "AWS_ACCESS_KEY_ID": "tidemill",
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(32),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": _ENDPOINT,
        "TIDEMILL_DATASET_STORAGE": f"s3://{_BUCKET}/datasets",
        "TIDEMILL_MODEL_STORAGE": f"s3://{_BUCKET}/models",
    }
    stack.set(**variables)
    stack.add(ROOT / "docker-compose.s3.yml")
    stack.add(_S3)
    stack.up("s3")
    _shell(stack, f"s3.bucket.create -name {_BUCKET}")
    stack.up(*SERVICES)
    return steps.create_key(stack, "jobs")


def serve_from_it(stack: Stack, key: str) -> str:
    """Start Triton on the bucket: it answers with the version that is stored there."""
    objects = _shell(stack, f"fs.tree /buckets/{_BUCKET}")
    if f"{TASK}-onnx" not in objects or "examples-" not in objects:
        raise Failed(objects)
    begin = time.monotonic()
    stack.set(TRITON_MODEL_REPOSITORY=f"s3://{_ENDPOINT}/{_BUCKET}/models")
    stack.up(*SERVICES)
    wait_until(lambda: steps.version_of(stack, key) == 1, "version 1 answers")
    return f"Triton reads the bucket, and version 1 answers {time.monotonic() - begin:.0f} s later"


def _shell(stack: Stack, command: str) -> str:
    """Run a command of SeaweedFS's shell."""
    line = f"echo {command} | /weed shell -master=127.0.0.1:9333"
    return stack.compose("exec", "-T", "s3", "sh", "-c", line)
