"""How the embedded Triton starts, ends and restarts."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tidemill_core.errors import TritonUnavailable
from tidemill_core.triton import embedded
from tidemill_core.triton.process import StubWatch
from tidemill_core.triton.testing import RunningTriton

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where the regions are


def wait_until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return once it is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def stubs_of(process_id: int) -> list[psutil.Process]:
    """Return the Python backend's processes of one tritonserver."""
    return psutil.Process(process_id).children(recursive=True)


def regions_of(state_directory: Path) -> list[Path]:
    """Return the shared memory of one stack."""
    return list(SHARED_MEMORY.glob(embedded.shared_memory_prefix(state_directory) + "*"))


@pytest.fixture
def served(publish: Any, configure: Any, repository: Path) -> str:
    """A model that is ready to be loaded."""
    if not (repository / "process-onnx").exists():
        publish("process-onnx", 1)
        configure("process-onnx", 1)
    return "process-onnx"


def test_after_a_kill_it_serves_again_and_leaves_nothing(
    tmp_path: Path, repository: Path, served: str, token_ids: Any
) -> None:
    """SIGKILL leaves no stub and no shared memory, and the next start serves the same models."""
    with RunningTriton(repository, tmp_path, (served,)) as triton, triton.control() as control:
        stubs = stubs_of(triton.process.pid)
        assert stubs
        triton.kill()
        wait_until(lambda: not any(stub.is_running() for stub in stubs))
        assert regions_of(tmp_path) == []
        triton.start()
        assert control.infer(served, 1, token_ids(1)).shape == (1, 4)
        stubs = stubs_of(triton.process.pid)
    assert triton.process.returncode == 0
    assert not any(stub.is_running() for stub in stubs)
    assert regions_of(tmp_path) == []


def test_a_kill_of_everything_leaves_no_shared_memory(
    tmp_path: Path, repository: Path, served: str
) -> None:
    """A model that is loaded has memory without a name, which ends with its processes."""
    with RunningTriton(repository, tmp_path, (served,)) as triton:
        for process in (psutil.Process(triton.process.pid), *stubs_of(triton.process.pid)):
            process.kill()
        triton.process.wait()
        assert regions_of(tmp_path) == []


def test_a_start_removes_what_an_earlier_one_left(tmp_path: Path) -> None:
    """Regions of stubs that were killed while they started go, and only this stack's own."""
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
    """No other user can open it, not even while a model is loaded; and it still grows."""
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
    """What the shell that starts Triton's stubs would read as more than a path does no harm."""
    models = tmp_path / name / "model repository"
    shutil.copytree(repository / served, models / served)
    state = tmp_path / name / "state"
    with RunningTriton(models, state, (served,)) as triton, triton.control() as control:
        assert control.infer(served, 1, token_ids(1)).shape == (1, 4)


def test_a_killed_stub_is_noticed(
    tmp_path: Path, repository: Path, served: str, token_ids: Any
) -> None:
    """Loading and unloading lose no stub; a killed one is noticed, and a restart mends it."""
    with RunningTriton(repository, tmp_path, (served,)) as triton, triton.control() as control:
        watch = StubWatch(triton.process.pid)
        control.unload(served)
        control.load(served)
        assert not watch.has_lost_a_stub()
        assert not watch.has_lost_a_stub()
        for stub in stubs_of(triton.process.pid):
            stub.kill()
        wait_until(watch.has_lost_a_stub)
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
    """It has a session of its own, and a parent that is killed takes it and its stubs along."""
    program = (
        "import sys, time; from pathlib import Path;"
        "from tidemill_core.triton.testing import RunningTriton;"
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
    wait_until(lambda: not any(alive(member) for member in family))


def alive(process: psutil.Process) -> bool:
    """Say whether it runs; one that waits to be reaped by init does not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_preparing_twice_gives_the_same_files(tmp_path: Path, repository: Path) -> None:
    """Backends are files, not links, in one folder however often they are prepared."""
    triton = embedded.EmbeddedTriton(repository, tmp_path, 1, 2, 3, "key", ())
    assert embedded.prepare(triton) == embedded.prepare(triton)
    (folder,) = tmp_path.iterdir()
    files = [path for path in folder.rglob("*") if not path.is_dir()]
    assert {path.parent.name for path in files} >= {"onnxruntime", "python", "pytorch"}
    assert not any(path.is_symlink() for path in files)


def test_this_machine_is_supported() -> None:
    """Where these tests run there is no reason not to."""
    assert embedded.unsupported_reason() is None
