"""What the quick provider can besides: time that moves as told, grants without a dance, and answers that deviate."""

import aiohttp
import pytest
from yarl import URL

from scripts.providers.certificate import loopback_tls
from scripts.providers.quick import QuickProvider
from tests.providers.conftest import Begin, dance_with


async def test_a_token_expires_when_the_given_clock_says_so(begin: Begin) -> None:
    time = [1_000.0]
    quick = await begin(QuickProvider, access_seconds=60, now=lambda: time[0])
    assert isinstance(quick, QuickProvider)
    token = quick.tokens_for("alice")["access_token"]

    time[0] += 59.9
    assert await quick.whose(token) == "alice"
    time[0] += 0.1
    assert await quick.whose(token) is None


async def test_a_grant_without_a_dance_refreshes_like_any_other(quick: QuickProvider) -> None:
    tokens = quick.tokens_for("alice")

    refreshed = await dance_with(quick).refresh(tokens["refresh_token"])

    assert await quick.whose(refreshed.body["access_token"]) == "alice"
    assert quick.traffic.refreshes_of_grant(tokens["refresh_token"]) == 1


async def test_a_token_can_be_expired_at_once(quick: QuickProvider) -> None:
    token = quick.tokens_for("alice")["access_token"]

    quick.ledger.expire(token)

    assert await quick.whose(token) is None


async def test_the_token_answer_can_deviate(begin: Begin) -> None:
    quick = await begin(QuickProvider, shape=lambda answer: {"ok": True, "authed_user": answer})
    assert isinstance(quick, QuickProvider)

    answer = await dance_with(quick).link("alice")

    assert await quick.whose(answer["authed_user"]["access_token"]) == "alice"


@pytest.mark.parametrize("sends", [True, False])
async def test_the_issuer_is_named_unless_it_is_left_out(begin: Begin, sends: bool) -> None:
    quick = await begin(QuickProvider, sends_issuer=sends)
    assert isinstance(quick, QuickProvider)

    back = URL(await quick.consent(dance_with(quick).authorize_url(), "alice"))

    assert back.query.get("iss") == (quick.url if sends else None)


@pytest.mark.parametrize(
    ("taken", "basic", "body"), [("any", 200, 200), ("basic", 200, 401), ("body", 401, 200)], ids=str
)
async def test_client_authentication_is_taken_where_it_is_wanted(
    begin: Begin, taken: str, basic: int, body: int
) -> None:
    quick = await begin(QuickProvider, client_auth=taken)
    assert isinstance(quick, QuickProvider)
    form = {"grant_type": "client_credentials", "client_id": quick.client_id, "client_secret": quick.client_secret}

    async with aiohttp.ClientSession() as session, session.post(quick.token_url, data=form) as answer:
        assert answer.status == body
    assert (await dance_with(quick).ask(grant_type="client_credentials")).status == basic


async def test_its_certificate_can_have_expired(begin: Begin) -> None:
    for expired in (False, True):
        server, trusting = loopback_tls(expired=expired)
        quick = await begin(QuickProvider, tls=server)
        assert isinstance(quick, QuickProvider)

        async with aiohttp.ClientSession() as session:
            if expired:
                with pytest.raises(aiohttp.ClientConnectorCertificateError, match="expired"):
                    await session.get(quick.userinfo_url, ssl=trusting)
            else:
                async with session.get(quick.userinfo_url, ssl=trusting) as answer:
                    assert answer.status == 401
