"""What refreshers are tortured on: a database with a project, a provider, fresh grants, and processes that use them."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import msgspec

from domain.connections.oauth import Client, Obtained, Target
from domain.connections.use_cases import TokenSet
from domain.ids import new_id
from projections.connections import ConnectionQueries
from projections.end_users import EndUserQueries
from scripts.providers.manifests import manifest_of
from scripts.providers.provider import OAuth2Provider
from scripts.providers.quick import QuickProvider
from scripts.torturing.refresh_child import Orders, Tally, Turn
from scripts.torturing.refresh_node import APP, CALLER, Node, Place

_CALLBACK = "http://127.0.0.1:9/callback"
_TURN_SECONDS = 60.0


class ChildEnded(Exception):
    """A process ended before it answered."""


class Child:
    """A process of its own that uses connections when it is told to."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, place: Place, *, dies: str = "", mutant: str = "") -> AsyncIterator[Child]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "scripts.torturing.refresh_child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 20,
        )
        child = cls(process)
        try:
            child._tell(msgspec.json.encode(Orders(place=place, dies=dies, mutant=mutant)))
            await child._hear()
            yield child
        finally:
            child.kill()
            await process.wait()

    async def take(self, turn: Turn) -> Tally:
        """ChildEnded when it died over it."""
        self._tell(msgspec.json.encode(turn))
        return msgspec.json.decode(await self._hear(), type=Tally)

    async def ended(self) -> None:
        async with asyncio.timeout(_TURN_SECONDS):
            await self._process.wait()

    async def stands_still(self) -> None:
        """Returns when it has stopped itself."""
        await asyncio.to_thread(_until_stopped, self._process.pid)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)

    def _tell(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")

    async def _hear(self) -> bytes:
        assert self._process.stdout is not None
        async with asyncio.timeout(_TURN_SECONDS):
            line = await self._process.stdout.readline()
        if not line:
            raise ChildEnded
        return line


class Grounds:
    """``node`` works in this process; ``place`` is where other processes work too."""

    def __init__(self, node: Node, provider: OAuth2Provider) -> None:
        self.node, self.provider = node, provider
        self.place = node.place
        self._users = EndUserQueries(node.pool)
        self._connections = ConnectionQueries(node.pool)

    @classmethod
    @contextlib.asynccontextmanager
    async def at(cls, dsn: str, folder: Path, provider: OAuth2Provider, lease_seconds: float) -> AsyncIterator[Grounds]:
        """On an empty, migrated database: makes the project, and adds the provider to it."""
        place = Place(
            dsn=dsn,
            keys=str(folder),
            project_id=new_id(),
            manifest=manifest_of(provider, APP),
            lease_seconds=lease_seconds,
        )
        async with Node.at(place) as node:
            await node.found([place.project_id], provider.client_id, provider.client_secret)
            await provider.register_redirect(_CALLBACK)
            yield cls(node, provider)

    async def link(self, user: str, *, seconds: float = -1.0) -> UUID:
        """A fresh grant as this user's connection; its access token passes for one that ends in so many seconds."""
        access_token, refresh_token = await self._granted(user)
        tokens = TokenSet(
            app_key=APP,
            access_token=access_token,
            refresh_token=refresh_token,
            scopes=("read",),
            expires_at=datetime.now(UTC) + timedelta(seconds=seconds),
        )
        project_id = self.place.project_id
        await self.node.use_cases.commands.import_token(project_id, CALLER, user, tokens, replaces=True)
        user_id = await self._users.end_user_id(project_id, user)
        row = await self._connections.connection(project_id, user_id, APP) if user_id else None
        if row is None:
            raise LookupError(f"{user} has no connection")
        return row.connection_id

    async def _granted(self, user: str) -> tuple[str, str | None]:
        if isinstance(self.provider, QuickProvider):
            tokens = self.provider.tokens_for(user)
            return tokens["access_token"], tokens["refresh_token"]
        obtained = await self._dance(user)
        return obtained.access_token, obtained.refresh_token

    async def _dance(self, user: str) -> Obtained:
        app, scheme = self.node.catalogue.scheme(APP, "oauth2")
        target = Target(app, scheme, Client(self.provider.client_id, self.provider.client_secret))
        oauth, verifier = self.node.oauth, secrets.token_urlsafe(48)
        url = oauth.authorize_url(
            target, redirect_uri=_CALLBACK, state=secrets.token_urlsafe(12), verifier=verifier, scopes=("read",)
        )
        back = parse_qs(urlsplit(await self.provider.consent(url, user)).query)
        return await oauth.exchange(
            target, code=back["code"][0], redirect_uri=_CALLBACK, verifier=verifier, seconds=20.0
        )


def _until_stopped(pid: int) -> None:
    deadline = time.monotonic() + _TURN_SECONDS
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


async def all_at_once(
    children: list[Child], connection_id: UUID, users: int, *, at: float = 0.0, rejected: int = 0
) -> list[Tally]:
    """So many users in each process, at the same moment: a little from now, or at a time of the clock."""
    turn = Turn(connection_id=connection_id, users=users, at=max(at, time.time() + 0.02), rejected=rejected)
    return list(await asyncio.gather(*(child.take(turn) for child in children)))
