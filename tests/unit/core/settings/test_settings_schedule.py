"""The section `[schedule]`."""

import pytest

from tidemill_core.errors import ConfigurationError
from tidemill_core.settings import load_settings


@pytest.mark.parametrize(
    ("expression", "rule"),
    [
        ("often", "1 field"),
        ("* * * *", "4 field"),
        ("* * * * * *", "6 field"),
        ("@daily", "1 field"),
        ("60 * * * *", "minute"),
        ("-1 * * * *", "minute"),
        ("*/0 * * * *", "minute"),
        (f"{'1' * 5000} * * * *", "100 characters"),
        ("* 24 * * *", "hour"),
        ("* * 32 * *", "day-of-month"),
        ("* * * 13 *", "month"),
        ("* * * * 8", "day-of-week"),
        ("* * * * 5-1", "day-of-week"),
        ("* * * * sat-sun", "0 and 7 are Sunday"),
        ("0 0 30 2 *", "it never fires: there is no such day in such a month"),
        ("0 0 31 2 *", "it never fires: there is no such day in such a month"),
        ("0 0 31 4,6,9,11 *", "it never fires: there is no such day in such a month"),
        ("0 0 */20 * 1L", "never fires"),
        ("0 0 31 feb x", "Bad day-of-week"),
    ],
)
def test_a_wrong_crontab_is_named(
    monkeypatch: pytest.MonkeyPatch, expression: str, rule: str
) -> None:
    """Whoever reads the settings refuses a wrong expression, with its setting and the rule."""
    monkeypatch.setenv("TIDEMILL_SCHEDULE__CHECK_DRIFT", expression)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    named, _, why = str(caught.value).partition(" (from TIDEMILL_SCHEDULE__CHECK_DRIFT): ")
    assert named.startswith(f"wrong settings:\n  schedule.check_drift is {expression!r:.80}")
    assert rule in why


@pytest.mark.parametrize("expression", ["", "*/15 * * * *", "0 9 13 * fri", "0 0 29 2 *"])
def test_a_crontab_or_nothing_is_accepted(monkeypatch: pytest.MonkeyPatch, expression: str) -> None:
    """An empty expression means never; a day that comes in leap years only is a day."""
    monkeypatch.setenv("TIDEMILL_SCHEDULE__CHECK_DRIFT", expression)
    assert load_settings().schedule.check_drift == expression
