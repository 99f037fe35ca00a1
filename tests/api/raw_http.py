"""Bytes on a socket, for what a well-behaved client cannot send."""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp.test_utils import TestClient


class RawAnswer(msgspec.Struct):
    """``head`` is the status line and the headers as they came."""

    status: int
    head: str
    body: bytes

    def header(self, name: str) -> str | None:
        for line in self.head.split("\r\n")[1:]:
            found, _, value = line.partition(":")
            if found.lower() == name.lower():
                return value.strip()
        return None


async def send_raw(client: TestClient, request: bytes) -> RawAnswer:  # type: ignore[type-arg]
    """Sends the bytes to the client's server and reads until it closes; the request should ask for that."""
    server = client.server
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        writer.write(request)
        await writer.drain()
        answer = await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()
    return parse(answer)


def parse(answer: bytes) -> RawAnswer:
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1")
    return RawAnswer(int(lines.split(" ", 2)[1]) if lines else 0, lines, body)


def request_bytes(method: str, target: bytes | str, token: str, body: bytes = b"", *headers: str) -> bytes:
    """A request that closes its connection; the body comes with its length unless a header chunks it."""
    path = target if isinstance(target, bytes) else target.encode()
    lines = ["Host: localhost", "Connection: close", f"Authorization: Bearer {token}", *headers]
    if body and not any(line.lower().startswith(("transfer-encoding", "content-length")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return method.encode() + b" " + path + b" HTTP/1.1\r\n" + "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
