"""What a token endpoint was asked: how often, for which grant, and how many requests were open at once."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs

REMEMBERED_REQUESTS = 10_000


@dataclass
class Seen:
    """One request, without its secrets. `chain` is the same for every refresh token that rotation made from one grant."""

    method: str
    path: str
    grant_type: str | None = None
    chain: str | None = None
    trouble: str | None = None
    upstream_status: int | None = None
    """What the provider itself answered; None when the request never reached it."""

    @property
    def refreshes(self) -> bool:
        return self.grant_type == "refresh_token"


class Traffic:
    """Counts what passes. Tokens are kept as fingerprints only."""

    def __init__(self, token_path: str) -> None:
        self.token_path = token_path
        self._changed = asyncio.Event()
        self._chain_of: dict[str, str] = {}
        self.reset()

    def reset(self) -> None:
        """Forgets all counts; which tokens belong together stays known. Call it with nothing in flight."""
        self.seen: deque[Seen] = deque(maxlen=REMEMBERED_REQUESTS)
        self.asked: Counter[str] = Counter()
        """Token requests by grant type; "" when it has none."""
        self.in_flight = 0
        self.most_at_once = 0
        """Most refresh requests open at one moment."""
        self.most_at_once_per_grant = 0
        """Most refresh requests open at one moment for one grant, whichever of its refresh tokens they bore."""
        self._by_token: Counter[str] = Counter()
        self._by_chain: Counter[str] = Counter()
        self._open_by_chain: Counter[str] = Counter()

    @property
    def refreshes(self) -> int:
        return self.asked["refresh_token"]

    def refreshes_of(self, refresh_token: str) -> int:
        """How often this very refresh token was presented for a refresh."""
        return self._by_token[_fingerprint(refresh_token)]

    def refreshes_of_grant(self, refresh_token: str) -> int:
        """How often the grant of this refresh token was refreshed, with this token, an earlier or a later one."""
        return self._by_chain[self._chain(_fingerprint(refresh_token))]

    async def until(self, holds: Callable[[Traffic], bool], seconds: float = 30) -> None:
        """Returns as soon as this holds; TimeoutError when it does not in time."""
        async with asyncio.timeout(seconds):
            while not holds(self):
                self._changed.clear()
                await self._changed.wait()

    def arrived(self, method: str, path: str, body: bytes) -> Seen:
        seen = Seen(method, path)
        self.seen.append(seen)
        if path == self.token_path and method == "POST":
            form = parse_qs(body.decode(errors="replace"))
            seen.grant_type = form.get("grant_type", [""])[0]
            self.asked[seen.grant_type] += 1
            if seen.refreshes:
                self._refresh_arrived(seen, _fingerprint(form.get("refresh_token", [""])[0]))
        self._changed.set()
        return seen

    def _refresh_arrived(self, seen: Seen, token: str) -> None:
        seen.chain = self._chain(token)
        self._by_token[token] += 1
        self._by_chain[seen.chain] += 1
        self._open_by_chain[seen.chain] += 1
        self.in_flight += 1
        self.most_at_once = max(self.most_at_once, self.in_flight)
        self.most_at_once_per_grant = max(self.most_at_once_per_grant, self._open_by_chain[seen.chain])

    def answered(self, seen: Seen, status: int, body: bytes) -> None:
        """The provider's own answer, whether or not it will reach whoever asked."""
        seen.upstream_status = status
        if seen.chain is not None and status == 200 and (token := _refresh_token_in(body)):
            self._chain_of[_fingerprint(token)] = seen.chain
        self._changed.set()

    def left(self, seen: Seen) -> None:
        if seen.chain is not None:
            self.in_flight -= 1
            self._open_by_chain[seen.chain] -= 1
        self._changed.set()

    def _chain(self, token: str) -> str:
        return self._chain_of.get(token, token)


def _fingerprint(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()[:20]


def _refresh_token_in(body: bytes) -> str | None:
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    token = answer.get("refresh_token") if isinstance(answer, dict) else None
    return token if isinstance(token, str) else None
