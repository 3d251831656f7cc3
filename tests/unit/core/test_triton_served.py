"""The configuration that Triton finds at its next load."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tidemill_core.domain.model import ModelState, ModelVersion
from tidemill_core.model_repository import ModelManifest, ModelRepository, Reference
from tidemill_core.triton.config import ModelConfig
from tidemill_core.triton.served import configure

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return the path of the model's configuration."""
    return tmp_path / "support-onnx" / "config.pbtxt"


@pytest.fixture
def configured(tmp_path: Path) -> Callable[[], list[str]]:
    """Configure the one version of a model."""
    repository = ModelRepository(tmp_path)
    reference = Reference((1,), (1,))
    manifest = ModelManifest(
        "support", 1, "onnx", ("a",), 4, 9, 1.0, {}, reference, "d", "r", NOW.isoformat()
    )
    repository.publish(manifest, b"model", "{}")
    champion = ModelVersion("support", 1, "onnx", ModelState.CHAMPION, "d", {}, "", NOW, NOW)
    return lambda: configure(repository, [champion])


@pytest.mark.parametrize(
    "content", [b"version_policy: {", b"\xff", b"max_batch_size: 8\nversion_policy: {}", None]
)
def test_any_other_file_is_written_anew(
    config: Path, configured: Callable[[], list[str]], content: bytes | None
) -> None:
    """A broken, older or missing configuration is written again."""
    configured()
    config.unlink()
    if content is not None:
        config.write_bytes(content)
    assert configured() == ["support-onnx"]
    assert config.read_text() == ModelConfig("support-onnx", "onnx", (1,)).render()


def test_a_changed_setting_of_the_same_versions_is_written(
    config: Path, configured: Callable[[], list[str]]
) -> None:
    """A file with the right versions and another batch size is written again."""
    configured()
    before = config.read_text()
    config.write_text(ModelConfig("support-onnx", "onnx", (1,), 64).render())
    configured()
    assert config.read_text() == before


def test_the_right_file_is_left_untouched(
    config: Path, configured: Callable[[], list[str]]
) -> None:
    """A file that is right already is not written again."""
    configured()
    before = config.stat().st_ino
    configured()
    assert config.stat().st_ino == before
