"""The one client for every call to the outside: checked address, declared host, no redirect, bounded answer."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Iterable, Mapping
from types import SimpleNamespace, TracebackType
from typing import Self
from weakref import WeakValueDictionary

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from adapters.connectors.addresses import host_fits, is_address, is_public, looks_like_address

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 10.0
LARGEST_BODY = 1024 * 1024
"""Bytes of an answer's body after decompression."""

CONNECTIONS_PER_HOST = 64
"""At the same time, first come, first served; there is no limit over all hosts, so that one slow vendor never makes the calls to
others wait.
"""

_AFTER_HEAD_SECONDS = 1.0
_AFTER_HEAD_BYTES = 4096
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_AMBIGUOUS = re.compile(r"[\x00-\x20\x7f\\]")
_AUTHORITY_END = re.compile(r"[/?#]")
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"})
_DEFAULT_HEADERS = {"User-Agent": "Causeway", "Accept-Encoding": "gzip, deflate"}


class OutboundRefused(Exception):
    """The address or host rule forbids the call; nothing was sent. Names at most the host, never a path or a value."""


class OutboundFailed(Exception):
    """The call was allowed and brought no usable answer. Names at most the host, never a path or a value.

    `may_have_arrived` is False when there never was a connection that could have carried the request.
    """

    def __init__(self, message: str, *, may_have_arrived: bool = True) -> None:
        super().__init__(message)
        self.may_have_arrived = may_have_arrived


class OutboundResponse(msgspec.Struct, frozen=True):
    """An answer: status, headers with lower-case names (repeated ones joined by ", "), and the whole body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"OutboundResponse(status={self.status}, body of {len(self.body)} bytes)"


class CheckedResolver(AbstractResolver):
    """Passes on an inner resolver's addresses only when every one of them is public.

    The connection goes to exactly these addresses, so a name that answers otherwise a moment later changes nothing.
    """

    def __init__(self, inner: AbstractResolver, *, allow_private_networks: bool) -> None:
        self._inner = inner
        self._allow_private_networks = allow_private_networks

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if not self._allow_private_networks and not all(is_public(one["host"]) for one in found):
            raise OutboundRefused(f'The host "{host}" has an address that is not public.')
        return found

    async def close(self) -> None:
        await self._inner.close()


class OutboundClient:
    """Calls the outside, once per request: no retry, no redirect, no cookie, no proxy from the environment.

    https only; `allow_private_networks` (for development) also allows http and every address. `resolver` and `tls`
    replace the system's resolver and certificate store. `keep_connections` False opens one for every request: for
    requests that must not meet a kept connection which the other side is just closing.
    """

    def __init__(
        self,
        *,
        allow_private_networks: bool = False,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
        keep_connections: bool = True,
    ) -> None:
        self._allow_private_networks = allow_private_networks
        self._keep_connections = keep_connections
        self._given_resolver = resolver
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._resolver: CheckedResolver | None = None
        self._places: WeakValueDictionary[URL, asyncio.Semaphore] = WeakValueDictionary()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; a later request opens the client again."""
        session, self._session = self._session, None
        resolver, self._resolver = self._resolver, None
        if session is not None:
            await session.close()
        if resolver is not None:
            await resolver.close()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        hosts: Iterable[str] | None = None,
        seconds: float | None = None,
        head_only: bool = False,
    ) -> OutboundResponse:
        """Send one request and read its whole answer, whatever its status.

        `query` is added to the URL, encoded. `hosts` are the declared hosts ("{name}" stands for one label's
        letters, digits and hyphens); None means any public host. Raises OutboundRefused before anything is sent, or
        OutboundFailed, at the latest after `seconds`, 10 when they are not given. With `head_only` the answer counts as soon
        as its head is there; the body is left out, whatever becomes of it.
        """
        target = self._checked_url(method, url, hosts)
        checked_headers = _checked_headers(headers or {})
        if query:
            target = target.update_query(dict(query))
        host = target.raw_host or ""
        limit = TOTAL_SECONDS if seconds is None else seconds
        sending = _Sending()
        try:
            async with (
                asyncio.timeout(limit),
                self._places.setdefault(target.origin(), asyncio.Semaphore(CONNECTIONS_PER_HOST)),
                self._open().request(
                    method,
                    target,
                    headers=checked_headers,
                    data=body,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(connect=min(CONNECT_SECONDS, limit)),
                    trace_request_ctx=sending,
                ) as response,
            ):
                return await (_read_head(response) if head_only else _read(response, host))
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            raise OutboundFailed(_why(error, host, limit), may_have_arrived=sending.connected) from None

    def _checked_url(self, method: str, url: str, hosts: Iterable[str] | None) -> URL:
        if method not in _METHODS:
            raise OutboundRefused(f"The method must be one of {', '.join(sorted(_METHODS))}.")
        if _AMBIGUOUS.search(url):
            raise OutboundRefused("A web address has no spaces, control characters or backslashes.")
        try:
            target = URL(url)
            host, port = target.raw_host, target.port
        except (ValueError, TypeError):
            raise OutboundRefused("This is not a web address.") from None
        if target.scheme != "https" and not (target.scheme == "http" and self._allow_private_networks):
            raise OutboundRefused("Only https addresses are called.")
        if not host or "@" in _AUTHORITY_END.split(url.partition("://")[2])[0]:
            raise OutboundRefused("The address must have a host, and no user or password.")
        if hosts is not None:
            if not host_fits(host, hosts):
                raise OutboundRefused(f'The host "{host}" is not among the hosts that this app declares.')
            if port != (443 if target.scheme == "https" else 80) and not self._allow_private_networks:
                raise OutboundRefused(f'The host "{host}" is called on its standard port only.')
        self._check_address(host)
        return target

    def _check_address(self, host: str) -> None:
        """A name waits for the resolver; an address is never looked up, so it is checked here."""
        if not looks_like_address(host):
            return
        if not is_address(host):
            raise OutboundRefused("The host is an IP address in an unusual form.")
        if not self._allow_private_networks and not is_public(host):
            raise OutboundRefused(f'The address "{host}" is not public.')

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            inner = self._given_resolver or aiohttp.ThreadedResolver()
            self._resolver = CheckedResolver(inner, allow_private_networks=self._allow_private_networks)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=self._resolver,
                    use_dns_cache=False,
                    ssl=self._tls if self._tls is not None else True,
                    limit=0,
                    force_close=not self._keep_connections,
                ),
                trace_configs=[_noticing_connections()],
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=_DEFAULT_HEADERS,
                trust_env=False,
            )
        return self._session


class _Sending:
    """How far one request has come."""

    connected = False


def _noticing_connections() -> aiohttp.TraceConfig:
    """From the moment a request has a connection, TLS included, it may have reached the other side."""

    async def connected(session: aiohttp.ClientSession, context: SimpleNamespace, params: object) -> None:
        context.trace_request_ctx.connected = True

    noticing = aiohttp.TraceConfig()
    noticing.on_connection_create_end.append(connected)
    noticing.on_connection_reuseconn.append(connected)
    return noticing


def _why(error: Exception, host: str, limit: float) -> str:
    if isinstance(error, aiohttp.ClientSSLError):
        return f'No trusted TLS connection to "{host}".'
    if isinstance(error, TimeoutError):
        return f'"{host}" did not answer within {round(limit, 1):g} s.'
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f'The host "{host}" was not found.'
    if isinstance(error, aiohttp.ClientConnectorError):
        return f'No connection to "{host}".'
    return f'"{host}" broke off, or answered with something that is not HTTP.'


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise OutboundRefused("A header has a name that HTTP does not allow.")
        if name.lower() in _OURS:
            raise OutboundRefused(f'The header "{name}" is set by the client itself.')
        if not _HEADER_VALUE.fullmatch(value):
            raise OutboundRefused(f'The header "{name}" contains a line break or another character it cannot carry.')
    return dict(headers)


async def _read_head(response: aiohttp.ClientResponse) -> OutboundResponse:
    """Reads on only so that the connection can be kept: a little, for a moment."""
    size = 0
    try:
        async with asyncio.timeout(_AFTER_HEAD_SECONDS):
            async for chunk in response.content.iter_any():
                size += len(chunk)
                if size > _AFTER_HEAD_BYTES:
                    response.close()
                    break
    except (aiohttp.ClientError, HttpProcessingError, OSError):
        response.close()
    return OutboundResponse(response.status, _headers_of(response), b"")


def _headers_of(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): ", ".join(response.headers.getall(name)) for name in response.headers}


async def _read(response: aiohttp.ClientResponse, host: str) -> OutboundResponse:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LARGEST_BODY:
            response.close()
            raise OutboundFailed(f'The answer of "{host}" is larger than {LARGEST_BODY} bytes.')
    return OutboundResponse(response.status, _headers_of(response), bytes(body))
