"""A test identity provider that signs tokens and publishes its public keys."""

import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm


class Issuer:
    """An identity provider that signs with ES256.

    Attributes:
        jwks: the file of its public keys.
    """

    def __init__(self, jwks: Path) -> None:
        self.jwks = jwks
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._key_id = ""
        self.rotate("first")

    def rotate(self, key_id: str) -> None:
        """Sign with a new key from now on, and publish only that key."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._key_id = key_id
        self.jwks.write_text(self.published())

    def published(self) -> str:
        """Return its public keys as a JWKS."""
        key = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return json.dumps({"keys": [{**key, "kid": self._key_id, "use": "sig"}]})

    def token(self, **changes: Any) -> str:
        """Return a good token for predicting, with changed claims; None leaves a claim out."""
        claims: dict[str, Any] = {
            "sub": "shop",
            "aud": "tidemill",
            "iss": "https://id.example",
            "exp": int(time.time()) + 600,
            "scope": "openid predict",
        }
        kept = {name: value for name, value in (claims | changes).items() if value is not None}
        return jwt.encode(kept, self._key, "ES256", headers={"kid": self._key_id})
