"""What benchmarks import, without running them: some need minutes and gigabytes."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDERS = [ROOT / name for name in ("", "core", "server", "jobs", "clients/cli", "clients/python")]
OURS = ("tidemill_", "bench.", "tests.")


def test_each_name_that_a_benchmark_imports_from_our_packages_exists() -> None:
    """A name that moves elsewhere moves in `bench/` too, which no other check reads."""
    missing = []
    for path in (ROOT / "bench").rglob("*.py"):
        if ".envs" in path.parts or "peers" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(OURS):
                names = _names(node.module or "")
                missing += [
                    f"{path.name}: {each.name}" for each in node.names if each.name not in names
                ]
    assert missing == []


@cache
def _names(module: str) -> set[str]:
    """Return the names at the top of a module, and the modules of a package."""
    places = [folder / module.replace(".", "/") for folder in FOLDERS]
    files = [place.with_suffix(".py") for place in places]
    files += [place / "__init__.py" for place in places]
    trees = [ast.parse(file.read_text()) for file in files if file.exists()]
    inside = {path.stem for place in places if place.is_dir() for path in place.iterdir()}
    return inside | {name for tree in trees for node in tree.body for name in _defined(node)}


def _defined(node: ast.stmt) -> list[str]:
    """Return the names that a statement defines."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [each.asname or each.name for each in node.names]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    return [each.id for each in ast.walk(node) if isinstance(each, ast.Name)]
