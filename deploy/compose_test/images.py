"""Images: Tidemill's own from the Dockerfile, and stand-ins for what cannot be pulled."""

import ast
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from deploy.compose_test.engine import CACHE, Engine, Failed, run

ROOT = Path(__file__).parents[2]
PREFIX = "tidemill-compose-test"
_DOCKERFILE = ROOT / "deploy" / "images" / "Dockerfile"
_STAND_INS = Path(__file__).parent / "stand_ins"
_PYTHON_PACKAGES = (
    "ca-certificates,curl,libgomp1,libpython3.11,python-is-python3,python3-pip,python3-venv"
)
_BUILD_SECONDS = 3600.0


def check_podman(engine: Engine) -> None:
    """Check that the stand-ins can be made, and that a container with a network starts.

    Raises:
        Failed: a program is missing, or Podman cannot start a container.
    """
    programs = ("debootstrap", "catatonit")
    if missing := [name for name in programs if not shutil.which(name)]:
        raise Failed(f"install {', '.join(missing)}")
    image = f"localhost/{PREFIX}-probe"
    with tempfile.TemporaryDirectory(prefix="tidemill-compose-") as folder:
        archive = Path(folder) / "probe.tar"
        with tarfile.open(archive, "w") as files:  # catatonit is one static file
            files.add(os.path.realpath(shutil.which("catatonit") or ""), "catatonit")
        engine.run("import", str(archive), image)
    try:
        engine.run("run", "--rm", "--network=podman", image, "/catatonit", "--version")
    finally:
        engine.run("image", "rm", "--force", image)


def provide_python(engine: Engine) -> None:
    """Provide the Dockerfile's base image: pull it, or make it of Debian's packages."""
    text = _DOCKERFILE.read_text("utf-8")
    image = _full_name(text.partition("\nFROM ")[2].split()[0])
    if not _pulled(engine, image):
        _import_debian(engine, _PYTHON_PACKAGES, image)


def postgres(engine: Engine, image: str) -> str:
    """Return the image of PostgreSQL: the one of the compose file, or the stand-in."""
    return image if _pulled(engine, image) else _postgres_stand_in(engine)


def triton(engine: Engine, image: str, server: str) -> str:
    """Return the image of Triton: the one of the compose file, or the stand-in.

    The stand-in has the `tritonserver` of the wheel in the server's image.
    """
    if _pulled(engine, image):
        return image
    tag = f"{PREFIX}-triton:stand-in"
    _build_stand_in(engine, "triton", tag, "--build-arg", f"SERVER={server}")
    return tag


def build(engine: Engine, source: Path, target: str, version: str) -> str:
    """Build an image of Tidemill from a source tree with today's Dockerfile, and return its tag.

    The image of its dependencies has a tag of its own, under which it stays for the next test.
    """
    with tempfile.TemporaryDirectory(prefix="tidemill-compose-") as folder:
        options = _offline_options(Path(folder)) if engine.is_podman else []
        for stage in (f"{target}-dependencies", target):
            tag = f"{PREFIX}-{stage}:{version}"
            which = (f"--file={_DOCKERFILE}", f"--target={stage}", f"--tag={tag}")
            engine.run("build", *options, *which, str(source), timeout=_BUILD_SECONDS)
    return tag


def checkout(commit: str, target: Path) -> Path:
    """Write the files of a commit of this repository into a folder, and return it.

    Raises:
        Failed: this clone does not have the commit.
    """
    archive = subprocess.Popen(  # noqa: S603 - the test's own command
        ("git", "-C", str(ROOT), "archive", commit),  # noqa: S607 -- from the PATH
        stdout=subprocess.PIPE,
    )
    try:
        with tarfile.open(fileobj=archive.stdout, mode="r|") as files:
            files.extractall(target, filter="data")
    except tarfile.ReadError as error:
        raise Failed(f"this clone has no commit {commit}: git fetch --unshallow") from error
    finally:
        archive.wait()
    return target


def _pulled(engine: Engine, image: str) -> bool:
    name = _full_name(image)
    return any(engine.succeeds(*how, name) for how in (("image", "inspect"), ("pull", "--quiet")))


def _full_name(image: str) -> str:
    return image if "/" in image else f"docker.io/library/{image}"


def _postgres_stand_in(engine: Engine) -> str:
    base, tag = f"localhost/{PREFIX}-postgres-base", f"{PREFIX}-postgres:stand-in"
    if not engine.succeeds("image", "inspect", base):
        _import_debian(engine, "postgresql-15", base)
    _build_stand_in(engine, "postgres", tag, "--build-arg", f"BASE={base}")
    return tag


def _build_stand_in(engine: Engine, name: str, tag: str, *options: str) -> None:
    folder = _STAND_INS / name
    engine.run("build", "--format=docker", f"--tag={tag}", *options, str(folder), timeout=600)


def _import_debian(engine: Engine, packages: str, image: str) -> None:
    """Make an image of Debian 12 with some of its packages."""
    mirror = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
    with tempfile.TemporaryDirectory(prefix="tidemill-compose-", dir=CACHE) as folder:
        root, archive = Path(folder) / "root", Path(folder) / "root.tar"
        command = ("debootstrap", "--variant=minbase", f"--include={packages}", "bookworm")
        run((*command, str(root), mirror), os.environ, 1200)
        # Debian's mark that keeps pip from its own Python; the official image has none.
        for mark in root.glob("usr/lib/python3.*/EXTERNALLY-MANAGED"):
            mark.unlink()
        run(("tar", f"--directory={root}", f"--file={archive}", "--create", "."), os.environ, 300)
        engine.run("import", str(archive), image, timeout=600)


def _offline_options(folder: Path) -> list[str]:
    """Return Podman's options for a build that uses pip's settings and packages of this machine."""
    settings = _pip_settings()
    configuration = folder / "pip.conf"
    lines = ["[global]", *(f"{name} = {value}" for name, value in settings.items())]
    configuration.write_text("\n".join(lines) + "\n", "utf-8")
    mounts = [f"--volume={configuration}:/etc/pip.conf:ro"]
    mounts += [f"--volume={path}:{path}:ro" for path in _paths_in(settings)]
    # The format keeps the health checks.
    return ["--format=docker", "--layers", "--network=host", *mounts]


def _pip_settings() -> dict[str, str]:
    """Return the settings that pip has here, from its files and the environment."""
    listed = run((sys.executable, "-m", "pip", "config", "list"), os.environ, 60)
    pairs = [line.partition("=")[::2] for line in listed.splitlines() if "=" in line]
    by_source = sorted(pairs, key=lambda pair: pair[0].startswith(":env:"))  # which overrides
    return {name.partition(".")[2]: ast.literal_eval(value) for name, value in by_source}


def _paths_in(settings: dict[str, str]) -> list[Path]:
    """Return the local files and folders that the settings name."""
    found = set()
    for word in " ".join(settings.values()).split():
        path = Path(word.removeprefix("file://"))
        if path.is_absolute() and path.exists():
            # The pages of an index link to files beside it.
            found.add(path.parent if word.startswith("file://") else path)
    return sorted(found)
