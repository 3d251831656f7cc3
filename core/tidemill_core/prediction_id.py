"""Signed prediction ids: feedback cannot be forged, and its check needs no database read.

An id is URL-safe base64, without padding, of

    key id (1 byte) · task's length (1) · task · model version (4) · time in ms (6)
    · propensity times 65,535 (2) · random (8) · HMAC-SHA256 of all before, cut to 16 bytes

with numbers big-endian. The key id names the signing key, so that keys can be replaced: the key
with the highest id signs, and all keys verify.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime
from pathlib import Path

from tidemill_core.errors import ConfigurationError, InvalidArgument
from tidemill_core.secret_file import read_or_create

KEYS_FILE = "prediction_id_keys.json"
_MAC_BYTES = 16
_RANDOM_BYTES = 8
_FIXED_BYTES = 1 + 1 + 4 + 6 + 2 + _RANDOM_BYTES + _MAC_BYTES
MAX_LENGTH = 120


@dataclass(frozen=True)
class PredictionClaims:
    """The facts that a prediction id holds about its prediction.

    Attributes:
        task: the task of the prediction.
        model_version: the version that answered.
        predict_time: the time of the prediction, to the millisecond.
        propensity: probability in (0, 1] with which the router chose the version.
    """

    task: str
    model_version: int
    predict_time: datetime
    propensity: float


class PredictionIdSigner:
    """Signs and verifies prediction ids.

    Args:
        keys: secret keys by key id, 0 to 255.
    """

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        self._keys = dict(keys)
        self._key_id = max(self._keys)
        self._signing = hmac.new(self._keys[self._key_id], digestmod=hashlib.sha256)

    def sign(self, claims: PredictionClaims) -> str:
        """Return a new id with these claims."""
        return self.sign_each(claims, 1)[0]

    def sign_each(self, claims: PredictionClaims, count: int) -> list[str]:
        """Return `count` new ids with the same claims."""
        task = claims.task.encode()
        shared = b"".join(
            (
                bytes((self._key_id, len(task))),
                task,
                claims.model_version.to_bytes(4),
                round(claims.predict_time.timestamp() * 1000).to_bytes(6),
                round(claims.propensity * 65_535).to_bytes(2),
            )
        )
        random = secrets.token_bytes(_RANDOM_BYTES * count)
        chunks = (random[i : i + _RANDOM_BYTES] for i in range(0, len(random), _RANDOM_BYTES))
        return [self._signed(shared + chunk) for chunk in chunks]

    def _signed(self, body: bytes) -> str:
        mac = self._signing.copy()
        mac.update(body)
        return base64.urlsafe_b64encode(body + mac.digest()[:_MAC_BYTES]).rstrip(b"=").decode()

    def verify(self, prediction_id: str) -> PredictionClaims:
        """Return the claims of an id.

        Raises:
            InvalidArgument: none of our keys signed the id, or it was changed since.
        """
        data = _decode(prediction_id)
        key = self._keys.get(data[0]) if len(data) >= _FIXED_BYTES else None
        if key is None:
            raise _invalid()
        body, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
        expected = hmac.digest(key, body, hashlib.sha256)[:_MAC_BYTES]
        if not hmac.compare_digest(mac, expected):
            raise _invalid()
        rest = body[2 + body[1] :]
        return PredictionClaims(
            task=body[2 : 2 + body[1]].decode(),
            model_version=int.from_bytes(rest[:4]),
            predict_time=_time(rest[4:10]),
            propensity=int.from_bytes(rest[10:12]) / 65_535,
        )


def claimed_time(prediction_id: str) -> datetime | None:
    """Return the time in an id, to the millisecond, without a check of the signature.

    Return None if the text does not have the form of an id, or its time the form of a date.
    """
    try:
        data = _decode(prediction_id)
        start = 2 + data[1] + 4
        found = _time(data[start : start + 6]) if len(data) == _FIXED_BYTES + data[1] else None
    except (InvalidArgument, IndexError, ValueError, OverflowError):
        return None
    # A caller may add to it, and there is no year after the last one.
    return found if found is not None and found.year < MAXYEAR else None


def _time(milliseconds: bytes) -> datetime:
    return datetime.fromtimestamp(int.from_bytes(milliseconds) / 1000, UTC)


def _decode(prediction_id: str) -> bytes:
    if len(prediction_id) > MAX_LENGTH:
        raise _invalid()
    try:
        padding = "=" * (-len(prediction_id) % 4)
        data = base64.b64decode(prediction_id.encode("ascii") + padding.encode(), b"-_", True)
    except (ValueError, binascii.Error) as error:
        raise _invalid() from error
    # Unused bits of the last character could differ: accept only one spelling of an id.
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != prediction_id:
        raise _invalid()
    return data


def _invalid() -> InvalidArgument:
    rule = "is not an id that this system gave to a prediction"
    return InvalidArgument("INVALID_PREDICTION_ID", "prediction_id", rule)


def load_keys(state_dir: Path, given: str = "") -> dict[int, bytes]:
    """Return the given signing keys, or those in a file of a state directory.

    Args:
        state_dir: the state directory; the first caller creates its file.
        given: the content of such a file (JSON, keys in hexadecimal by their ids), or "".

    Raises:
        ConfigurationError: the given keys or the file are damaged; the file cannot be read or
            written; or others may read it.
    """
    path = state_dir / KEYS_FILE
    place = "prediction_id_keys" if given else str(path)
    cure = "it is JSON: keys in hexadecimal by their ids" if given else "restore it from a backup"
    try:
        content = given or read_or_create(path, lambda: json.dumps({"0": secrets.token_hex(32)}))
        keys = {int(key_id): bytes.fromhex(key) for key_id, key in json.loads(content).items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise ConfigurationError(f"{place} is damaged; {cure}") from error
    if not keys or not all(0 <= key_id <= 255 and len(key) >= 32 for key_id, key in keys.items()):
        raise ConfigurationError(f"{place} needs keys of 32 bytes with ids from 0 to 255")
    return keys
