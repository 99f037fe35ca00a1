"""The port to providers, spoken in each scheme's own way."""

from __future__ import annotations

from adapters.connectors.outbound import OutboundClient
from adapters.oauth import oauth1, oauth2, revocation, two_step
from adapters.oauth.calls import Call, Templates
from adapters.oauth.errand import Errand, Purpose, told
from adapters.oauth.identity import identified
from adapters.oauth.tokens import obtained
from domain.apps.app import OAuth1Scheme, OAuth2Scheme, TwoStepScheme
from domain.connections.oauth import Obtained, ProviderRefused, RequestToken, Target
from domain.ports import Clock


class ProviderClient:
    """The OAuthClient that really asks. Each call to a provider is sent once: whether to try again is not decided here."""

    def __init__(self, outbound: OutboundClient, clock: Clock) -> None:
        self._outbound = outbound
        self._clock = clock

    def authorize_url(
        self, target: Target, *, redirect_uri: str, state: str, verifier: str, scopes: tuple[str, ...]
    ) -> str:
        scheme = _oauth2(target)
        with told(target.app, Purpose.LINKING):
            return oauth2.authorize_url(
                target, scheme, redirect_uri=redirect_uri, state=state, verifier=verifier, scopes=scopes
            )

    def authorize_url_for(self, target: Target, request_token: RequestToken) -> str:
        with told(target.app, Purpose.LINKING):
            return oauth1.authorize_url(target, _oauth1(target), request_token)

    def check_issuer(self, target: Target, issuer: str) -> None:
        if isinstance(target.scheme, OAuth2Scheme):  # the others' answers have no such word
            with told(target.app, Purpose.LINKING):
                oauth2.check_issuer(target, target.scheme, issuer)

    async def request_token(self, target: Target, *, callback: str, seconds: float) -> RequestToken:
        return await oauth1.request_token(self._linking(target, seconds), _oauth1(target), callback)

    async def exchange(
        self, target: Target, *, code: str, redirect_uri: str, verifier: str, seconds: float
    ) -> Obtained:
        errand, scheme = self._linking(target, seconds), _oauth2(target)
        answer = await oauth2.exchange(errand, scheme, code=code, redirect_uri=redirect_uri, verifier=verifier)
        found = obtained(errand, scheme, answer)

        def placed(call: Call, templates: Templates) -> Call:
            return templates.placed(call, scheme.place)

        return await identified(errand, scheme.userinfo, answer, found, placed)

    async def exchange_verifier(
        self, target: Target, request_token: RequestToken, *, verifier: str, seconds: float
    ) -> Obtained:
        errand, scheme = self._linking(target, seconds), _oauth1(target)
        answer, found = await oauth1.access_token(errand, scheme, request_token, verifier)
        token = RequestToken(found.access_token, found.token_secret or "")

        def signed(call: Call, templates: Templates) -> Call:
            return oauth1.signed(errand, scheme, call, token=token)

        return await identified(errand, scheme.userinfo, answer, found, signed)

    async def obtain(self, target: Target, *, scopes: tuple[str, ...], seconds: float) -> Obtained:
        return await self._obtain(self._linking(target, seconds), scopes)

    async def refresh(
        self, target: Target, *, refresh_token: str | None, scopes: tuple[str, ...], seconds: float
    ) -> Obtained:
        errand, scheme = Errand(self._outbound, self._clock, target, Purpose.RENEWING, seconds), target.scheme
        if not isinstance(scheme, OAuth2Scheme) or scheme.grant == "client_credentials":
            return await self._obtain(errand, scopes)
        if refresh_token is None:
            raise ProviderRefused("refused", f"{target.app.name} gave nothing to renew the token with; connect again.")
        return obtained(errand, scheme, await oauth2.refresh(errand, scheme, refresh_token))

    async def revoke(self, target: Target, *, access_token: str, refresh_token: str | None, seconds: float) -> bool:
        if not isinstance(target.scheme, OAuth2Scheme):
            return False
        errand = Errand(self._outbound, self._clock, target, Purpose.REVOKING, seconds)
        return await revocation.revoke(errand, target.scheme, access_token=access_token, refresh_token=refresh_token)

    async def _obtain(self, errand: Errand, scopes: tuple[str, ...]) -> Obtained:
        scheme = errand.target.scheme
        if isinstance(scheme, TwoStepScheme):
            return await two_step.obtain(errand, scheme)
        if isinstance(scheme, OAuth2Scheme) and scheme.grant == "client_credentials":
            return obtained(errand, scheme, await oauth2.client_credentials(errand, scheme, scopes))
        raise _another_way(errand.target)

    def _linking(self, target: Target, seconds: float) -> Errand:
        return Errand(self._outbound, self._clock, target, Purpose.LINKING, seconds)


def _oauth2(target: Target) -> OAuth2Scheme:
    if isinstance(target.scheme, OAuth2Scheme):
        return target.scheme
    raise _another_way(target)


def _oauth1(target: Target) -> OAuth1Scheme:
    if isinstance(target.scheme, OAuth1Scheme):
        return target.scheme
    raise _another_way(target)


def _another_way(target: Target) -> ProviderRefused:
    return ProviderRefused("refused", f"{target.app.name} is connected in another way than this.")
