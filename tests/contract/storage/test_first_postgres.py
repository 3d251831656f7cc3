"""PostgreSQL's first start on a machine, where root's runs as a system user that it creates."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_START = """
import sys
from pathlib import Path
import pgserver
from tests.plugins.postgres import running_postgres
print("loaded", flush=True)
sys.stdin.readline()
with running_postgres(Path(sys.argv[1])) as postgres:
    postgres.new_database()
"""
_START_AT_ONCE = """
import sys
from subprocess import PIPE, Popen
start, *folders = sys.argv[1:]
begun = [
    Popen([sys.executable, "-c", start, folder], stdin=PIPE, stdout=PIPE, text=True)
    for folder in folders
]
for each in begun:
    each.stdout.readline()
for each in begun:
    each.stdin.close()
sys.exit(max([each.wait() for each in begun]))
"""
_OWN_MOUNT = ("unshare", "--mount")
_LIBRARIES = Path("/etc/ld.so.cache")


def test_workers_that_start_postgresql_at_once_agree_on_its_user(tmp_path: Path) -> None:
    """Three processes start one each while the user is missing; only they see this `/etc`."""
    if os.geteuid() != 0 or subprocess.run([*_OWN_MOUNT, "true"], check=False).returncode != 0:
        pytest.skip("needs root's right to a mount of its own")
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (etc / "group").write_text("root:x:0:\n")
    (etc / "shadow").write_text("root:*:::::::\n")
    if _LIBRARIES.exists():
        shutil.copy(_LIBRARIES, etc)
    folders = [str(tmp_path / f"run{number}") for number in range(3)]
    for folder in folders:
        Path(folder).mkdir()
    mounted = [*_OWN_MOUNT, "sh", "-c", 'mount --bind "$0" /etc && exec "$@"', str(etc)]
    done = subprocess.run(
        [*mounted, sys.executable, "-c", _START_AT_ONCE, _START, *folders],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "pgserver:" in (etc / "passwd").read_text()
