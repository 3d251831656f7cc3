"""Triton's configuration of a model."""

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from tidemill_core.errors import DataError
from tidemill_core.triton.config import ModelConfig, ModelFormat, read_versions, write_config


@pytest.mark.parametrize(
    ("model_format", "backend", "platform"),
    [("onnx", "onnxruntime", ""), ("torchscript", "", "pytorch_libtorch")],
)
def test_rendered_text_is_tritons_own_message(
    model_format: ModelFormat, backend: str, platform: str
) -> None:
    """The text parses as Triton's ModelConfig, with the dataclass's values."""
    config = ModelConfig(f"support-{model_format}", model_format, (7, 3, 7))
    parsed = text_format.Parse(config.render(), model_config_pb2.ModelConfig())
    assert (parsed.name, parsed.backend, parsed.platform) == (config.name, backend, platform)
    assert parsed.max_batch_size == 128
    assert [(each.name, list(each.dims)) for each in parsed.input] == [("input_ids", [-1])]
    assert [(each.name, list(each.dims)) for each in parsed.output] == [("probabilities__0", [-1])]
    assert list(parsed.version_policy.specific.versions) == [3, 7]
    assert parsed.instance_group[0].kind == model_config_pb2.ModelInstanceGroup.KIND_AUTO


def test_versions_are_read_back(tmp_path: Path) -> None:
    """The last written configuration is read, and no other file is left."""
    for versions in ((1,), (1, 2), (2,)):
        path = write_config(tmp_path, ModelConfig("support-onnx", "onnx", versions))
        assert read_versions(tmp_path, "support-onnx") == versions
    assert list(path.parent.iterdir()) == [path]


def test_model_without_a_configuration_has_no_versions(tmp_path: Path) -> None:
    """A model that was never published has no versions."""
    assert read_versions(tmp_path, "support-onnx") == ()


@pytest.mark.parametrize("content", [b"version_policy: {", b"\xff"])
def test_broken_configuration_is_named(tmp_path: Path, content: bytes) -> None:
    """A file that is not a configuration is refused with its path."""
    path = write_config(tmp_path, ModelConfig("support-onnx", "onnx", (1,)))
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"support-onnx/config\.pbtxt"):
        read_versions(tmp_path, "support-onnx")


@pytest.mark.parametrize(
    ("name", "versions"),
    [
        ("a/b", (1,)),
        ('a"', (1,)),
        ("", (1,)),
        ("a", ()),
        ("a", (0,)),
    ],
)
def test_configuration_that_triton_would_misread_cannot_be_made(
    name: str, versions: tuple[int, ...]
) -> None:
    """A name that leads out of the folder, and an empty list of versions, are refused."""
    with pytest.raises(ValueError, match=r"name|versions"):
        ModelConfig(name, "onnx", versions)
