"""The connect page: a person confirms, fills in what the app asks for, and comes back from the provider."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from adapters.http.connect.browser import Browser, ForeignForm
from adapters.http.connect.forms import read_form, views
from adapters.http.connect.problems import words
from adapters.http.connect.rendering import page, sent_on
from adapters.http.connect.results import going_back, result
from adapters.http.problems import BadRequest, BodyTooLarge, status_of
from adapters.http.routes import TENANT, Call, Route
from adapters.http.services import Services
from domain.apps.app import OAuth1Scheme, OAuth2Scheme, asks_for_consent
from domain.apps.connection_fields import InvalidFields
from domain.connections.authorization import ProviderSaidNo, Return
from domain.connections.connect_link import LinkNotFound, LinkUsedUp, StateInvalid
from domain.connections.connection import CredentialRejected
from domain.connections.linking import Page, parse_link
from domain.connections.obtaining import CannotProve
from domain.connections.targets import ClientMissing
from domain.errors import NotFound, Refusal
from domain.ids import INSTALLATION, parse_id
from domain.projects.integration import IntegrationNotFound, callback_path


class CallbackQuery(msgspec.Struct):
    """What providers send people back with (RFC 6749, 4.1.2; RFC 9207; RFC 5849, 2.2); anything else is not looked at."""

    state: str = ""
    code: str = ""
    error: str = ""
    iss: str = ""
    oauth_token: str = ""
    oauth_verifier: str = ""


async def show(services: Services, call: Call) -> web.Response:
    link, found = await _page(services, call)
    return _asking(services, call, link, found)


async def send(services: Services, call: Call) -> web.Response:
    """The person agreed: off to the provider; or filled everything in: connected."""
    link, found = await _page(services, call)
    browser = Browser(call.request, services.public_url)
    browser.check_form()
    form = await read_form(call.request)
    try:
        if asks_for_consent(found.scheme):
            browser.check_proof(link, form.proof)
            address = await services.authorizations.begin(link, form.fields, browser.secret)
            return sent_on(address, found.app.name, has_opener=found.issued.origin is not None)
        await services.authorizations.submit(link, form.fields)
    except (InvalidFields, ProviderSaidNo, CredentialRejected, CannotProve) as refusal:
        return _asking(services, call, link, found, form.fields, refusal)
    return result(found.issued, found.app.name, frames=_frames(found))


async def come_back(services: Services, call: Call) -> web.Response:
    """To a project's own OAuth client."""
    project_id = parse_id(call.segment("project"))
    if project_id is None:
        raise StateInvalid
    return await _finish(services, call, callback_path(project_id, of_installation=False))


async def come_back_to_installation(services: Services, call: Call) -> web.Response:
    return await _finish(services, call, callback_path(INSTALLATION, of_installation=True))


async def _finish(services: Services, call: Call, callback: str) -> web.Response:
    query: CallbackQuery = call.query()
    browser = Browser(call.request, services.public_url)
    answer = Return(**msgspec.structs.asdict(query))
    outcome = await services.authorizations.finish(answer, browser.secret, callback)
    call.request[TENANT] = str(parse_link(outcome.link).tenant_id)
    issued = outcome.issued
    is_alive = services.clock() < issued.expires_at and not isinstance(outcome.refusal, NotFound)
    again = f"{services.public_url}/connect/{outcome.link}" if is_alive else ""
    return result(issued, services.catalogue.app(issued.app_key).name, outcome.refusal, again=again)


async def _page(services: Services, call: Call) -> tuple[str, Page]:
    link = call.segment("token")
    found = await services.linking.page(link)
    call.request[TENANT] = str(parse_link(link).tenant_id)
    return link, found


def _asking(
    services: Services,
    call: Call,
    link: str,
    found: Page,
    given: Mapping[str, str] | None = None,
    refusal: Refusal | None = None,
) -> web.Response:
    """The page that asks; with a refusal, what is wrong beside what was filled in."""
    complaints = refusal.complaints if isinstance(refusal, InvalidFields) else {}
    browser = Browser(call.request, services.public_url)
    consents = asks_for_consent(found.scheme)
    if consents:
        browser.remember()
    issued = found.issued
    told = {"status": "failed", "app_key": issued.app_key, "error": "access_denied"}
    values = {
        "project": found.project.name,
        "app": found.app.name,
        "scopes": found.scopes if consents else (),
        "keeps_account": issued.keeps_account,
        "notice": words(refusal) if refusal and not complaints else "",
        "complained": bool(complaints),
        "proof": browser.proof(link) if consents else "",
        "fields": views(found.scheme, given or {}, complaints),
        "goes_to": _destination(found) if consents else "",
        "cancel": going_back(issued.return_url, told) if issued.return_url else "",
    }
    response = page(
        "ask.html",
        values,
        status=status_of(refusal) if refusal else 200,
        frames=_frames(found),
        has_opener=issued.origin is not None,
    )
    if consents:
        browser.tell(response)
    return response


def _frames(found: Page) -> tuple[str, ...]:
    """Forms may be shown inside the project's own pages; consent needs a window of its own."""
    return () if asks_for_consent(found.scheme) else found.project.allowed_origins


def _destination(found: Page) -> str:
    """The host at which the person will be asked, where the manifest names it; else the app."""
    scheme = found.scheme
    address = scheme.authorize_url if isinstance(scheme, OAuth2Scheme | OAuth1Scheme) else None
    host = urlsplit(address or "").netloc
    return host if host and "{" not in host else found.app.name


_COMMON = (LinkNotFound, LinkUsedUp, IntegrationNotFound)
_CALLBACK = (BadRequest, StateInvalid)
ROUTES = [
    Route(
        method="GET",
        path="/connect/{token}",
        handler=show,
        summary="The page behind a connect link",
        refusals=_COMMON,
        needs_token=False,
    ),
    Route(
        method="POST",
        path="/connect/{token}",
        handler=send,
        summary="The page's form: goes on to the provider, or connects",
        refusals=(*_COMMON, BadRequest, BodyTooLarge, ForeignForm, ClientMissing),
        needs_token=False,
    ),
    Route(
        method="GET",
        path="/platform/installation/oauth",
        handler=come_back_to_installation,
        summary="Where providers send people back to, for the installation's own OAuth clients",
        query=CallbackQuery,
        refusals=_CALLBACK,
        needs_token=False,
    ),
    Route(
        method="GET",
        path="/platform/{project}/oauth",
        handler=come_back,
        summary="Where providers send people back to, for a project's own OAuth clients",
        query=CallbackQuery,
        refusals=_CALLBACK,
        needs_token=False,
    ),
]
