"""The generator of the contract's Python code and type stubs in `proto/gen`, and its linter.

python proto/generate.py          writes proto/gen
python proto/generate.py --check  lints, and fails if proto/gen is not up to date
"""

import filecmp
import json
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

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
    text = json.dumps(descriptions(), indent=1, sort_keys=True) + "\n"
    (target / "tidemill" / "v1" / "descriptions.json").write_text(text, encoding="utf-8")


def descriptions() -> dict[str, str]:
    """Return the contract's comments by full name, which the generated modules do not have."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.binpb"
        protoc("--include_source_info", f"--descriptor_set_out={image}")
        files = FileDescriptorSet.FromString(image.read_bytes()).file
    return {name: comment for each in files for name, comment in comments(each)}


def comments(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    """Yield each name in a file that has a comment, and the comment in one line."""
    for location in file.source_code_info.location:
        comment = " ".join(location.leading_comments.split())
        if not comment or location.path[0] not in (4, 5, 6):
            continue  # 4, 5, 6: messages, enums, services; others are about the file
        # A path is field numbers of descriptor.proto and indices in turn: [4, 0, 2, 1] is the
        # second field of the first message.
        names, value = [file.package], file
        for number, index in zip(location.path[::2], location.path[1::2], strict=True):
            field = value.DESCRIPTOR.fields_by_number[number].name
            value = getattr(value, field)[index]
            names.append(value.name)
        yield ".".join(names), comment


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
