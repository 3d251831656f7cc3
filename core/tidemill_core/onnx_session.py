"""ONNX Runtime on the CPU, without its telemetry.

Import ONNX Runtime only here. Its official builds send telemetry to Microsoft as soon as they are
imported, unless the environment forbids it before.
"""

import os
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime


def open_session(model: Path | bytes) -> onnxruntime.InferenceSession:
    """Open a model with one thread and no spinning.

    A text classifier's forward pass is short and bound by memory; a second thread would take the
    core that the front needs, and a spinning one would take it while idle too.

    Args:
        model: an ONNX file or its content.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
