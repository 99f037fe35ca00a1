"""Signs OAuth 1.0a requests as RFC 5849 says, independently of the provider's library and of the product."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

METHODS = ("HMAC-SHA1", "RSA-SHA1", "PLAINTEXT")


@dataclass
class Signer:
    """One client with the secrets that it may sign with."""

    client_id: str
    client_secret: str
    rsa_private_key: str

    def header(
        self,
        method: str,
        http_method: str,
        url: str,
        token: tuple[str, str] | None = None,
        protocol: Mapping[str, str] | None = None,
    ) -> str:
        """The Authorization header; `token` is a token and its secret, `protocol` further or other oauth_ parameters."""
        fields = {
            "oauth_consumer_key": self.client_id,
            "oauth_signature_method": method,
            "oauth_timestamp": str(int(time.time())),
            "oauth_nonce": secrets.token_hex(12),
            "oauth_version": "1.0",
            **({"oauth_token": token[0]} if token else {}),
            **(protocol or {}),
        }
        address, _, query = url.partition("?")
        pairs = [*parse_qsl(query, keep_blank_values=True), *fields.items()]
        joined = "&".join(f"{name}={value}" for name, value in sorted((_escaped(a), _escaped(b)) for a, b in pairs))
        base = "&".join(_escaped(part) for part in (http_method, address, joined))
        fields["oauth_signature"] = self._signature(method, base, token[1] if token else "")
        return "OAuth " + ", ".join(f'{_escaped(name)}="{_escaped(value)}"' for name, value in fields.items())

    def _signature(self, method: str, base: str, token_secret: str) -> str:
        key = f"{_escaped(self.client_secret)}&{_escaped(token_secret)}"
        if method == "PLAINTEXT":
            return key
        if method == "HMAC-SHA1":
            return base64.b64encode(hmac.digest(key.encode(), base.encode(), hashlib.sha1)).decode()
        private = serialization.load_pem_private_key(self.rsa_private_key.encode(), None)
        assert isinstance(private, rsa.RSAPrivateKey)
        return base64.b64encode(private.sign(base.encode(), padding.PKCS1v15(), hashes.SHA1())).decode()


def _escaped(text: str) -> str:
    return quote(text, safe="~")
