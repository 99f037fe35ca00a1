"""AES-256-GCM (NIST SP 800-38D) with random 96-bit nonces; what is sealed is bound to tenant, subject and purpose."""

from __future__ import annotations

import hashlib
import hmac
import os
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12


class Tampered(Exception):
    """A sealed value does not belong where it was found, or was changed."""


def _seal(key: bytes, plaintext: bytes, bound_to: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, bound_to)


def _open(key: bytes, box: bytes, bound_to: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(box[:_NONCE], box[_NONCE:], bound_to)
    except (InvalidTag, ValueError) as error:
        raise Tampered("a sealed value cannot be opened with its key") from error


def wrap(master_key: bytes, master_key_id: str, tenant_id: UUID, subject_id: UUID, data_key: bytes) -> bytes:
    return _seal(master_key, data_key, _wrapping(master_key_id, tenant_id, subject_id))


def unwrap(master_key: bytes, master_key_id: str, tenant_id: UUID, subject_id: UUID, wrapped: bytes) -> bytes:
    return _open(master_key, wrapped, _wrapping(master_key_id, tenant_id, subject_id))


def _wrapping(master_key_id: str, tenant_id: UUID, subject_id: UUID) -> bytes:
    return b"wrap\0" + tenant_id.bytes + subject_id.bytes + master_key_id.encode()


class SubjectKey:
    """A DataKey: the subject's 32 bytes, opened."""

    __slots__ = ("_bound_to", "_digest_key", "_key")

    def __init__(self, tenant_id: UUID, subject_id: UUID, key: bytes) -> None:
        self._bound_to = tenant_id.bytes + subject_id.bytes
        self._key = key
        self._digest_key: bytes | None = None

    def __repr__(self) -> str:
        return "SubjectKey(...)"

    def seal(self, context: str, plaintext: bytes) -> bytes:
        return _seal(self._key, plaintext, self._bound_to + context.encode())

    def open(self, context: str, box: bytes) -> bytes:
        return _open(self._key, box, self._bound_to + context.encode())

    def digest(self, context: str, value: bytes) -> bytes:
        if self._digest_key is None:
            self._digest_key = hmac.digest(self._key, b"causeway digest", hashlib.sha256)
        return hmac.digest(self._digest_key, context.encode() + b"\0" + value, hashlib.sha256)[:16]
