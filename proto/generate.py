"""The generator of the contract's Python code and type stubs in `proto/gen`, and its linter.

python proto/generate.py          writes proto/gen
python proto/generate.py --check  lints, and fails if proto/gen is not up to date
"""

import filecmp
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

PROTO = Path(__file__).parent
GENERATED = PROTO / "gen"
# googleapis-common-protos has google/rpc/*.proto; grpcio-tools has google/protobuf/*.proto.
SITE_PACKAGES = Path(sysconfig.get_path("purelib"))
INCLUDES = [PROTO, SITE_PACKAGES, SITE_PACKAGES / "grpc_tools" / "_proto"]
SCRIPTS = Path(sys.executable).parent


def protoc(*options: str) -> None:
    """Run protoc over every file of the contract."""
    files = sorted(str(path.relative_to(PROTO)) for path in (PROTO / "tidemill").rglob("*.proto"))
    command = [sys.executable, "-m", "grpc_tools.protoc", *[f"-I{path}" for path in INCLUDES]]
    plugins = [f"--plugin={SCRIPTS / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    subprocess.run([*command, *plugins, *options, *files], check=True)  # noqa: S603 -- fixed arguments


def generate(target: Path) -> None:
    """Write the generated modules and stubs below `target`."""
    target.mkdir(parents=True, exist_ok=True)
    protoc(
        f"--python_out={target}",
        f"--grpc_python_out={target}",
        f"--mypy_out=quiet:{target}",
        f"--mypy_grpc_out=quiet:{target}",
    )
    (target / "tidemill" / "v1" / "__init__.py").touch()
    (target / "tidemill" / "v1" / "py.typed").touch()
    (target / "tidemill" / "__init__.py").touch()


def lint() -> bool:
    """Lint the contract with buf, as an image, without network; return whether it is clean."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.binpb"
        protoc("--include_imports", "--include_source_info", f"--descriptor_set_out={image}")
        buf = [str(SCRIPTS / "buf"), "lint", str(image), "--config", str(PROTO / "buf.yaml")]
        return subprocess.run(buf, check=False).returncode == 0  # noqa: S603 -- fixed arguments


def differences(left: Path, right: Path) -> list[str]:
    """Return the names of files that differ between two folders."""

    def names(folder: Path) -> set[Path]:
        files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
        return {path.relative_to(folder) for path in files}

    return sorted(
        str(name)
        for name in names(left) | names(right)
        if not (left / name).is_file()
        or not (right / name).is_file()
        or not filecmp.cmp(left / name, right / name, shallow=False)
    )


def main() -> int:
    """Generate the code, or check the generated code."""
    if "--check" not in sys.argv[1:]:
        generate(GENERATED)
        return 0
    clean = lint()
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        stale = differences(GENERATED, Path(folder))
    if stale:
        print("generated code is not up to date; run `make proto`:", *stale, sep="\n  ")
    return 0 if clean and not stale else 1


if __name__ == "__main__":
    sys.exit(main())
