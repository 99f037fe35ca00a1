"""Registering, logging in, and choosing a company."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from domain.accounts.account import (
    ACCOUNT,
    SESSION_STREAM,
    AccountNotFound,
    AccountRegistered,
    SessionOpened,
    WrongCredentials,
    join,
)
from domain.companies.access import COMPANY_ACCESS_STREAM, ApiKeyIssued, CompanyEntered
from domain.companies.company import COMPANY, CompanyFounded, CompanyNotFound
from domain.deciding import Caller, Changes, Desk, load
from domain.events import Sealed
from domain.facts import account_email_fact, account_number_fact
from domain.ids import ACCOUNT_SESSION, COMPANY_SESSION, INSTALLATION, mint_token, new_id
from domain.ports import (
    PERSONAL,
    Clock,
    FactChange,
    FactUse,
    PasswordHasher,
    SealedCredential,
    StreamEvents,
    TenantClosed,
    TenantKind,
    credential_context,
)

SESSION_LIFETIME = timedelta(hours=1)


class Session(msgspec.Struct, frozen=True):
    """A login's answer: the token is shown here and kept nowhere."""

    account_id: UUID
    token: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Session({self.account_id})"


class AccountCommands:
    def __init__(self, desk: Desk, hasher: PasswordHasher, clock: Clock) -> None:
        self._desk = desk
        self._hasher = hasher
        self._clock = clock

    async def open_installation(self, caller: Caller) -> None:
        """Makes the tenant of accounts, once."""

        async def decide() -> tuple[Changes | None, None]:
            if await self._is_open():
                return None, None
            wrapped, _ = self._desk.vault.new_key(INSTALLATION, INSTALLATION)
            return Changes(streams=(), opens=TenantKind.INSTALLATION, data_keys=(wrapped,)), None

        await self._desk.execute(INSTALLATION, caller, decide)

    async def _is_open(self) -> bool:
        try:
            await self._desk.vault.tenant_key(INSTALLATION)
        except TenantClosed:
            return False
        return True

    async def register(self, caller: Caller, account_id: UUID, email: str, name: str, password: str) -> int:
        """Adds a person with the next free number; nothing happens when this account is there already."""
        password_hash = await self._hasher.hash(password)

        async def decide() -> tuple[Changes | None, int]:
            state, version = await load(self._desk.store, ACCOUNT, INSTALLATION, account_id)
            if version:
                return None, state.number
            key = await self._desk.vault.tenant_key(INSTALLATION)
            number = await self._free_number()
            wrapped, own = self._desk.vault.new_key(INSTALLATION, account_id)
            sealed = own.seal(credential_context(account_id, 1), password_hash.encode())
            event = AccountRegistered(
                number=number,
                email=Sealed(account_id, own.seal(PERSONAL, email.encode())),
                name=Sealed(account_id, own.seal(PERSONAL, name.encode())),
                credential_version=1,
            )
            email_fact = account_email_fact(key.digest("email", _folded(email)))
            return Changes(
                streams=(StreamEvents(account_id, ACCOUNT.stream_type, 0, (event,)),),
                facts=(
                    FactChange(FactUse.CLAIM, email_fact, account_id, account_id),
                    FactChange(FactUse.CLAIM, account_number_fact(number), account_id),
                ),
                data_keys=(wrapped,),
                credentials=(SealedCredential(account_id, 1, account_id, sealed),),
            ), number

        return await self._desk.execute(INSTALLATION, caller, decide)

    async def _free_number(self) -> int:
        """Numbers count up from 1; the doubling search asks some twenty facts for a million accounts."""
        store = self._desk.store
        high = 1
        while await store.holders(INSTALLATION, [account_number_fact(high)]):
            high *= 2
        low = high // 2
        while high - low > 1:
            middle = (low + high) // 2
            if await store.holders(INSTALLATION, [account_number_fact(middle)]):
                low = middle
            else:
                high = middle
        return high

    async def found_company(self, caller: Caller, company_id: UUID, name: str) -> None:
        async def decide() -> tuple[Changes | None, None]:
            _, version = await load(self._desk.store, COMPANY, company_id, company_id)
            if version:
                return None, None
            wrapped, _ = self._desk.vault.new_key(company_id, company_id)
            stream = StreamEvents(company_id, COMPANY.stream_type, 0, (CompanyFounded(name=name),))
            return Changes(streams=(stream,), opens=TenantKind.COMPANY, data_keys=(wrapped,)), None

        await self._desk.execute(company_id, caller, decide)

    async def join_company(self, caller: Caller, account_id: UUID, company_id: UUID, role: str) -> None:
        async def decide() -> tuple[Changes | None, None]:
            state, version = await load(self._desk.store, ACCOUNT, INSTALLATION, account_id)
            events = join(state, company_id, role)
            stream = StreamEvents(account_id, ACCOUNT.stream_type, version, events)
            return (Changes(streams=(stream,)) if events else None), None

        await self._desk.execute(INSTALLATION, caller, decide)

    async def adopt_api_key(self, caller: Caller, company_id: UUID, key_id: UUID, name: str, digest: bytes) -> None:
        """Records an API key that was minted elsewhere; nothing happens when it is recorded already."""

        async def decide() -> tuple[Changes | None, None]:
            if await self._desk.store.read_stream(company_id, key_id):
                return None, None
            event = ApiKeyIssued(name=name, digest=digest)
            return Changes(streams=(StreamEvents(key_id, COMPANY_ACCESS_STREAM, 0, (event,)),)), None

        await self._desk.execute(company_id, caller, decide)

    async def log_in(self, caller: Caller, email: str, password: str) -> Session:
        """WrongCredentials tells neither whether the address is known, nor by how long it takes."""
        key = await self._desk.vault.tenant_key(INSTALLATION)
        fact = account_email_fact(key.digest("email", _folded(email)))
        account_id = (await self._desk.store.holders(INSTALLATION, [fact])).get(fact)
        credential = await self._desk.vault.credential(INSTALLATION, account_id) if account_id else None
        if not await self._hasher.matches(password, credential[1].decode() if credential else None) or not account_id:
            raise WrongCredentials
        text, token = mint_token(ACCOUNT_SESSION, INSTALLATION)
        expires_at = self._clock() + SESSION_LIFETIME
        opened = SessionOpened(account_id=account_id, digest=token.digest, expires_at=expires_at)

        async def decide() -> tuple[Changes, Session]:
            stream = StreamEvents(new_id(), SESSION_STREAM, 0, (opened,))
            return Changes(streams=(stream,)), Session(account_id, text, expires_at)

        actor = msgspec.structs.replace(caller, actor=f"account:{account_id}", idempotency=None)
        return await self._desk.execute(INSTALLATION, actor, decide)

    async def enter_company(self, caller: Caller, account_id: UUID, company_id: UUID) -> Session:
        """A session for one of the person's companies; CompanyNotFound for any other."""
        state, _ = await load(self._desk.store, ACCOUNT, INSTALLATION, account_id)
        if not state.present:
            raise AccountNotFound
        if company_id not in state.companies:
            raise CompanyNotFound
        text, token = mint_token(COMPANY_SESSION, company_id)
        expires_at = self._clock() + SESSION_LIFETIME
        entered = CompanyEntered(account_id=account_id, digest=token.digest, expires_at=expires_at)

        async def decide() -> tuple[Changes, Session]:
            stream = StreamEvents(new_id(), COMPANY_ACCESS_STREAM, 0, (entered,))
            return Changes(streams=(stream,)), Session(account_id, text, expires_at)

        return await self._desk.execute(company_id, msgspec.structs.replace(caller, idempotency=None), decide)


def _folded(email: str) -> bytes:
    return email.strip().casefold().encode()
