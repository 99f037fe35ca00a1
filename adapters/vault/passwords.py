"""Password hashes: Argon2id with argon2-cffi's default cost (RFC 9106), in threads, two at a time."""

from __future__ import annotations

import asyncio

import argon2

_AT_ONCE = 2  # each takes 64 MiB and a core


class ArgonHasher:
    """PasswordHasher."""

    def __init__(self) -> None:
        self._hasher = argon2.PasswordHasher()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._nobody = self._hasher.hash("the password of nobody")

    async def hash(self, password: str) -> str:
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def matches(self, password: str, password_hash: str | None) -> bool:
        async with self._slots:
            same = await asyncio.to_thread(self._verify, password, password_hash or self._nobody)
        return same and password_hash is not None

    def _verify(self, password: str, password_hash: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except argon2.exceptions.VerificationError:
            return False
