"""`[tasks.x.labels]`: labels that are added, renamed or merged."""

import os
import re
from pathlib import Path

import pytest

from tidemill_core.errors import ConfigurationError
from tidemill_core.settings import WORKSPACE_FILE, LabelNames, load_settings

TASK = '[tasks.support]\nsources = [{ path = "data/train.csv" }]\n[tasks.support.labels]\n'
GUIDE = Path(__file__).parents[4] / "docs" / "labeling.md"
LABELS_IN_GUIDE = re.compile(r"```toml\n\[tasks\.support\.labels\]\n(.*?)```", re.DOTALL)


@pytest.fixture(autouse=True)
def _workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start in an empty workspace, without settings from outside."""
    for name in [name for name in os.environ if name.upper().startswith("TIDEMILL_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def _labels(text: str) -> LabelNames:
    Path(WORKSPACE_FILE).write_text(TASK + text, encoding="utf-8")
    return load_settings().tasks["support"].labels


def test_names_have_the_form_of_labels() -> None:
    """Spaces, Unicode forms and wrong encodings are repaired, as in the rows of sources."""
    labels = _labels(
        'add = [" new  crypto "]\nrename = { "cafe\\u0301" = "cafÃ©s", " a\\n b" = "c" }'
    )
    assert labels.add == ["new crypto"]
    assert labels.rename == {"café": "cafés", "a b": "c"}
    assert labels.accepted() == {"new crypto", "café", "cafés", "a b", "c"}


def test_a_table_of_renames(monkeypatch: pytest.MonkeyPatch) -> None:
    """TOML's other form of a table works; JSON in the environment overrides it; none by default."""
    table = '[tasks.support.labels.rename]\ncard_arival = "card_arrival"\n'
    assert _labels(table).rename == {"card_arival": "card_arrival"}
    assert _labels("") == LabelNames()
    monkeypatch.setenv("TIDEMILL_TASKS__SUPPORT__LABELS__RENAME", '{"Lost": "stolen"}')
    assert _labels("").rename == {"Lost": "stolen"}


def test_the_guide_shows_what_can_be_set() -> None:
    """The section in docs/labeling.md adds a label, renames one and merges two."""
    block = LABELS_IN_GUIDE.search(GUIDE.read_text(encoding="utf-8"))
    assert block is not None
    labels = _labels(block[1])
    assert labels.add == ["crypto"]
    assert labels.rename == {
        "card_arival": "card_arrival",
        "lost_card": "lost_or_stolen_card",
        "stolen_card": "lost_or_stolen_card",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('add = [" \\u200b"]', "tasks.support.labels.add: ' \\u200b' is not a label"),
        (
            'add = ["a\\u0007"]',
            "tasks.support.labels.add: 'a\\x07' is not a label: it has the control",
        ),
        ('rename = { "" = "a" }', "tasks.support.labels.rename: '' is not a label"),
        ('rename = { a = " " }', "tasks.support.labels.rename: ' ' is not a label"),
        ('rename = { a = "b\\u0007" }', "tasks.support.labels.rename: 'b\\x07' is not a label"),
        ('rename = { a = " a " }', "tasks.support.labels.rename: 'a' is renamed to itself"),
        ('rename = { a = "b", b = "c" }', "tasks.support.labels.rename: 'a' is renamed to 'b', "),
        (
            'rename = { a = "b", b = "a" }',
            "tasks.support.labels.rename: 'a' and 'b' are renamed in",
        ),
        (
            'rename = { "a b" = "x", "a  b" = "y" }',
            "tasks.support.labels.rename: 'a b' is renamed both to 'x' and to 'y'",
        ),
        (
            'add = ["a"]\nrename = { a = "b" }',
            "tasks.support.labels: add has 'a', which is renamed to 'b'",
        ),
        ("add = [3]", "tasks.support.labels.add.0"),
        ('renames = { a = "b" }', "tasks.support.labels.renames: there is no such setting"),
    ],
)
def test_wrong_names_are_refused(text: str, message: str) -> None:
    """The error starts with the setting's name."""
    with pytest.raises(ConfigurationError) as caught:
        _labels(text)
    assert message in str(caught.value)
