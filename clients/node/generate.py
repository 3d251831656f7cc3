"""The generator of the contract's TypeScript code in `src/gen`; run `npm ci` first.

python clients/node/generate.py          writes src/gen
python clients/node/generate.py --check  fails if src/gen is not up to date
"""

import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PROTO = HERE.parent.parent / "proto"
GENERATED = HERE / "src" / "gen"
# googleapis-common-protos has google/rpc/*.proto; grpcio-tools has google/protobuf/*.proto.
SITE_PACKAGES = Path(sysconfig.get_path("purelib"))
INCLUDES = [PROTO, SITE_PACKAGES, SITE_PACKAGES / "grpc_tools" / "_proto"]
DETAILS = ["google/rpc/status.proto", "google/rpc/error_details.proto"]
OPTIONS = [
    "outputServices=grpc-js",
    "oneof=unions-value",
    "outputJsonMethods=false",
    "esModuleInterop=true",
    "importSuffix=.js",
    "annotateFilesWithVersion=false",
]


def generate(target: Path) -> None:
    """Write the generated modules below `target`, an existing folder."""
    files = sorted(str(path.relative_to(PROTO)) for path in (PROTO / "tidemill").rglob("*.proto"))
    subprocess.run(  # noqa: S603 -- fixed arguments
        [
            *(sys.executable, "-m", "grpc_tools.protoc"),
            *[f"-I{path}" for path in INCLUDES],
            f"--plugin={HERE / 'node_modules' / '.bin' / 'protoc-gen-ts_proto'}",
            f"--ts_proto_out={target}",
            f"--ts_proto_opt={','.join(OPTIONS)}",
            *files,
            *DETAILS,
        ],
        check=True,
    )


def contents(folder: Path) -> dict[Path, bytes]:
    """Return the content of every file below a folder, by relative path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in files}


def main() -> int:
    """Generate the code, or check the generated code."""
    if "--check" not in sys.argv[1:]:
        GENERATED.mkdir(parents=True, exist_ok=True)
        generate(GENERATED)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        there, wanted = contents(GENERATED), contents(Path(folder))
    stale = sorted(str(name) for name in there | wanted if there.get(name) != wanted.get(name))
    if stale:
        print("generated code is not up to date; run clients/node/generate.py:", *stale, sep="\n  ")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
