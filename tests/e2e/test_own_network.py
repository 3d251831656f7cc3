"""The network that docs/training.md adds."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
from tests.unit.jobs.training.conftest import weather
from tidemill_core.settings.training import TrainingSettings
from tidemill_jobs.training.export import EXPORTERS
from tidemill_jobs.training.labeled_texts import TrainingData
from tidemill_jobs.training.search import SearchConfig
from tidemill_jobs.training.tracking import Untracked
from tidemill_jobs.training.train import TrainingConfig, train

data = TrainingData(weather(60), weather(20, 60), weather(20, 80))
search = SearchConfig(2, None, 1, "sqlite:///optuna.db", "words")
config = TrainingConfig(TrainingSettings(network="words").network, search=search)
model = train(data, config, lambda _done, _message: None, Untracked())
for export in EXPORTERS.values():
    assert export(model.classifier, model.sequence_length)
print(model.record.network, model.test_measures.accuracy)
"""


def test_the_documented_network_is_one_file_and_one_line(tmp_path: Path) -> None:
    """With the guide's file and line, its network can be set, searched, trained and exported."""
    guide = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    file, line = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    for package in ("core/tidemill_core", "jobs/tidemill_jobs"):
        shutil.copytree(ROOT / package, tmp_path / Path(package).name)
    (tmp_path / "tidemill_jobs/training/networks/words.py").write_text(file, encoding="utf-8")
    settings = tmp_path / "tidemill_core/settings/training.py"
    before = settings.read_text(encoding="utf-8")
    after = re.sub(r"^NetworkName = .*\n", line, before, count=1, flags=re.MULTILINE)
    assert after != before
    settings.write_text(after, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("\nwords 1.0\n"), done.stderr


@pytest.mark.parametrize("name", ["ngram", "transformer", "sentence_encoder"])
def test_the_guide_names_each_network(name: str) -> None:
    """The guide's table has every network."""
    assert f"| `{name}` |" in (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
