"""Pages for people: one document each, nothing from elsewhere, and headers that let nothing else happen in it."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_FOLDER = Path(__file__).parent / "templates"
_ORIGIN = re.compile(r"https?://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:\d+)?")


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["initial"] = lambda text: (text.strip() or "?")[0].upper()
    environment.filters["breakable"] = _breakable
    return environment


def _breakable(text: str) -> Markup:
    """A long name that may go on in the next line where a part of it ends."""
    return Markup("<wbr>").join(re.findall(r"[^/.:_]*[/.:_]*", text))


_TEMPLATES = _environment()


class _Inline:
    """A style or script that stands in the document, and what allows exactly it (CSP 3, 6.7.3.2)."""

    def __init__(self, name: str) -> None:
        text = (_FOLDER / name).read_text("utf-8")
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        self.text, self.source = Markup(text), f"'sha256-{digest}'"  # noqa: S704 - our own file


_STYLE, _FORM, _RESULT = _Inline("page.css"), _Inline("form.js"), _Inline("result.js")
_SCRIPTS = {"ask.html": _FORM, "result.html": _RESULT}


def page(
    template: str,
    values: dict[str, Any],
    *,
    status: int = 200,
    frames: tuple[str, ...] = (),
    has_opener: bool = False,
) -> web.Response:
    """The page. ``frames``: the origins that may show it inside their own pages; ``has_opener``: the window that opened it may be
    spoken to.
    """
    script = _SCRIPTS.get(template)
    text = _TEMPLATES.get_template(template).render(**values, style=_STYLE.text, script=script.text if script else None)
    response = web.Response(text=text, status=status, content_type="text/html")
    ancestors = " ".join(origin for origin in frames if _ORIGIN.fullmatch(origin))
    policy = {
        "default-src": "'none'",
        "style-src": _STYLE.source,
        "script-src": script.source if script else "'none'",
        "form-action": "'self'" if template == "ask.html" else "'none'",
        "frame-ancestors": ancestors or "'none'",
        "base-uri": "'none'",
    }
    response.headers["Content-Security-Policy"] = "; ".join(f"{name} {value}" for name, value in policy.items())
    if not ancestors:
        response.headers["X-Frame-Options"] = "DENY"
    response.headers["Cross-Origin-Opener-Policy"] = "unsafe-none" if has_opener else "same-origin"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Robots-Tag"] = "noindex"
    response.headers["Cache-Control"] = "no-store"
    return response


def sent_on(address: str, to: str, *, frames: tuple[str, ...] = (), has_opener: bool = False) -> web.Response:
    """A page that goes on to an address at once. Not a redirect: browsers hold the whole chain of redirects after a form against
    that form's own form-action, ours as well as the provider's, and nobody can list where a provider passes people on to.
    """
    return page("sending.html", {"address": address, "to": to}, frames=frames, has_opener=has_opener)
