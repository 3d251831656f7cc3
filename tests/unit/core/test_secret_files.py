"""Settings from files."""

from pathlib import Path

import pytest

from tidemill_core.errors import ConfigurationError
from tidemill_core.settings.secret_files import MAX_BYTES
from tidemill_core.settings.workspace import load_settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of secrets of a workspace."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDEMILL_SECRETS_DIR", str(folder))
    # What the files set ends with the test.
    for name in ("TIDEMILL_TRITON__CONTROL_KEY", "TIDEMILL_GRPC_PORT", "TIDEMILL_GRPC_PROT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return folder


def test_a_file_is_a_variable(folder: Path) -> None:
    """Its last line break does not belong to the value, and Kubernetes' own files are ignored."""
    data = folder / "..data"
    data.mkdir()
    (data / "TIDEMILL_TRITON__CONTROL_KEY").write_text("open sesame\n")
    (folder / "TIDEMILL_TRITON__CONTROL_KEY").symlink_to(data / "TIDEMILL_TRITON__CONTROL_KEY")
    assert load_settings().triton.control_key == "open sesame"


def test_the_environment_overrides_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is set keeps its value."""
    (folder / "TIDEMILL_GRPC_PORT").write_text("6000")
    monkeypatch.setenv("TIDEMILL_GRPC_PORT", "7000")
    assert load_settings().grpc_port == 7000


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("TIDEMILL_GRPC_PROT", b"1", "did you mean"),
        ("tls.key", b"1", "not named like a variable"),
        ("TIDEMILL_GRPC_PORT", b"\xff", "not UTF-8"),
        ("TIDEMILL_GRPC_PORT", b"a\0b", "no text"),
        ("TIDEMILL_GRPC_PORT", b"1" * (MAX_BYTES + 1), "no text"),
    ],
)
def test_a_wrong_file_is_refused(folder: Path, name: str, content: bytes, said: str) -> None:
    """The error names the file, or the variable."""
    (folder / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match=said) as refused:
        load_settings()
    assert name in str(refused.value)


def test_a_missing_folder_is_refused(folder: Path) -> None:
    """The error names it."""
    folder.rmdir()
    with pytest.raises(ConfigurationError, match="No such file"):
        load_settings()
