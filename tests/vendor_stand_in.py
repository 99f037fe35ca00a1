"""A local TLS server that stands in for vendors: only the address is replaced, all else is as on the Internet."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from adapters.connectors.outbound import OutboundClient


@dataclass
class Seen:
    """One request as the vendor saw it."""

    method: str
    host: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class StandIn:
    """What was asked, and what will be answered."""

    port: int = 0
    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    hold: bool = False
    released: asyncio.Event = field(default_factory=asyncio.Event)
    reply: Callable[[Seen], Awaitable[tuple[int, bytes]]] | None = None
    """Instead of `status` and `body`."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen = Seen(request.method, request.host, request.raw_path, headers, await request.read())
        self.seen.append(seen)
        if self.hold:
            await self.released.wait()
        status, body = (self.status, self.body) if self.reply is None else await self.reply(seen)
        return web.Response(status=status, body=body, headers=self.headers)

    def client(self) -> OutboundClient:
        """The real client, with every host at this server's address and this server's certificate trusted."""
        return OutboundClient(
            allow_private_networks=True, resolver=FixedResolver([["127.0.0.1"]], self.port), tls=self.tls
        )


class FixedResolver(AbstractResolver):
    """Answers with the next list of addresses at each look-up, and stays with the last one."""

    def __init__(self, answers: Sequence[Sequence[str]], port: int) -> None:
        self.answers = [list(answer) for answer in answers]
        self.port = port
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        answer = self.answers[min(len(self.asked), len(self.answers) - 1)]
        self.asked.append(host)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=self.port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in answer
        ]

    async def close(self) -> None:
        """Nothing is held open."""


@asynccontextmanager
async def stand_in_for(hosts: Sequence[str], folder: Path, address: str = "127.0.0.1") -> AsyncIterator[StandIn]:
    """A running stand-in whose certificate is made for these hosts."""
    server_tls, client_tls = _certificates(hosts, folder)
    vendor = StandIn(tls=client_tls)
    runner = web.ServerRunner(web.Server(vendor.handle))
    await runner.setup()
    try:
        site = web.TCPSite(runner, address, 0, ssl_context=server_tls)
        await site.start()
        vendor.port = runner.addresses[0][1]
        yield vendor
    finally:
        vendor.released.set()
        await runner.cleanup()


def _certificates(hosts: Sequence[str], folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stand-in")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain = folder / "stand-in.pem"
    chain.write_bytes(private + pem)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(chain)
    return server, ssl.create_default_context(cadata=pem.decode())
