"""What connects an app without consent at a provider: the fields, proved if asked, or the token that they buy."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import msgspec

from domain.apps.app import KeyScheme, OAuth1Scheme, OAuth2Scheme
from domain.apps.connection_fields import check_fields
from domain.apps.proving import CredentialProver, Rejected, Unreachable
from domain.connections.authorising import Account, Life, Whose, connect_app, link
from domain.connections.connection import CredentialRejected
from domain.connections.oauth import OAuthClient, Obtained, ProviderRefused, ProviderTrouble, Target
from domain.connections.owners import Found, Owner, Owners
from domain.connections.secret import Secret
from domain.connections.targets import Targets
from domain.errors import UpstreamFailed
from domain.events import Event, Sealed
from domain.ports import PERSONAL, SealedCredential

PROVIDER_SECONDS = 20.0
"""How long whoever connects waits for the provider at most."""

_ACCOUNT = "account"


class CannotProve(UpstreamFailed):
    """The application could not be asked whether these credentials work."""

    code = "cannot_prove"


class Gain(msgspec.Struct, frozen=True):
    """What connecting brought: the provider's answer, or None where the fields themselves are the credential."""

    target: Target
    obtained: Obtained | None = None


class Obtaining:
    def __init__(self, targets: Targets, oauth: OAuthClient, prover: CredentialProver) -> None:
        self._targets = targets
        self._oauth = oauth
        self._prover = prover

    async def gain(self, project_id: UUID, app_key: str, fields: Mapping[str, object], *, prove: bool) -> Gain:
        """``prove`` asks an app that takes a key; where a token is bought the app is always asked.

        IntegrationNotFound, ClientMissing, InvalidFields, CredentialRejected, CannotProve.
        """
        _, integration = await self._targets.integration(project_id, app_key)
        app, scheme = self._targets.scheme(integration)
        checked = check_fields(scheme, fields)
        target = await self._targets.target(project_id, app_key, integration.auth_type, checked)
        if not isinstance(scheme, KeyScheme):
            return Gain(target, await self._obtained(target, self._targets.scopes(integration)))
        if prove:
            proof = await self._prover.prove(app, scheme, checked)
            if isinstance(proof, Rejected):
                raise CredentialRejected(proof.message)
            if isinstance(proof, Unreachable):
                raise CannotProve(proof.message)
        return Gain(target)

    async def _obtained(self, target: Target, scopes: tuple[str, ...]) -> Obtained:
        try:
            return await self._oauth.obtain(target, scopes=scopes, seconds=PROVIDER_SECONDS)
        except ProviderRefused as refused:
            raise CredentialRejected(refused.message) from None
        except ProviderTrouble as trouble:
            raise CannotProve(trouble.message) from None


async def authorise(
    owners: Owners, project_id: UUID, found: Found, whose: Whose, gain: Gain, *, keeps_account: bool = False
) -> tuple[tuple[Event, ...], SealedCredential]:
    """What happens to the connection, and the secret to keep with it. ConnectionAlreadyExists, DifferentAccount."""
    secret = Secret(fields=dict(gain.target.fields))
    if gain.obtained is not None:
        secret = secret.renewed(gain.obtained, whose.now)
    credential = await owners.sealed(project_id, found, secret)
    if gain.obtained is None:
        return connect_app(found.state, whose, credential.version), credential
    life = Life(
        scopes=secret.scopes or (),
        obtained_at=whose.now,
        expires_at=secret.expires_at,
        renewable=_is_renewable(gain.target, secret),
    )
    account = _account(found.owner, gain.obtained)
    events = link(found.state, whose, life, account, credential.version, keeps_account=keeps_account)
    return events, credential


def _is_renewable(target: Target, secret: Secret) -> bool:
    """With a refresh token; client credentials and two-step tokens are bought again with what is known already."""
    is_code = isinstance(target.scheme, OAuth2Scheme) and target.scheme.grant == "authorization_code"
    return secret.refresh_token is not None or not (is_code or isinstance(target.scheme, OAuth1Scheme))


def _account(owner: Owner, obtained: Obtained) -> Account:
    if obtained.identity is None:
        return Account()
    digest = owner.key.digest(_ACCOUNT, obtained.identity.account_id.encode())
    name = obtained.identity.name
    return Account(digest, Sealed(owner.subject_id, owner.key.seal(PERSONAL, name.encode())) if name else None)
