"""Prediction ids: their claims can be trusted, and nothing else is accepted."""

import base64
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill_core.errors import ConfigurationError, InvalidArgument
from tidemill_core.prediction_id import (
    KEYS_FILE,
    MAX_LENGTH,
    PredictionClaims,
    PredictionIdSigner,
    claimed_time,
    load_keys,
)

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
SIGNER = PredictionIdSigner({0: KEY})
CLAIMS = PredictionClaims("support", 3, datetime(2026, 3, 1, 12, 0, 0, 123000, UTC), 1.0)
LOAD = (
    "import sys, pathlib; from tidemill_core.prediction_id import load_keys;"
    "print(flush=True); sys.stdin.readline(); print(load_keys(pathlib.Path(sys.argv[1]))[0].hex())"
)


def _refused(prediction_id: str, signer: PredictionIdSigner = SIGNER) -> None:
    with pytest.raises(InvalidArgument) as caught:
        signer.verify(prediction_id)
    assert caught.value.reason == "INVALID_PREDICTION_ID"
    assert caught.value.field == "prediction_id"


@given(
    st.from_regex(r"[a-z][a-z0-9_]{0,39}", fullmatch=True),
    st.integers(1, 2**32 - 1),
    st.datetimes(datetime(2020, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
    st.floats(0.01, 1.0),
)
def test_round_trip(task: str, version: int, time: datetime, propensity: float) -> None:
    """An id has the signed claims: the time to the millisecond, the propensity to 16 bits."""
    prediction_id = SIGNER.sign(PredictionClaims(task, version, time, propensity))
    found = SIGNER.verify(prediction_id)
    assert (found.task, found.model_version) == (task, version)
    assert abs(found.predict_time - time) <= timedelta(milliseconds=1)
    assert claimed_time(prediction_id) == found.predict_time
    assert found.predict_time.tzinfo is UTC
    assert found.propensity == pytest.approx(propensity, abs=1e-5)
    assert len(prediction_id) <= MAX_LENGTH


def test_exact_values() -> None:
    """A time in whole milliseconds and a propensity of 1 come back exactly."""
    assert SIGNER.verify(SIGNER.sign(CLAIMS)) == CLAIMS


def test_ids_differ() -> None:
    """Equal claims get different ids, which cannot be guessed from each other."""
    assert len({SIGNER.sign(CLAIMS) for _ in range(1000)}) == 1000


def test_every_flipped_bit_is_seen() -> None:
    """An id with any one bit changed is refused."""
    prediction_id = SIGNER.sign(CLAIMS)
    data = base64.urlsafe_b64decode(prediction_id + "=" * (-len(prediction_id) % 4))
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        _refused(base64.urlsafe_b64encode(changed).rstrip(b"=").decode())


def test_every_truncation_is_seen() -> None:
    """A truncated or extended id is refused."""
    prediction_id = SIGNER.sign(CLAIMS)
    for length in range(len(prediction_id)):
        _refused(prediction_id[:length])
    _refused(prediction_id + "A")


@pytest.mark.parametrize("task", ["a", "ab", "abc", "abcd"])
def test_only_one_spelling(task: str) -> None:
    """Padding, whitespace, another alphabet and other unused bits are refused."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    claims = PredictionClaims(task, 1, CLAIMS.predict_time, 1.0)
    prediction_id = SIGNER.sign(claims)
    while "-" not in prediction_id:
        prediction_id = SIGNER.sign(claims)
    for last in alphabet.replace(prediction_id[-1], ""):
        _refused(prediction_id[:-1] + last)
    for spelling in (
        prediction_id + "=",
        prediction_id + "==",
        prediction_id + "\n",
        " " + prediction_id,
        prediction_id.replace("-", "+"),
    ):
        _refused(spelling)


@pytest.mark.parametrize(
    "prediction_id", ["", "A", "é" * 60, "\uff11\uff12", "\ud800", "\0", "!" * 60]
)
def test_nonsense(prediction_id: str) -> None:
    """Empty, non-ASCII and other text is refused."""
    _refused(prediction_id)


@pytest.mark.parametrize("text", ["", "p1", "ä", "A" * 50, "A" * 52, "_" * 52, "_" * 160])
def test_what_is_no_id_has_no_time(text: str) -> None:
    """A text of another form has no time, and is no error."""
    assert claimed_time(text) is None


def test_a_time_at_the_end_of_all_years() -> None:
    """The last year is no time, so what a caller adds to a time stays one."""
    last = datetime(9999, 12, 31, 23, 59, 59, 999000, UTC)
    assert claimed_time(SIGNER.sign(PredictionClaims("support", 3, last, 1.0))) is None


def test_too_long() -> None:
    """An id longer than any of ours is refused, however long it is."""
    _refused("A" * (MAX_LENGTH + 1))
    _refused("A" * 10_000_000)


@given(st.binary(max_size=89))
def test_random_bytes(data: bytes) -> None:
    """Random ids are refused."""
    _refused(base64.urlsafe_b64encode(data).rstrip(b"=").decode())


def test_a_foreign_key() -> None:
    """An id signed elsewhere is refused, under the same key id and under another."""
    _refused(PredictionIdSigner({0: OTHER_KEY}).sign(CLAIMS))
    _refused(PredictionIdSigner({7: OTHER_KEY}).sign(CLAIMS))


def test_keys_are_replaced() -> None:
    """The newest key signs; ids of an older key verify until the key is removed."""
    old = SIGNER.sign(CLAIMS)
    both = PredictionIdSigner({0: KEY, 1: OTHER_KEY})
    assert both.verify(old) == CLAIMS
    new = both.sign(CLAIMS)
    assert both.verify(new) == PredictionIdSigner({1: OTHER_KEY}).verify(new) == CLAIMS
    _refused(new)
    _refused(old, PredictionIdSigner({1: OTHER_KEY}))


def test_the_first_caller_makes_a_key(tmp_path: Path) -> None:
    """The key is created once, for its owner only, and no other file is left."""
    keys = load_keys(tmp_path / "var")
    assert load_keys(tmp_path / "var") == keys
    assert [len(key) for key in keys.values()] == [32]
    assert (tmp_path / "var" / KEYS_FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "var").iterdir()] == [KEYS_FILE]
    assert load_keys(tmp_path / "other") != keys


def test_processes_that_start_together_share_a_key(tmp_path: Path) -> None:
    """Eight processes that start at once without a key all get the same key."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", LOAD, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()  # it has imported everything and waits
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    keys = {process.communicate(timeout=30)[0] for process in processes}
    assert keys == {load_keys(tmp_path)[0].hex() + "\n"}
    assert [path.name for path in tmp_path.iterdir()] == [KEYS_FILE]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"0": 5}',
        '{"0": "zz"}',
        '{"0": "aa"}',
        '{"x": "%s"}' % ("a" * 64),
        '{"256": "%s"}' % ("a" * 64),
        '{"-1": "%s"}' % ("a" * 64),
    ],
)  # fmt: skip -- easier to read in two lines
def test_a_damaged_file(tmp_path: Path, content: str) -> None:
    """A damaged key file is refused by name, and never replaced."""
    path = tmp_path / KEYS_FILE
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match=KEYS_FILE):
        load_keys(tmp_path)
    assert path.read_text() == content


def test_keys_that_are_given_leave_the_state_directory_alone(tmp_path: Path) -> None:
    """Machines with the same keys accept each other's ids and write no file."""
    keys = load_keys(tmp_path / "var", json.dumps({"3": "ab" * 32}))
    assert keys == {3: b"\xab" * 32}
    assert not (tmp_path / "var").exists()
    with pytest.raises(ConfigurationError, match="prediction_id_keys") as caught:
        load_keys(tmp_path / "var", '{"3": "abab"}')
    assert "abab" not in str(caught.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """A key file that is not UTF-8 is damaged."""
    path = tmp_path / KEYS_FILE
    path.write_bytes(b"\xff\xfe\x00")
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="damaged"):
        load_keys(tmp_path)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o602])
def test_a_file_that_others_may_read(tmp_path: Path, mode: int) -> None:
    """A key that other users may have read or written is refused, with what to do."""
    path = tmp_path / KEYS_FILE
    path.write_text(json.dumps({"0": "a" * 64}))
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match=f"chmod 600 .*{KEYS_FILE}"):
        load_keys(tmp_path)
