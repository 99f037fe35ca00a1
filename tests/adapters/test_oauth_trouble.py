"""What is no definite answer never ends a connection: it is trouble, and says whether the request may have arrived."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from adapters.connectors.outbound import CONNECTIONS_PER_HOST, OutboundClient
from domain.apps.app import OAuth2Scheme
from domain.connections.oauth import Client, OAuthClient, Obtained, ProviderRefused, ProviderTrouble, Target
from scripts.providers import faults
from scripts.providers.certificate import loopback_tls
from scripts.providers.quick import QuickProvider
from tests.adapters.oauth_targets import HOST, NOW, SECONDS, app_with, asking, at_provider, oauth2, target
from tests.vendor_stand_in import FixedResolver, stand_in_for


@pytest.fixture
async def provider() -> AsyncIterator[QuickProvider]:
    async with await QuickProvider.start() as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[OAuthClient]:
    async with OutboundClient(allow_private_networks=True) as outbound:
        yield asking(outbound)


async def refreshed(client: OAuthClient, target: Target, token: str = "r3fresh", seconds: float = SECONDS) -> Obtained:
    return await client.refresh(target, refresh_token=token, scopes=(), seconds=seconds)


@asynccontextmanager
async def listening(serve: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[int]:
    """A port on which every connection is served so, until the end."""
    serving: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(writer))
        serving.add(task)
        await asyncio.wait([task])
        writer.transport.abort()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await asyncio.sleep(0)


async def trouble_of(client: OAuthClient, target: Target, seconds: float = SECONDS) -> ProviderTrouble:
    with pytest.raises(ProviderTrouble) as trouble:
        await refreshed(client, target, seconds=seconds)
    assert "r3fresh" not in str(trouble.value)
    return trouble.value


@pytest.mark.parametrize(
    "trouble",
    [
        faults.status(500),
        faults.status(503),
        faults.status(408),
        faults.status(404),
        faults.status(302),
        faults.html(200),
        faults.html(400),
        faults.html(401),
        faults.html(502),
        faults.empty(200),
        faults.empty(400),
        faults.truncated(processed=False),
        faults.cut_json(processed=False),
        faults.dropped(),
        faults.oauth_error("invalid_grant", 500),
        faults.oauth_error("a_word_of_its_own"),
        faults.oauth_error("temporarily_unavailable"),
    ],
    ids=lambda trouble: trouble.name,
)
async def test_an_answer_that_says_nothing_certain_is_trouble_that_may_have_arrived(
    provider: QuickProvider, client: OAuthClient, trouble: faults.Trouble
) -> None:
    provider.faults.plan(trouble)
    met = await trouble_of(client, at_provider(provider))
    assert met.may_have_arrived and met.retry_after is None
    assert "Vendor" in met.message and "never-issued" not in met.message and "back soon" not in met.message


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (17, 17.0),
        (0, 0.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
        (10**11, 86_400.0),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
    ],
)
async def test_too_many_requests_did_not_arrive_and_are_sent_again_when_the_provider_says(
    provider: QuickProvider, client: OAuthClient, said: int | str, seconds: float | None
) -> None:
    provider.faults.plan(faults.status(429, retry_after=said))
    met = await trouble_of(client, at_provider(provider))
    assert not met.may_have_arrived and met.retry_after == seconds


async def test_a_provider_that_is_down_says_when_it_will_be_back(provider: QuickProvider, client: OAuthClient) -> None:
    provider.faults.plan(faults.status(503, retry_after=30))
    assert (await trouble_of(client, at_provider(provider))).retry_after == 30.0


async def test_a_true_answer_under_a_wrong_content_type_is_taken(provider: QuickProvider, client: OAuthClient) -> None:
    token = provider.tokens_for("alice")["refresh_token"]
    provider.faults.plan(faults.wrong_type("text/html"))
    assert await provider.whose((await refreshed(client, at_provider(provider), token)).access_token) == "alice"


async def test_a_provider_that_never_answers_is_left_in_time(provider: QuickProvider, client: OAuthClient) -> None:
    hold = provider.faults.hold()
    met = await trouble_of(client, at_provider(provider), seconds=0.3)
    assert met.may_have_arrived and "did not answer within 0.3 s" in met.message
    hold.release()


async def test_a_provider_that_answers_a_byte_at_a_time_is_left_in_time(client: OAuthClient) -> None:
    async def trickle(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await asyncio.sleep(0.05)

    async with listening(trickle) as port:
        met = await trouble_of(client, on_port(port), seconds=0.4)
    assert met.may_have_arrived and "did not answer within" in met.message


async def test_slow_providers_keep_nobody_from_asking_another(provider: QuickProvider, client: OAuthClient) -> None:
    token = provider.tokens_for("alice")["refresh_token"]
    async with await QuickProvider.start() as one, await QuickProvider.start() as two:
        holds = [slow.faults.hold(times=None) for slow in (one, two)]
        waiting = [asyncio.create_task(refreshed(client, at_provider(slow))) for slow in (one, two) for _ in range(80)]
        for hold in holds:
            await hold.reached(CONNECTIONS_PER_HOST)
        assert await refreshed(client, at_provider(provider), token, seconds=5)
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def on_port(port: int) -> Target:
    scheme = OAuth2Scheme(authorize_url="https://127.0.0.1/", token_url=f"http://127.0.0.1:{port}/token")
    return Target(app_with(scheme, "127.0.0.1"), scheme, Client("c", "s"))


async def test_where_nobody_listens_nothing_arrives(client: OAuthClient) -> None:
    async with listening(lambda writer: asyncio.sleep(0)) as port:
        pass
    assert not (await trouble_of(client, on_port(port))).may_have_arrived


async def test_a_host_that_is_not_found_gets_nothing() -> None:
    class Nowhere(FixedResolver):
        async def resolve(self, *_: object, **__: object) -> list[object]:  # type: ignore[override]
            raise OSError(-2, "Name or service not known")

    async with OutboundClient(resolver=Nowhere([], 0)) as outbound:
        met = await trouble_of(asking(outbound), target(oauth2()))
    assert not met.may_have_arrived and "was not found" in met.message


@pytest.mark.parametrize("expired", [True, False])
async def test_a_certificate_that_has_expired_or_is_not_trusted_gets_nothing(expired: bool) -> None:
    server, trusting = loopback_tls(expired=expired)
    async with await QuickProvider.start(tls=server) as provider:
        tls = trusting if expired else None
        async with OutboundClient(allow_private_networks=True, tls=tls) as outbound:
            met = await trouble_of(asking(outbound), at_provider(provider))
        assert not met.may_have_arrived and "No trusted TLS connection" in met.message
        assert provider.traffic.refreshes == 0


async def test_a_connection_that_the_tls_never_completes_gets_nothing() -> None:
    async def silent(writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with listening(silent) as port:
        resolver = FixedResolver([["127.0.0.1"]], port)
        async with OutboundClient(allow_private_networks=True, resolver=resolver) as outbound:
            met = await trouble_of(asking(outbound), target(oauth2()), seconds=0.3)
    assert not met.may_have_arrived


async def test_an_address_that_our_own_rules_forbid_is_trouble_for_a_refresh_and_a_refusal_for_a_person() -> None:
    async with OutboundClient(resolver=FixedResolver([["10.0.0.1"]], 443)) as outbound:
        client = asking(outbound)
        met = await trouble_of(client, target(oauth2()))
        with pytest.raises(ProviderRefused, match="not public") as refused:
            await client.exchange(target(oauth2()), code="c", redirect_uri="https://x.example", verifier="v", seconds=5)
    assert not met.may_have_arrived and "not public" in met.message
    assert refused.value.code == "refused"


async def test_a_host_that_the_app_does_not_declare_is_not_asked(tmp_path: Path) -> None:
    async with stand_in_for([HOST, "evil.example"], tmp_path) as vendor, vendor.client() as outbound:
        met = await trouble_of(asking(outbound), target(oauth2(token_url="https://evil.example/token")))
    assert not met.may_have_arrived and vendor.seen == []


async def test_a_secret_that_no_header_can_carry_is_not_sent(tmp_path: Path) -> None:
    async with stand_in_for([HOST], tmp_path) as vendor, vendor.client() as outbound:
        met = await trouble_of(asking(outbound), target(oauth2(token_headers={"X-Note": "{note}"}), note="a\r\nb: c"))
    assert not met.may_have_arrived and "x-note" in met.message and vendor.seen == []
