"""What is no HTTP gets a fixed sentence: nothing that was sent comes back, least of all a token."""

from __future__ import annotations

import pytest

from tests.api.raw_http import send_raw
from tests.api_client import Api


@pytest.mark.parametrize(
    "broken",
    [
        "GET /api/v1/ipaas/apps/github/credential-info HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer {token}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\x01\r\n\r\n",
        "GET /{token} HTTP/9\r\nHost: x\r\n\r\n",
        "{token}\r\n\r\n",
    ],
)
async def test_a_token_in_a_broken_request_is_not_repeated(api: Api, broken: str) -> None:
    token = api.plan.project_token
    answer = await send_raw(api.client, broken.format(token=token).encode("latin-1"))
    assert answer.status == 400
    assert token.encode() not in answer.body
    assert token not in answer.head


async def test_a_coding_that_is_not_spoken_is_refused_without_a_fault(api: Api) -> None:
    answer = await api.call(
        "POST",
        "/api/v1/ipaas/users/x/connections/import",
        token=api.plan.project_token,
        raw=b"zz",
        headers={"Content-Encoding": "br"},
    )
    assert answer.status == 400
    assert "rotli" not in answer.text
