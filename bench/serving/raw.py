"""The upper limit of BatchPredict: tokenizers and ONNX Runtime in loops, without any server."""

import contextlib
import json
import math
import os
import subprocess
import tempfile
from pathlib import Path

from rich.console import Console

from bench.serving.environments import PEERS, python_of
from bench.serving.load import Load
from bench.serving.messages import distinct_texts
from bench.serving.workspace import TASK, Workspace

ENVIRONMENT = "fastapi_onnx"


def raw_batches(workspace: Workspace, processes: int, seconds: int, console: Console) -> Load:
    """Label batches of 64 texts in processes that run at once.

    Raises:
        RuntimeError: a process failed.
    """
    python = python_of(ENVIRONMENT, console)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        texts = Path(folder) / "texts.json"
        texts.write_text(json.dumps(distinct_texts()))
        environment = os.environ | {
            "MODEL_FOLDER": str(workspace.model_folder(TASK, "onnx")),
            "PROCESSES": str(processes),
            "SECONDS": str(seconds),
            "TEXTS": str(texts),
            "PYTHONPATH": str(PEERS),
            "ORT_DISABLE_TELEMETRY": "1",
        }
        running = [
            stack.enter_context(
                subprocess.Popen(  # noqa: S603 -- our own words
                    [str(python), "-m", "raw_onnx_app"],
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(processes)
        ]
        if not all(each.stdout and each.stdout.readline() == "ready\n" for each in running):
            raise RuntimeError("tokenizers + ONNX Runtime did not start")
        for each in running:
            if each.stdin:
                each.stdin.write("\n")
                each.stdin.flush()
        rates = [float(each.communicate()[0]) for each in running]
    return Load(sum(rates), sum(rates), math.nan, math.nan)
