"""Which browser it is, and whether a form is our own: the secret that a browser keeps, and what it says of where it was."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode

from aiohttp import web

from domain.connections.linking import origin_of
from domain.errors import Forbidden

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_OWN_SITE = (None, "same-origin", "none")


class ForeignForm(Forbidden):
    """This form was not sent from our own page; open the link again, and allow cookies for this site."""

    code = "foreign_form"


class Browser:
    """The browser behind a request. Its secret is 256 random bits in a cookie that no script and no other site can read."""

    def __init__(self, request: web.Request, public_url: str) -> None:
        self._request = request
        self._origin = origin_of(public_url)
        self._is_secure = public_url.startswith("https:")
        self._name = "__Host-causeway" if self._is_secure else "causeway"
        kept = request.cookies.get(self._name, "")
        self.secret = kept if _SECRET.fullmatch(kept) else ""

    def remember(self) -> None:
        """Gives a browser that has no secret yet its own."""
        self.secret = self.secret or secrets.token_urlsafe(32)

    def tell(self, response: web.Response) -> None:
        """Has the browser keep its secret until it is closed."""
        response.set_cookie(
            self._name, self.secret, path="/", httponly=True, samesite="Lax", secure=self._is_secure or None
        )

    def proof(self, link: str) -> str:
        """What a page of ours puts into its form: only with the cookie can it be told."""
        return urlsafe_b64encode(hmac.digest(self.secret.encode(), link.encode(), hashlib.sha256)).decode()

    def check_form(self) -> None:
        """ForeignForm when the browser says that another site sent this. Our pages' own forms have a null origin, because they send no
        referrer (Fetch, 3.2); where nothing is said at all, nothing is proved.
        """
        site, origin = (self._request.headers.get(name) for name in ("Sec-Fetch-Site", "Origin"))
        if site not in _OWN_SITE or origin not in (None, "null", self._origin):
            raise ForeignForm

    def check_proof(self, link: str, given: str) -> None:
        """ForeignForm unless this browser was shown the page of this very link."""
        if not self.secret or not hmac.compare_digest(given.encode(), self.proof(link).encode()):
            raise ForeignForm
