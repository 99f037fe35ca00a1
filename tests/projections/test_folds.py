"""Every read model's fold, as sentences."""

from __future__ import annotations

import types
import typing
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from domain.accounts.account import AccountRegistered, CompanyJoined, SessionOpened
from domain.companies.access import ApiKeyIssued, CompanyEntered
from domain.companies.company import CompanyFounded, ProjectListed, ProjectUnlisted
from domain.connections.events import AppConnected, ConnectionDeleted, TokenImported
from domain.end_users.end_user import EndUserAdded, EndUserErased
from domain.event_codec import UnknownEvent
from domain.events import Event, Sealed, event_classes, stream_type_of
from domain.facts import Fact
from domain.projects.integration import IntegrationAdded, IntegrationRemoved
from domain.projects.project import ProjectChanged, ProjectCreated, ProjectDeleted
from domain.projects.token import ProjectTokenIssued, ProjectTokenRevoked
from projections.accounts import ACCOUNTS, ACCOUNTS_TABLE, MEMBERSHIPS_TABLE, SESSIONS_TABLE
from projections.catalogue import ALL_PROJECTIONS
from projections.companies import ACCESS_TABLE, COMPANIES, COMPANIES_TABLE, LISTED_TABLE
from projections.connections import CONNECTIONS_TABLE
from projections.end_users import END_USERS, END_USERS_TABLE
from projections.integrations import INTEGRATIONS, INTEGRATIONS_TABLE
from projections.project_tokens import PROJECT_TOKENS, TOKENS_TABLE
from projections.projection import Projection
from projections.projects import PROJECTS, PROJECTS_TABLE
from tests.projections.given import TENANT, at, given, sealed, stream

ADA, BOB, GITHUB, OWN, COMPANY = map(stream, ("ada", "bob", "github", "own", "company"))
LATER = datetime(2027, 1, 1, tzinfo=UTC)
ADA_ADDED = (ADA, EndUserAdded(external_id=sealed(ADA, "ada")))
BOB_ADDED = (BOB, EndUserAdded(external_id=sealed(BOB, "bob")))
ADA_ERASED = (ADA, EndUserErased())
ADA_CONNECTED = (
    GITHUB,
    AppConnected(end_user_id=ADA, app_key="github", auth_type="api_key", credential_version=1),
)
OWN_CONNECTED = (
    OWN,
    AppConnected(end_user_id=None, app_key="github", auth_type="api_key", credential_version=1, name="mine"),
)
PROJECT = (TENANT, ProjectCreated(company_id=COMPANY, name="Shop", webhook_url="https://shop.example/hook"))
PROJECT_DELETED = (TENANT, ProjectDeleted())


def test_an_added_end_user_is_listed_by_the_id_of_the_application() -> None:
    given(END_USERS, ADA_ADDED).then(END_USERS_TABLE, {(ADA,): {"external_id": "ada", "added_at": at(1)}})


def test_an_end_user_who_was_forgotten_before_the_fold_never_shows() -> None:
    given(END_USERS, ADA_ADDED, BOB_ADDED, forgotten=frozenset({ADA})).then(END_USERS_TABLE, {(BOB,): {}})


def test_erasing_an_end_user_takes_the_connections_along_and_nobody_elses() -> None:
    story = given(END_USERS, ADA_ADDED, BOB_ADDED, ADA_CONNECTED, OWN_CONNECTED).when(ADA_ERASED)
    story.then(END_USERS_TABLE, {(BOB,): {}}).then(CONNECTIONS_TABLE, {(OWN,): {"end_user_id": None, "name": "mine"}})


def test_an_import_over_a_connection_keeps_when_it_was_made() -> None:
    imported = TokenImported(
        end_user_id=ADA,
        app_key="github",
        auth_type="oauth2",
        credential_version=2,
        scopes=("repo",),
        expires_at=LATER,
        renewable=True,
    )
    given(END_USERS, ADA_ADDED, ADA_CONNECTED).when((GITHUB, imported)).then(
        CONNECTIONS_TABLE,
        {
            (GITHUB,): {
                "auth_type": "oauth2",
                "scopes": '["repo"]',
                "expires_at": LATER,
                "renewable": True,
                "created_at": at(2),
                "updated_at": at(3),
            }
        },
    )


def test_a_deleted_connection_is_gone_and_its_end_user_stays() -> None:
    story = given(END_USERS, ADA_ADDED, ADA_CONNECTED).when((GITHUB, ConnectionDeleted()))
    story.then(CONNECTIONS_TABLE, {}).then(END_USERS_TABLE, {(ADA,): {}})


def test_a_deleted_project_has_no_end_users_connections_tokens_or_integrations() -> None:
    given(END_USERS, ADA_ADDED, ADA_CONNECTED, OWN_CONNECTED).when(PROJECT_DELETED).then(END_USERS_TABLE, {}).then(
        CONNECTIONS_TABLE, {}
    )
    token, added = ProjectTokenIssued(name="ci", digest=b"d"), IntegrationAdded(app_key="github", auth_type="api_key")
    given(PROJECT_TOKENS, (ADA, token)).when(PROJECT_DELETED).then(TOKENS_TABLE, {})
    given(INTEGRATIONS, (ADA, added)).when(PROJECT_DELETED).then(INTEGRATIONS_TABLE, {})
    given(PROJECTS, PROJECT).when(PROJECT_DELETED).then(PROJECTS_TABLE, {})


def test_a_changed_project_shows_its_new_settings_and_when_it_was_created() -> None:
    changed = ProjectChanged(
        name="Store", webhook_url="https://store.example/hook", allowed_origins=("https://a.example",)
    )
    given(PROJECTS, PROJECT).when((TENANT, changed)).then(
        PROJECTS_TABLE,
        {
            (): {
                "name": "Store",
                "webhook_url": "https://store.example/hook",
                "allowed_origins": '["https://a.example"]',
                "company_id": COMPANY,
                "created_at": at(1),
            }
        },
    )


def test_a_revoked_token_is_valid_no_more() -> None:
    issued = (stream("t"), ProjectTokenIssued(name="ci", digest=b"digest"))
    story = given(PROJECT_TOKENS, issued).then(TOKENS_TABLE, {(stream("t"),): {"name": "ci", "digest": b"digest"}})
    story.when((stream("t"), ProjectTokenRevoked())).then(TOKENS_TABLE, {})


def test_a_removed_integration_is_gone() -> None:
    added = (GITHUB, IntegrationAdded(app_key="github", auth_type="oauth2", client_id="id", scopes=("repo",)))
    story = given(INTEGRATIONS, added).then(INTEGRATIONS_TABLE, {(GITHUB,): {"client_id": "id", "scopes": '["repo"]'}})
    story.when((GITHUB, IntegrationRemoved())).then(INTEGRATIONS_TABLE, {})


def test_a_company_lists_its_projects_until_they_are_unlisted() -> None:
    story = given(COMPANIES, (TENANT, CompanyFounded(name="Acme")), (TENANT, ProjectListed(project_id=ADA)))
    story.then(COMPANIES_TABLE, {(): {"name": "Acme"}}).then(LISTED_TABLE, {(ADA,): {"listed_at": at(2)}})
    story.when((TENANT, ProjectUnlisted(project_id=ADA))).then(LISTED_TABLE, {})


def test_api_keys_and_entered_sessions_act_for_a_company() -> None:
    entered = CompanyEntered(account_id=ADA, digest=b"s", expires_at=LATER)
    given(COMPANIES, (stream("key"), ApiKeyIssued(name="ci", digest=b"k")), (stream("session"), entered)).then(
        ACCESS_TABLE,
        {
            (stream("key"),): {"account_id": None, "name": "ci", "digest": b"k", "expires_at": None},
            (stream("session"),): {"account_id": ADA, "name": None, "digest": b"s", "expires_at": LATER},
        },
    )


def test_an_account_shows_its_address_its_companies_and_its_sessions() -> None:
    registered = AccountRegistered(
        number=7, email=sealed(ADA, "ada@a.example"), name=sealed(ADA, "Ada"), credential_version=1
    )
    opened = SessionOpened(account_id=ADA, digest=b"s", expires_at=LATER)
    story = given(ACCOUNTS, (ADA, registered), (ADA, CompanyJoined(company_id=COMPANY, role="owner")), (BOB, opened))
    story.then(ACCOUNTS_TABLE, {(ADA,): {"number": 7, "email": "ada@a.example", "name": "Ada"}})
    story.then(MEMBERSHIPS_TABLE, {(ADA, COMPANY): {"role": "owner"}})
    story.then(SESSIONS_TABLE, {(BOB,): {"account_id": ADA, "digest": b"s", "expires_at": LATER}})


def shipped_events() -> list[tuple[str, type[Event]]]:
    """The domain's own events; other tests make some of their own."""
    return [(topic, kind) for topic, kind in event_classes().items() if kind.__module__.startswith("domain.")]


@pytest.mark.parametrize("projection", ALL_PROJECTIONS, ids=lambda projection: projection.name)
def test_a_fold_knows_every_event_of_the_streams_it_reads(projection: Projection) -> None:
    known = [kind for topic, kind in shipped_events() if stream_type_of(topic) in projection.reads]
    assert known
    for kind in known:
        given(projection, (ADA, _made_up(kind)))


@pytest.mark.parametrize("projection", ALL_PROJECTIONS, ids=lambda projection: projection.name)
def test_a_fold_refuses_what_it_does_not_know(projection: Projection) -> None:
    strangers = [kind for topic, kind in shipped_events() if stream_type_of(topic) not in projection.reads]
    assert strangers
    for kind in strangers:
        with pytest.raises(UnknownEvent):
            given(projection, (ADA, _made_up(kind)))


_VALUES: dict[Any, Any] = {
    UUID: ADA,
    str: "text",
    int: 1,
    bool: True,
    bytes: b"bytes",
    datetime: LATER,
    Sealed: sealed(ADA, "{}"),
    Fact: Fact("kind", "key"),
}


def _made_up(kind: type[Event]) -> Event:
    """An event of that class with a value in every required field."""
    hints = {name: hint for name, hint in typing.get_type_hints(kind).items() if name in kind.__struct_fields__}
    return kind(**{name: _value(hint) for name, hint in hints.items()})


def _value(hint: Any) -> Any:
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        return None
    if origin is typing.Literal:
        return typing.get_args(hint)[0]
    return _VALUES[hint] if origin is None else origin()
