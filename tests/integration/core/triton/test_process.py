"""How the embedded Triton starts, ends and restarts."""

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until
from tidemill_core.errors import TritonUnavailable
from tidemill_core.triton import embedded
from tidemill_core.triton.process import StubWatch

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where the regions are


def stubs_of(process_id: int) -> list[psutil.Process]:
    """Return the Python backend's processes of one tritonserver."""
    return psutil.Process(process_id).children(recursive=True)


def regions_of(state_directory: Path) -> list[Path]:
    """Return the shared memory of one stack."""
    return list(SHARED_MEMORY.glob(embedded.shared_memory_prefix(state_directory) + "*"))


@pytest.fixture
def served(publish: Any, configure: Any, repository: Path) -> str:
    """The name of a model that can be loaded."""
    if not (repository / "process-onnx").exists():
        publish("process-onnx", 1)
        configure("process-onnx", 1)
    return "process-onnx"


@pytest.fixture
def telemetry_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that ONNX Runtime's telemetry creates; it is off by itself under CI."""
    for name in ("CI", "GITHUB_ACTIONS", "TF_BUILD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "Microsoft"


def test_after_a_kill_it_serves_again_and_leaves_nothing(
    tmp_path: Path, repository: Path, served: str, token_ids: Any
) -> None:
    """SIGKILL and SIGTERM leave no stub and no shared memory; the next start serves the same."""
    with RunningTriton(repository, tmp_path, (served,)) as triton, triton.control() as control:
        stubs = stubs_of(triton.process.pid)
        assert stubs
        triton.kill()
        wait_until(lambda: not any(stub.is_running() for stub in stubs), "all stubs have ended")
        assert regions_of(tmp_path) == []
        triton.start()
        assert control.infer(served, 1, token_ids(1)).shape == (1, 4)
        stubs = stubs_of(triton.process.pid)
        triton.process.terminate()
        assert triton.process.wait(60) == 0
        assert not any(stub.is_running() for stub in stubs)
        assert regions_of(tmp_path) == []


def test_a_kill_of_everything_leaves_no_shared_memory(
    tmp_path: Path, repository: Path, served: str
) -> None:
    """A loaded model's memory has no name and ends with its processes."""
    with RunningTriton(repository, tmp_path, (served,)) as triton:
        for process in (psutil.Process(triton.process.pid), *stubs_of(triton.process.pid)):
            process.kill()
        triton.process.wait()
        assert regions_of(tmp_path) == []


def test_a_start_removes_what_an_earlier_one_left(tmp_path: Path) -> None:
    """Regions of stubs that were killed while they started are removed, but no other stack's."""
    own, other = (
        SHARED_MEMORY / f"{embedded.shared_memory_prefix(folder)}left"
        for folder in (tmp_path, tmp_path / "other")
    )
    own.touch()
    other.touch()
    try:
        embedded.remove_stale_shared_memory(tmp_path)
        assert (own.exists(), other.exists()) == (False, True)
    finally:
        other.unlink()


def test_shared_memory_is_private_while_it_has_a_name(
    tmp_path: Path, repository: Path, served: str, token_ids: Any
) -> None:
    """No other user can open a region, not even while a model loads; and regions still grow."""
    seen: set[int] = set()
    with RunningTriton(repository, tmp_path) as triton, triton.control() as control:
        with ThreadPoolExecutor(1) as pool:
            loading = pool.submit(control.load, served)
            while not loading.done():
                for region in regions_of(tmp_path):
                    with suppress(FileNotFoundError):
                        seen.add(region.stat().st_mode & 0o777)
            loading.result()
        assert regions_of(tmp_path) == []
        megabytes = np.tile(token_ids(128), (1, 1000))
        assert control.infer(served, 1, megabytes).shape == (128, 4)
    assert seen == {0o600}


_HARD_NAMES = (
    "a b (c) [x] {y} 'q' \"dq\" $(x) `y`; & | < > * ? # ! ~ %20 \\",
    "new\nline\ttab Größe 数据",
    "/".join(["long" * 50] * 12),
)


@pytest.mark.parametrize("name", _HARD_NAMES, ids=("shell", "lines", "long"))
def test_it_serves_from_a_folder_of_any_name(
    name: str, tmp_path: Path, repository: Path, served: str, token_ids: Any
) -> None:
    """A path with characters that mean something to the shell that starts Triton's stubs works."""
    models = tmp_path / name / "model repository"
    shutil.copytree(repository / served, models / served)
    state = tmp_path / name / "state"
    with RunningTriton(models, state, (served,)) as triton, triton.control() as control:
        assert control.infer(served, 1, token_ids(1)).shape == (1, 4)


_REFUSE_SECCOMP = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None)
# Load the call's number; if it is seccomp's, 317, fail with EPERM, else allow.
steps = ((0x20, 0, 0, 0), (0x15, 0, 1, 317), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7FFF0000))
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
libc.prctl(38, 1, 0, 0, 0)
assert libc.prctl(22, 2, struct.pack("HP", len(steps), ctypes.addressof(code)), 0, 0) == 0
os.execv(sys.executable, [sys.executable, "-c", *sys.argv[1:]])
"""
_SERVE = """
import sys
from pathlib import Path
from tests.plugins.triton import RunningTriton
with RunningTriton(Path(sys.argv[1]), Path(sys.argv[2]), (sys.argv[3],)) as triton:
    with triton.control() as control:
        print("serves", *control.ready_versions(sys.argv[3]))
"""


def test_it_serves_where_seccomp_is_refused(tmp_path: Path, repository: Path, served: str) -> None:
    """A kernel or container that allows no filter costs the regions' privacy, and a warning."""
    arguments = [_REFUSE_SECCOMP, _SERVE, repository, tmp_path, served]
    ended = subprocess.run([sys.executable, "-c", *arguments], capture_output=True, text=True)
    assert "serves 1" in ended.stdout, ended.stderr
    assert "shared_memory_readable_by_others" in ended.stdout


def test_onnx_runtime_has_no_telemetry(
    tmp_path: Path,
    repository: Path,
    served: str,
    token_ids: Any,
    telemetry_folder: Path,
) -> None:
    """ONNX Runtime's telemetry keeps a database in the user's cache; a served model makes none."""
    with RunningTriton(repository, tmp_path, (served,)) as triton, triton.control() as control:
        assert control.infer(served, 1, token_ids(1)).shape == (1, 4)
    assert not telemetry_folder.exists()


def test_the_export_check_has_no_telemetry(telemetry_folder: Path) -> None:
    """The jobs load ONNX Runtime without its telemetry too."""
    subprocess.run([sys.executable, "-c", "import tidemill_jobs.training.export"], check=True)
    assert not telemetry_folder.exists()


def test_a_killed_stub_is_noticed(
    tmp_path: Path, repository: Path, served: str, token_ids: Any
) -> None:
    """Loading and unloading lose no stub; a killed stub is noticed, and a restart fixes it."""
    with RunningTriton(repository, tmp_path, (served,)) as triton, triton.control() as control:
        watch = StubWatch(triton.process.pid)
        control.unload(served)
        control.load(served)
        assert not watch.has_lost_a_stub()
        assert not watch.has_lost_a_stub()
        for stub in stubs_of(triton.process.pid):
            stub.kill()
        wait_until(watch.has_lost_a_stub, "the watch has noticed")
        with pytest.raises(TritonUnavailable) as failed:
            control.infer(served, 1, token_ids(1))
        assert "not healthy" in failed.value.detail
        triton.kill()
        assert not watch.has_lost_a_stub()
        triton.start()
        assert control.infer(served, 1, token_ids(1)).shape == (1, 4)


def test_it_dies_with_its_parent_and_not_by_the_terminal(
    tmp_path: Path, repository: Path, served: str
) -> None:
    """Triton has its own session, and ends with its stubs when its parent is killed."""
    program = (
        "import sys, time; from pathlib import Path;"
        "from tests.plugins.triton import RunningTriton;"
        "triton = RunningTriton(Path(sys.argv[1]), Path(sys.argv[2]), (sys.argv[3],));"
        "triton.start(); print(triton.process.pid, flush=True); time.sleep(60)"
    )
    arguments = [sys.executable, "-c", program, str(repository), str(tmp_path), served]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        process_id = int(parent.stdout.readline())
        assert os.getsid(process_id) == process_id
        family = [psutil.Process(process_id), *stubs_of(process_id)]
        assert len(family) > 1
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(alive(member) for member in family), "the whole family has ended")


def alive(process: psutil.Process) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_preparing_twice_gives_the_same_files(tmp_path: Path, repository: Path) -> None:
    """However often they are prepared, the backends are files, not links, in one folder."""
    triton = embedded.EmbeddedTriton(repository, tmp_path, 1, 2, 3, "key", ())
    assert embedded.prepare(triton) == embedded.prepare(triton)
    (folder,) = tmp_path.iterdir()
    files = [path for path in folder.rglob("*") if not path.is_dir()]
    assert {path.parent.name for path in files} >= {"onnxruntime", "python", "pytorch"}
    assert not any(path.is_symlink() for path in files)


def test_this_machine_is_supported() -> None:
    """The machine that runs these tests can run the embedded Triton."""
    assert embedded.unsupported_reason() is None
