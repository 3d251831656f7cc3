"""A Triton model's `config.pbtxt`: rendered, written atomically, read back.

One text is for both NVIDIA's C++ backends and the embedded Python ones, so it leaves to Triton what
differs between machines. The instance group names no kind, which means one instance on each GPU,
or one on the CPU if there is no GPU. Its count is set because Triton would start two instances of
an ONNX model on a CPU, which need twice the memory.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from tidemill_core.durable import written_whole
from tidemill_core.errors import DataError
from tidemill_core.triton.tensors import INPUT_NAME, OUTPUT_NAME

ModelFormat = Literal["onnx", "torchscript"]

CONFIG_FILE_NAME = "config.pbtxt"

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_BACKEND: dict[ModelFormat, str] = {
    "onnx": 'backend: "onnxruntime"',
    "torchscript": 'platform: "pytorch_libtorch"',
}


@dataclass(frozen=True)
class ModelConfig:
    """Triton's configuration of one model.

    A configuration has at least one version: Triton refuses to load an empty `specific {}` and goes
    on with the versions before. Unload a model that is to serve nothing.

    Attributes:
        name: `<task>-<format>`, the folder's name; lower case letters, digits, `-` and `_`.
        format: chooses the backend.
        versions: the only versions that Triton serves; at least one, each at least 1.
        max_batch_size: the largest number of rows in one call and in one merged batch.

    Raises:
        ValueError: a value breaks the rules above.
    """

    name: str
    format: ModelFormat
    versions: tuple[int, ...]
    max_batch_size: int = 128

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"model name {self.name!r} is not lower case letters, digits, - and _")
        if not self.versions or min(self.versions) < 1:
            raise ValueError(
                f"{self.name}: versions {self.versions} must be one or more numbers from 1"
            )
        if self.max_batch_size < 1:
            raise ValueError(f"{self.name}: the batch size must be at least 1")

    def render(self) -> str:
        """Return the text of config.pbtxt.

        The number of ids in a row is open, as is the number of labels. Each version has its own
        length, to which the front pads all rows, so that Triton can merge them.

        Triton merges the requests that it finds in its queue, and waits for no others: the front
        has merged its callers' already. There is no queue policy with timeouts: with one, Triton
        2.51 sometimes delays a request by 500 ms. A caller's gRPC deadline removes its request from
        the queue anyway.
        """
        versions = ", ".join(str(version) for version in sorted(set(self.versions)))
        return f"""\
name: "{self.name}"
{_BACKEND[self.format]}
max_batch_size: {self.max_batch_size}
input [
  {{ name: "{INPUT_NAME}" data_type: TYPE_INT32 dims: [ -1 ] }}
]
output [
  {{ name: "{OUTPUT_NAME}" data_type: TYPE_FP32 dims: [ -1 ] }}
]
instance_group [ {{ count: 1 }} ]
dynamic_batching {{ }}
version_policy: {{ specific {{ versions: [ {versions} ] }} }}
"""


def write_config(repository: Path, config: ModelConfig) -> Path:
    """Replace the model's config.pbtxt at once; after the return it survives a power cut.

    Args:
        repository: Triton's model repository; the model's folder is created if missing.
        config: the configuration to write.

    Returns:
        The file's path.
    """
    folder = repository / config.name
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / CONFIG_FILE_NAME
    with written_whole(target) as staged:
        staged.write_text(config.render(), encoding="utf-8")
    return target


def is_written(repository: Path, config: ModelConfig) -> bool:
    """Return whether the model's config.pbtxt is exactly this one."""
    path = repository / config.name / CONFIG_FILE_NAME
    return path.exists() and path.read_bytes() == config.render().encode()


def read_versions(repository: Path, model_name: str) -> tuple[int, ...]:
    """Return the versions in the model's config.pbtxt, ascending; () without a file.

    Raises:
        DataError: the file is not a model configuration.
    """
    path = repository / model_name / CONFIG_FILE_NAME
    if not path.exists():
        return ()
    try:
        parsed = text_format.Parse(path.read_text("utf-8"), model_config_pb2.ModelConfig())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        message = f"{path} is not a Triton model configuration: {error}"
        raise DataError("MODEL_CONFIG_DAMAGED", message) from error
    return tuple(sorted(parsed.version_policy.specific.versions))
