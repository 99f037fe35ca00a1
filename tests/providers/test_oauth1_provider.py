"""The OAuth 1.0a provider by itself: the three-legged dance with every signature method, and what it refuses."""

from urllib.parse import parse_qs

import aiohttp
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from yarl import URL

from scripts.providers import faults
from scripts.providers.browser import Stuck
from scripts.providers.oauth1 import OAuth1Provider
from tests.providers.dance import CALLBACK
from tests.providers.signing import METHODS, Signer

pytestmark = pytest.mark.real

Token = tuple[str, str]


def signer(provider: OAuth1Provider) -> Signer:
    return Signer(provider.client_id, provider.client_secret, provider.rsa_private_key)


async def send(http_method: str, url: str, header: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(http_method, url, headers={"Authorization": header}) as answer,
    ):
        return answer.status, await answer.text()


async def asked(url: str, header: str) -> Token:
    """The token and its secret out of a form-encoded answer."""
    status, text = await send("POST", url, header)
    assert status == 200, text
    fields = parse_qs(text)
    return fields["oauth_token"][0], fields["oauth_token_secret"][0]


async def temporary(provider: OAuth1Provider, method: str = "HMAC-SHA1") -> Token:
    url = provider.request_token_url
    return await asked(url, signer(provider).header(method, "POST", url, protocol={"oauth_callback": CALLBACK}))


async def verified(provider: OAuth1Provider, credential: Token, user: str = "alice") -> str:
    """The verifier that comes back when the user agrees."""
    back = URL(await provider.consent(f"{provider.authorize_url}?oauth_token={credential[0]}", user))
    assert str(back.with_query(None)) == CALLBACK
    assert back.query["oauth_token"] == credential[0]
    return back.query["oauth_verifier"]


async def linked(provider: OAuth1Provider, method: str = "HMAC-SHA1", user: str = "alice") -> Token:
    credential = await temporary(provider, method)
    verifier = await verified(provider, credential, user)
    header = signer(provider).header(method, "POST", provider.token_url, credential, {"oauth_verifier": verifier})
    return await asked(provider.token_url, header)


@pytest.mark.parametrize("method", METHODS)
async def test_a_whole_dance_brings_a_token_whose_signed_requests_are_answered(
    oauth1: OAuth1Provider, method: str
) -> None:
    token = await linked(oauth1, method)
    url = f"{oauth1.userinfo_url}?b=2&a=%20one%2B"

    status, text = await send("GET", url, signer(oauth1).header(method, "GET", url, token))

    assert (status, text.strip()) == (200, '{"owner":"alice"}')
    assert await oauth1.whose(*token) == "alice"


@pytest.mark.parametrize("method", METHODS)
async def test_a_signature_with_other_secrets_is_refused(oauth1: OAuth1Provider, method: str) -> None:
    token = await linked(oauth1)
    other = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    impostor = Signer(oauth1.client_id, "guessed", other.decode())

    status, text = await send("GET", oauth1.userinfo_url, impostor.header(method, "GET", oauth1.userinfo_url, token))

    assert (status, "invalid_signature" in text) == (401, True)


@pytest.mark.parametrize("method", ["HMAC-SHA1", "RSA-SHA1"])
async def test_a_signature_covers_the_query(oauth1: OAuth1Provider, method: str) -> None:
    token = await linked(oauth1)
    header = signer(oauth1).header(method, "GET", f"{oauth1.userinfo_url}?amount=1", token)

    assert (await send("GET", f"{oauth1.userinfo_url}?amount=1000", header))[0] == 401


async def test_a_request_is_answered_once(oauth1: OAuth1Provider) -> None:
    header = signer(oauth1).header("HMAC-SHA1", "GET", oauth1.userinfo_url, await linked(oauth1))

    assert (await send("GET", oauth1.userinfo_url, header))[0] == 200
    status, text = await send("GET", oauth1.userinfo_url, header)

    assert (status, "invalid_nonce" in text) == (401, True)


async def test_an_old_timestamp_is_refused(oauth1: OAuth1Provider) -> None:
    token = await linked(oauth1)
    header = signer(oauth1).header("HMAC-SHA1", "GET", oauth1.userinfo_url, token, {"oauth_timestamp": "1000000000"})

    assert (await send("GET", oauth1.userinfo_url, header))[0] == 400


async def test_a_callback_that_is_not_registered_is_refused(oauth1: OAuth1Provider) -> None:
    url, elsewhere = oauth1.request_token_url, {"oauth_callback": "http://127.0.0.1:9/elsewhere"}

    status, text = await send("POST", url, signer(oauth1).header("HMAC-SHA1", "POST", url, protocol=elsewhere))

    assert (status, text) == (400, "error=callback_rejected")


async def test_a_user_who_says_no_is_sent_back_with_access_denied(oauth1: OAuth1Provider) -> None:
    credential = await temporary(oauth1)

    back = URL(await oauth1.deny(f"{oauth1.authorize_url}?oauth_token={credential[0]}", "alice"))

    assert back.query["error"] == "access_denied"
    assert "oauth_verifier" not in back.query


async def test_an_unknown_temporary_credential_shows_an_error_to_the_user(oauth1: OAuth1Provider) -> None:
    with pytest.raises(Stuck, match="invalid_token"):
        await oauth1.consent(f"{oauth1.authorize_url}?oauth_token=made-up", "alice")


async def test_a_wrong_verifier_uses_the_temporary_credential_up(oauth1: OAuth1Provider) -> None:
    credential = await temporary(oauth1)
    verifier = await verified(oauth1, credential)
    url = oauth1.token_url

    for wrong_then_right in ("guessed", verifier):
        protocol = {"oauth_verifier": wrong_then_right}
        status, _ = await send("POST", url, signer(oauth1).header("HMAC-SHA1", "POST", url, credential, protocol))
        assert status in (400, 401)


async def test_what_a_user_withdraws_is_dead_and_what_others_granted_lives(oauth1: OAuth1Provider) -> None:
    hers, his = await linked(oauth1, user="alice"), await linked(oauth1, user="bob")

    await oauth1.withdraw("alice")

    assert await oauth1.whose(*hers) is None
    assert await oauth1.whose(*his) == "bob"


async def test_trouble_can_be_put_before_the_token_answer(oauth1: OAuth1Provider) -> None:
    credential = await temporary(oauth1)
    verifier = await verified(oauth1, credential)
    oauth1.faults.plan(faults.html(503))

    header = signer(oauth1).header("HMAC-SHA1", "POST", oauth1.token_url, credential, {"oauth_verifier": verifier})

    assert (await send("POST", oauth1.token_url, header))[0] == 503
    assert await oauth1.whose(*await asked(oauth1.token_url, header)) == "alice"
