"""The embedded Triton: the server binary of the nvidia-pytriton wheel, with our backends.

pytriton itself is neither imported nor used. The wheel has no ONNX Runtime or libtorch backend.
Triton accepts `<backends>/<name>/model.py` as a Python-based backend, so ours replace them.
"""

import contextlib
import hashlib
import importlib.util
import os
import platform
import shutil
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tidemill_core.errors import ConfigurationError
from tidemill_core.extras import installation
from tidemill_core.triton.plain_path import plain_path

CONTROL_KEY_HEADER = "tidemill-control-key"
"""The header that carries the control key; over gRPC its prefix is `triton-grpc-protocol-`."""

LOOPBACK = "127.0.0.1"
"""The address of the embedded Triton."""
STAND_IN = "127.0.0.2"
"""The address, on loopback too, of what answers while it is restarted, on the same ports."""

_RESTRICTED_APIS = "model-repository,shared-memory,trace,logging"
_BACKENDS = ("onnxruntime", "pytorch")
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Triton's Python backend keeps its regions
_COMPOSE_HINT = "run Triton with docker compose and set triton.url (see docker-compose.yml)"
_EXIT_TIMEOUT_SECONDS = 5
_PYTHON_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_PYTHON_LIBRARY = f"libpython{_PYTHON_VERSION}.so.1.0"


@dataclass(frozen=True)
class EmbeddedTriton:
    """The options of one embedded Triton.

    Attributes:
        model_repository: Triton's model repository.
        state_directory: created if missing; holds the backends and names the shared memory, so
            each Triton needs its own.
        grpc_port: loopback port for inference and model control.
        http_port: loopback port for HTTP.
        metrics_port: loopback port for Prometheus.
        control_key: letters, digits, `-` and `_`. A caller that sends it may load models, and
            so run code.
        load_models: names of the models to load at the start; a model that fails to load stops
            nothing.
        host: the loopback address that it listens on.
    """

    model_repository: Path
    state_directory: Path
    grpc_port: int
    http_port: int
    metrics_port: int
    control_key: str
    load_models: tuple[str, ...]
    host: str = LOOPBACK


@dataclass(frozen=True)
class Command:
    """A program to execute.

    Attributes:
        arguments: the program's path and its arguments.
        environment: all its variables.
        working_directory: the folder to run in.
    """

    arguments: tuple[str, ...]
    environment: dict[str, str]
    working_directory: Path


def unsupported_reason() -> str | None:
    """Return why this machine cannot run the embedded Triton and what to do; None if it can."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        here = f"{platform.system()} {platform.machine()}"
        return f"the embedded Triton needs Linux on x86-64, this is {here}: {_COMPOSE_HINT}"
    library, release = platform.libc_ver()
    if library != "glibc" or tuple(map(int, release.split(".")[:2])) < (2, 35):
        here = f"{library or 'another C library'} {release}".strip()
        return f"the embedded Triton needs glibc 2.35 or newer, this is {here}: {_COMPOSE_HINT}"
    if _wheel_directory() is None:
        return (
            "the nvidia-pytriton package is not installed: "
            f"{installation('server')}, or {_COMPOSE_HINT}"
        )
    if not (_library_directory() / _PYTHON_LIBRARY).exists():
        return (
            f"the embedded Triton needs {_PYTHON_LIBRARY}, which is missing from the Python in "
            f"{sys.base_prefix} (Debian: apt install {_PYTHON_LIBRARY.split('.so')[0]}; "
            f"pyenv: build with --enable-shared), or {_COMPOSE_HINT}"
        )
    return None


def prepare(triton: EmbeddedTriton) -> Command:
    """Create the backends folder, remove stale shared memory, and return the command to execute.

    Raises:
        ConfigurationError: this machine cannot run the embedded Triton.
    """
    reason = unsupported_reason()
    wheel = _wheel_directory()
    if reason is not None or wheel is None:
        raise ConfigurationError(str(reason))
    backends = _prepare_backends(wheel, triton.state_directory)
    remove_stale_shared_memory(triton.state_directory)
    server = wheel / "pytriton" / "tritonserver" / "bin" / "tritonserver"
    # A stub ignores PYTHONPATH and searches the working directory first. There it finds our own
    # package, not a stray file in the folder that the user started from.
    return Command(
        arguments=(str(server), *_options(triton, backends)),
        environment=_environment(wheel),
        working_directory=Path(__file__).resolve().parents[2],
    )


def shared_memory_prefix(state_directory: Path) -> str:
    """Return the prefix of the names of this stack's regions in /dev/shm."""
    digest = hashlib.sha256(os.fsencode(state_directory.resolve())).hexdigest()
    return f"tidemill_{digest[:12]}_"


def remove_stale_shared_memory(state_directory: Path) -> None:
    """Remove the regions that a killed Triton of this state directory left behind.

    Call this only while no Triton runs on that state directory.
    """
    for region in _SHARED_MEMORY.glob(shared_memory_prefix(state_directory) + "*"):
        with contextlib.suppress(OSError):  # another user's region with the same name
            region.unlink(missing_ok=True)


def _library_directory() -> Path:
    return Path(str(sysconfig.get_config_var("LIBDIR")))


def _wheel_directory() -> Path | None:
    """Return the folder that holds the wheel's `pytriton`, without importing it."""
    found = importlib.util.find_spec("pytriton")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).resolve().parents[1]


def _prepare_backends(wheel: Path, state_directory: Path) -> Path:
    """Copy the backends; Triton refuses links that lead out of the folder.

    The folder's name has a digest of its content, so it never changes under a Triton that uses it.
    It is filled under another name and renamed. Of two Tritons that start at once, one uses the
    other's equal copy.
    """
    target = state_directory / f"triton-backends-{_backends_digest()}"
    if target.exists():
        return target
    state_directory.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=".triton-backends-", dir=state_directory))
    try:
        _copy_backends(wheel, staged)
        staged.rename(target)
    except OSError:
        if not target.exists():
            raise
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return target


def _backends_digest() -> str:
    digest = hashlib.sha256(f"{sys.version_info} {version('nvidia-pytriton')}".encode())
    for name in _BACKENDS:
        digest.update(_backend_source(name).read_bytes())
    return digest.hexdigest()[:12]


def _backend_source(name: str) -> Path:
    return Path(__file__).parent / "backends" / name / "model.py"


def _copy_backends(wheel: Path, target: Path) -> None:
    triton = wheel / "pytriton" / "tritonserver"
    shutil.copytree(triton / "backends" / "python", target / "python")
    stub = triton / "python_backend_stubs" / _PYTHON_VERSION / "triton_python_backend_stub"
    shutil.copy2(stub, target / "python")
    for name in _BACKENDS:
        (target / name).mkdir()
        shutil.copy2(_backend_source(name), target / name)


def _options(triton: EmbeddedTriton, backends: Path) -> list[str]:
    prefix = shared_memory_prefix(triton.state_directory)
    restricted = f"{_RESTRICTED_APIS}:{CONTROL_KEY_HEADER}={triton.control_key}"
    return [
        f"--model-repository={plain_path(triton.model_repository.resolve())}",
        f"--backend-directory={plain_path(backends.resolve())}",
        # Python-based backends use the settings of the backend `python`.
        f"--backend-config=python,shm-region-prefix-name={prefix}",
        "--model-control-mode=explicit",
        *(f"--load-model={name}" for name in triton.load_models),
        # Our configurations are complete; completing them would start each stub twice.
        "--disable-auto-complete-config",
        # One broken version must not stop the others from being served.
        "--exit-on-error=false",
        "--strict-readiness=false",
        f"--exit-timeout-secs={_EXIT_TIMEOUT_SECONDS}",
        f"--grpc-address={triton.host}",
        f"--grpc-port={triton.grpc_port}",
        f"--http-address={triton.host}",
        f"--http-port={triton.http_port}",
        f"--metrics-address={triton.host}",
        f"--metrics-port={triton.metrics_port}",
        f"--grpc-restricted-protocol={restricted}",
        f"--http-restricted-api={restricted}",
        # Nothing here computes on a GPU.
        "--pinned-memory-pool-byte-size=0",
        "--allow-gpu-metrics=false",
        "--log-info=false",
        "--log-format=ISO8601",
    ]


def _environment(wheel: Path) -> dict[str, str]:
    """Return the variables with which a stub finds our Python's library and packages."""
    libraries = [plain_path(wheel / "nvidia_pytriton.libs"), plain_path(_library_directory())]
    executables = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    return {
        **os.environ,
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
        "PATH": os.pathsep.join(executables),
        # Our backends compute on the CPU; a stub for each GPU would only cost memory.
        "CUDA_VISIBLE_DEVICES": "",
    }
