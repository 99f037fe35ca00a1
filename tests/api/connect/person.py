"""A person with a browser of their own, who follows a connect link, and the provider's side of it."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from typing import Any, Self

import msgspec
from aiohttp import ClientSession, CookieJar
from yarl import URL

from scripts.providers.provider import Provider
from tests.api.staging import PUBLIC_URL
from tests.api_client import Api

SAME_SITE = {"Sec-Fetch-Site": "same-origin", "Origin": "null"}
"""What a browser says when a page of ours sends its own form: its policy is no-referrer."""


class Shown(msgspec.Struct):
    """A page as the browser got it."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def policy(self) -> dict[str, str]:
        parts = self.headers["Content-Security-Policy"].split("; ")
        return {name: value for name, _, value in (part.partition(" ") for part in parts)}

    @property
    def goes_on_to(self) -> str:
        """Where the page sends the browser at once; "" when it stays."""
        found = re.search(r'<meta http-equiv="refresh" content="0;url=([^"]*)">', self.text)
        return html.unescape(found[1]) if found else ""

    @property
    def told(self) -> dict[str, str]:
        """What the page posts to the window that opened it."""
        return dict(msgspec.json.decode(_attributes(self.text, "main")["data-message"]))

    @property
    def told_to(self) -> str:
        return _attributes(self.text, "main")["data-origin"]

    @property
    def words(self) -> str:
        """What can be read on it."""
        reader = _Reader()
        reader.feed(self.text)
        return " ".join(" ".join(reader.said).split())

    def hidden(self, name: str) -> str:
        found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)">', self.text)
        return html.unescape(found[1]) if found else ""

    def entry(self, name: str) -> dict[str, str]:
        """The attributes of the element in which that field is filled in."""
        found = re.search(rf'<(?:input|select|textarea) [^>]*name="field-{name}"[^>]*>', self.text)
        assert found, name
        return _attributes(found[0], "")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in ("style", "script", "title")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("style", "script", "title")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.said.append(data)


def _attributes(text: str, tag: str) -> dict[str, str]:
    found = re.search(rf"<{tag or '[a-z]+'}\b([^>]*)>", text)
    assert found
    return {name: html.unescape(value) for name, value in re.findall(r'([a-z-]+)(?:="([^"]*)")?', found[1])}


class Person:
    """Cookies last from page to page. Addresses are the public ones; the API answers them wherever it listens."""

    def __init__(self, api: Api) -> None:
        self._base = api.client.make_url("/")
        self._session = ClientSession(cookie_jar=CookieJar(unsafe=True))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *ended: object) -> None:
        await self._session.close()

    @property
    def cookies(self) -> dict[str, Any]:
        return {cookie.key: cookie for cookie in self._session.cookie_jar}

    def forget(self) -> None:
        """As another browser."""
        self._session.cookie_jar.clear()

    async def get(self, address: str, headers: dict[str, str] | None = None) -> Shown:
        return await self._ask("GET", address, headers=headers or {})

    async def post(self, address: str, form: dict[str, str], headers: dict[str, str] | None = None) -> Shown:
        return await self._ask("POST", address, headers=SAME_SITE if headers is None else headers, data=form)

    async def fill_in(self, link: str, **fields: str) -> Shown:
        """Opens the page, fills its fields in and sends it."""
        shown = await self.get(link)
        form = {f"field-{name}": value for name, value in fields.items()}
        if proof := shown.hidden("proof"):
            form["proof"] = proof
        return await self.post(link, form)

    async def agree_at(self, provider: Provider, link: str, user: str = "ada", **fields: str) -> str:
        """Confirms the page and consents at the provider; the address to which the provider sends the browser back."""
        sent = await self.fill_in(link, **fields)
        assert sent.status == 200, sent.words
        return await provider.consent(sent.goes_on_to, user)

    async def connect(self, provider: Provider, link: str, user: str = "ada", **fields: str) -> Shown:
        """The whole dance."""
        return await self.get(await self.agree_at(provider, link, user, **fields))

    async def _ask(self, method: str, address: str, **request: Any) -> Shown:
        assert address.startswith(PUBLIC_URL), address
        target = URL(str(self._base.origin()) + address.removeprefix(PUBLIC_URL), encoded=True)
        async with self._session.request(method, target, allow_redirects=False, **request) as answer:
            return Shown(answer.status, dict(answer.headers), await answer.text())
