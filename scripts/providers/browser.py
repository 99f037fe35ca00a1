"""A browser without a screen: follows redirects, keeps cookies, and fills in the forms for login and consent."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

_MOST_PAGES = 20
_TYPED = ("text", "email", "password")


class Stuck(Exception):
    """The provider showed an error, or a page that nobody can go on from; the message is what it showed."""


@dataclass
class Form:
    """A form as the page has it; `buttons` are the names and values of what submits it."""

    action: str
    method: str
    given: dict[str, str] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)

    def filled(self, user: str, allow: bool) -> dict[str, str]:
        """Text fields get the user's name, and the form is sent with the button that is named `allow`, or with another."""
        content = self.given | {
            name: "open sesame" if kind == "password" else user for name, kind in self.asked.items()
        }
        if len(self.buttons) > 1:
            pressed = next(button for button in self.buttons if (button[0] == "allow") == allow)
        else:
            pressed = self.buttons[0] if self.buttons else ("", "")
        return content | ({pressed[0]: pressed[1]} if pressed[0] else {})


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(given.get("action", ""), given.get("method", "get").upper()))
            self._inside = True
        elif self._inside and tag == "button":
            self.found[-1].buttons.append((given.get("name", ""), given.get("value", "")))
        elif self._inside and tag == "input":
            self._input(given)

    def _input(self, given: dict[str, str]) -> None:
        form, name, kind = self.found[-1], given.get("name", ""), given.get("type", "text")
        if kind == "submit":
            form.buttons.append((name, given.get("value", "")))
        elif kind == "hidden":
            form.given[name] = given.get("value", "")
        elif kind in _TYPED:
            form.asked[name] = kind

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False


class Browser:
    """One person's browser: its cookies last from one visit to the next."""

    def __init__(self) -> None:
        self.session = aiohttp.ClientSession(
            cookie_jar=aiohttp.CookieJar(unsafe=True), timeout=aiohttp.ClientTimeout(total=30)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()

    async def visit(self, url: str, user: str, *, allow: bool = True) -> str:
        """Goes through login and consent; returns where the provider sends the browser when it is done with it.

        That is the first redirect away from the origin of `url`; it is not requested. Raises Stuck.
        """
        target, method, content = URL(url, encoded=True), "GET", None
        origin = target.origin()
        for _ in range(_MOST_PAGES):
            async with self.session.request(method, target, data=content, allow_redirects=False) as answer:
                text = await answer.text()
                location = answer.headers.get("Location")
            if location is not None and 300 <= answer.status < 400:
                target, method, content = target.join(URL(location, encoded=True)), "GET", None
                if target.origin() != origin:
                    return location
                continue
            if answer.status >= 400:
                raise Stuck(f"{answer.status} at {target.path}: {text[:500]}")
            form = _first_form(text)
            if form is None:
                raise Stuck(f"nothing to do at {target.path}: {text[:500]}")
            target, method = target.join(URL(form.action, encoded=True)), form.method
            content = form.filled(user, allow)
        raise Stuck(f"no end after {_MOST_PAGES} pages, at {target.path}")


def _first_form(text: str) -> Form | None:
    parser = _Forms()
    parser.feed(text)
    return parser.found[0] if parser.found else None
