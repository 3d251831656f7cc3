import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_advice_installs_extras_that_exist_from_the_clone() -> None:
    """Messages install declared extras from the clone, since no index has Tidemill."""
    code = "".join(
        path.read_text()
        for room in ("core", "server", "jobs", "clients")
        for path in (ROOT / room).rglob("*.py")
    )
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    advised = re.findall(r"installation\([\"']([\w,]+)[\"']\)", code)
    assert len(advised) >= 4
    assert {extra for each in advised for extra in each.split(",")} <= set(
        declared["optional-dependencies"]
    )
    assert not re.search(r"pip install ['\"]?tidemill", code)
