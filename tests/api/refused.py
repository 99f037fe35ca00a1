"""Sends wrong requests and gathers what is wrong with the answers."""

from __future__ import annotations

from tests.api.every_route import Target, complaint
from tests.api.raw_http import RawAnswer, request_bytes, send_raw
from tests.api_client import Api


class Refused:
    """``complaints`` stays empty while every answer is the expected refusal in its dialect's own shape. 400 stands for the status
    with which the dialect refuses what it cannot read.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self.complaints: list[str] = []

    async def send(
        self, target: Target, expected: int | tuple[int, ...], path: str, body: bytes = b"", *headers: str
    ) -> RawAnswer:
        request = request_bytes(target.method, path, target.token, body, *headers)
        answer = await send_raw(self._api.client, request)
        given = (expected,) if isinstance(expected, int) else expected
        wanted = [target.unreadable if one == 400 else one for one in given]
        wrong = complaint(target.dialect, answer.status, answer.header("Content-Type") or "", answer.body)
        if answer.status not in wanted:
            wrong = f"answered {answer.status} instead of {wanted}: {answer.body[:200]!r}"
        if wrong:
            self.complaints.append(f"{target} {wrong} for {path[:120]} {body[:80]!r} {headers}")
        return answer
