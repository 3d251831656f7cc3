"""The checks of `tidemill doctor`."""

import platform
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from tidemill_cli.doctor_front import own_front
from tidemill_cli.doctor_sources import wrong_sources
from tidemill_cli.doctor_triton import trouble_with_tritons
from tidemill_cli.local import missing_module
from tidemill_cli.workspace_storage import existing_storage
from tidemill_core.errors import TidemillError
from tidemill_core.extras import installation
from tidemill_core.loopback import is_loopback, proxy_variables
from tidemill_core.settings import (
    WORKSPACE_FILE,
    Settings,
    load_settings,
    unset_variables,
)
from tidemill_core.storage.engine import DatabaseMissing
from tidemill_core.storage.migrate import MigrationPending
from tidemill_core.storage.storage import Storage
from tidemill_core.supervisor import (
    ListeningPort,
    ProcessState,
    ProcessStatus,
    StateDirectoryLock,
    probe_ports,
    read_processes,
    stack_ports,
)
from tidemill_core.triton.addresses import named
from tidemill_core.triton.embedded import unsupported_reason

_LITTLE_SPACE_GIB, _TOO_LITTLE_SPACE_GIB = 5.0, 1.0
_GIB = 1024**3


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: what was checked.
        result: `ok`, `warn` or `fail`.
        found: what was found.
        remedy: what to do; empty if nothing.
    """

    name: str
    result: Literal["ok", "warn", "fail"]
    found: str
    remedy: str = ""


def examine() -> list[Check]:
    """Check the machine and, if its settings can be read, the workspace."""
    checks = [_python()]
    try:
        settings = load_settings()
    except TidemillError as error:
        remedy = f"fix {WORKSPACE_FILE}, or the variable that it names"
        return [*checks, Check("settings", "fail", str(error), remedy)]
    checks += [_settings(settings), *_variables(settings)]
    checks += _trackers(settings)
    checks += _arize(settings)
    checks += [_triton(settings), _disk(settings.state_dir)]
    checks += _proxies(settings.triton.url)
    checks += _ports(settings)
    checks += _keys(settings.state_dir)
    checks += _database(settings)
    return checks


def _python() -> Check:
    here = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if not (3, 11) <= sys.version_info < (3, 14):
        return Check("python", "fail", here, "use CPython 3.11, 3.12 or 3.13")
    return Check("python", "ok", here)


def _settings(settings: Settings) -> Check:
    if not settings.tasks:
        remedy = "run `tidemill init`, or change to a workspace's folder"
        return Check("settings", "fail", "no task is configured", remedy)
    if wrong := list(wrong_sources(settings)):
        remedy = (
            f"put the files where {WORKSPACE_FILE} names them (a backup has no source files), or "
            "fix the sources there; until then, tasks answer but cannot be built and trained"
        )
        return Check("settings", "fail", "\n".join(wrong), remedy)
    return Check("settings", "ok", f"tasks: {', '.join(settings.tasks)}")


def _variables(settings: Settings) -> Iterator[Check]:
    for name, variable in unset_variables(settings.tasks):
        remedy = "set it where `tidemill up` starts"
        yield Check("environment", "warn", f"{name}: {variable} is not set", remedy)


def _trackers(settings: Settings) -> Iterator[Check]:
    trackers = settings.tracking.trackers if missing_module() is None else ()  # of the jobs only
    missing = [name for name in trackers if find_spec(name) is None]
    for name in missing:
        remedy = installation("wandb" if name == "wandb" else "jobs")
        yield Check("tracking", "warn", f"{name} is not installed; its runs wait", remedy)


def _arize(settings: Settings) -> Iterator[Check]:
    """Check the settings of Arize, if there are some."""
    arize = settings.arize
    if arize == type(arize)():
        return
    if not (arize.api_key.get_secret_value() and arize.space_id):
        remedy = f"set them in {WORKSPACE_FILE}"
        yield Check("arize", "warn", "arize.api_key and arize.space_id need each other", remedy)
    elif find_spec("arize") is None:
        yield Check("arize", "warn", "its SDK is not installed", installation("arize"))
    elif not settings.schedule.send_arize:
        remedy = "set schedule.send_arize, such as */15 * * * *"
        yield Check("arize", "warn", "it gets predictions only on demand", remedy)
    else:
        texts = "with texts" if arize.send_texts else "without texts"
        more = " and with embeddings" if arize.send_embeddings else ""
        yield Check("arize", "ok", f"{arize.url} gets predictions {texts}{more}")


def _triton(settings: Settings) -> Check:
    if url := settings.triton.url:
        if trouble := trouble_with_tritons(url, settings.triton.control_key):
            return Check("triton", "warn", *trouble)
        return Check("triton", "ok", f"uses {url}")
    if (reason := unsupported_reason()) is not None:
        return Check("triton", "fail", "cannot run here", reason)
    library, release = platform.libc_ver()
    try:
        wheel = version("nvidia-pytriton")
    except PackageNotFoundError:
        wheel = "unknown"
    return Check("triton", "ok", f"nvidia-pytriton {wheel}, {library} {release}")


def _proxies(triton_url: str) -> Iterator[Check]:
    if not (variables := proxy_variables()):
        return
    found = f"{', '.join(variables)} set; calls to this machine bypass it"
    hosts = [each.rpartition(":")[0] for each in named(triton_url)] if triton_url else []
    if not all(map(is_loopback, hosts)):
        remedy = f"if the proxy does not reach {triton_url}, name each host in no_proxy"
        yield Check("proxy", "warn", found, remedy)
    else:
        yield Check("proxy", "ok", found)


def _disk(state_dir: Path) -> Check:
    there = next(path for path in (state_dir, *state_dir.parents) if path.exists())
    free = shutil.disk_usage(there).free / _GIB
    found = f"{free:.1f} GiB free at {there}"
    if free < _TOO_LITTLE_SPACE_GIB:
        return Check("disk", "fail", found, "free some, or set TIDEMILL_STATE_DIR to another disk")
    if free < _LITTLE_SPACE_GIB:
        return Check("disk", "warn", found, "datasets and model versions add up: free some")
    return Check("disk", "ok", found)


def _ports(settings: Settings) -> Iterator[Check]:
    holder = StateDirectoryLock(settings.state_dir).holder()
    if holder is not None:
        yield Check("ports", "ok", f"this workspace's own stack runs (process {holder})")
        yield from map(_process, read_processes(settings.state_dir))
        return
    ports = stack_ports(settings)
    if address := own_front(settings.tasks):
        known = ", ".join(settings.tasks)
        found = f"a server with {known} answers at {address}, and `tidemill up` did not start it"
        remedy = "stop it before `tidemill up`; if it is another workspace's, set other ports"
        yield Check("ports", "warn", found, remedy)
        ports = [port for port in ports if port.setting.startswith("triton_")]
    yield from map(_port, ports)


def _process(process: ProcessStatus) -> Check:
    if process.state is ProcessState.RUNNING and not process.deaths:
        return Check(process.name, "ok", f"runs (process {process.pid})")
    found = f"{process.state.value}; ends in a row: {process.deaths}"
    if process.state is ProcessState.STARTING and not process.deaths:
        found = "starting"
    return Check(process.name, "warn", found, f"see logs/{process.name}.log in the state directory")


def _port(port: ListeningPort) -> Check:
    name = f"port {port.port}"
    try:
        probe_ports([port])
    except TidemillError as error:
        return Check(name, "fail", "not free", str(error))
    return Check(name, "ok", f"free for {port.setting}")


def _keys(state_dir: Path) -> Iterator[Check]:
    """Check that only their owner may read the secret files of the state directory."""
    for path in sorted(state_dir.glob("*key*")):
        if path.stat().st_mode & 0o077:
            cure = f"chmod 600 {shlex.quote(str(path))}"
            yield Check(path.name, "fail", "others may read it", cure)
        else:
            yield Check(path.name, "ok", "private")


def _database(settings: Settings) -> list[Check]:
    try:
        with existing_storage(settings) as storage:
            if storage is None:
                return [Check("database", "ok", "the first `tidemill up` creates it")]
            place = Check("database", "ok", storage.database.engine.url.render_as_string())
            return [place, *(_champion(storage, task) for task in settings.tasks)]
    except MigrationPending as error:
        cure = "first write a backup with the earlier release; see docs/backup.md"
        return [Check("database", "warn", str(error), cure)]
    except DatabaseMissing as error:
        return [Check("database", "fail", error.found, error.cure)]
    except TidemillError as error:
        remedy = "check database_url, and that the database is up"
        detail = " ".join((error.detail or str(error)).split())  # PostgreSQL's has lines and tabs
        return [Check("database", "fail", detail, remedy)]


def _champion(storage: Storage, task: str) -> Check:
    deployment = storage.models.deployment(task)
    if deployment is None:
        remedy = "`tidemill up` trains its first model"
        return Check(f"task {task}", "warn", "no champion yet", remedy)
    return Check(f"task {task}", "ok", f"champion: version {deployment.champion}")
