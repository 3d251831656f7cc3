"""What the documents say of the tree they lie in."""

import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from cryptography.x509 import Version, load_pem_x509_certificate

from tidemill_core.settings import FilesSource, Settings, TaskSettings
from tidemill_core.supervisor import stack_ports

ROOT = Path(__file__).parents[2]
FILES = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
    cwd=ROOT, capture_output=True, text=True, check=True,
).stdout.splitlines()  # fmt: skip
TRACKED = [name for name in FILES if name.endswith(".md")]
FOLDERS = {str(folder) for name in FILES for folder in Path(name).parents}


@pytest.mark.parametrize("name", TRACKED)
def test_every_link_leads_somewhere(name: str) -> None:
    """A relative link names a file or folder of the repository."""
    page = ROOT / name
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    relative = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in relative if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("name", TRACKED)
def test_every_named_file_and_module_exists(name: str) -> None:
    """A path in code marks, a script and a module that a page names are in the repository."""
    text = (ROOT / name).read_text(encoding="utf-8")
    spans = re.findall(r"`([\w.-]+/[\w./-]+)`", text)
    # A part in capitals, such as NAME, stands for any name.
    paths = [s for s in spans if s.split("/")[0] in FOLDERS and not re.search(r"/[A-Z]{2,}\.", s)]
    paths += re.findall(r"python ([\w-]+/[\w./-]+\.py)", text)
    modules = re.findall(r"python -m ((?:bench|docs|tests|tidemill_\w+)[\w.]*)", text)
    missing = [path for path in paths if path.rstrip("/") not in FOLDERS.union(FILES)]
    assert missing + [module for module in modules if find_spec(module) is None] == []


@pytest.mark.parametrize("name", TRACKED)
def test_a_page_that_installs_an_extra_says_that_make_run_has_it(name: str) -> None:
    """`make run` installs all extras, so only those who did not use it install one."""
    text = (ROOT / name).read_text(encoding="utf-8")
    for found in re.finditer(r"pip install -c constraints\.txt '\.\[([\w,]+)\]'", text):
        around = text[max(found.start() - 600, 0) : found.end() + 200]
        known = {"all", "dev", "jobs", "server"}
        assert "`make run`" in around or set(found[1].split(",")) <= known


def test_the_readme_names_every_port_that_a_second_stack_must_change(tmp_path: Path) -> None:
    """Who follows it has a stack beside another one, not a refusal."""
    task = TaskSettings(sources=[FilesSource(path=tmp_path / "rows.csv")])
    ports = stack_ports(Settings.model_validate({"tasks": {"t": task}}))
    own_data = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Your own data")[2]
    assert [port.variable for port in ports if f"`{port.variable}`" not in own_data] == []


def test_the_security_guide_makes_certificates_that_the_server_accepts(tmp_path: Path) -> None:
    """They have version 3; the server refuses version 1, which openssl makes without extensions."""
    guide = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    script = "".join(block for block in blocks if "openssl" in block)
    subprocess.run(["bash", "-ec", script], cwd=tmp_path, check=True, capture_output=True)
    for name in ("ca", "server", "client"):
        certificate = load_pem_x509_certificate((tmp_path / f"tls/{name}.crt").read_bytes())
        assert certificate.version is Version.v3
