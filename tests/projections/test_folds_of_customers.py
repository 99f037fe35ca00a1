"""What customers, their grants and their runtimes become in the read models."""

from __future__ import annotations

from uuid import UUID

import msgspec

from domain.connections.events import AppConnected, ConnectionDeleted, GrantMade, GrantRevoked
from domain.end_users.end_user import EndUserAdded, EndUserDescribed, EndUserErased, Profile
from domain.instances.instance import InstanceCreated, InstanceDeleted, InstanceKeyRotated
from projections.connections import CONNECTIONS_TABLE, GRANTS_TABLE
from projections.customers import PROFILES_TABLE
from projections.end_users import END_USERS
from projections.instances import INSTANCES_TABLE
from tests.projections.given import Happening, at, given, sealed, stream

ADA, BOT, OTHER_BOT, MAIL, GRANT = (stream(name) for name in ("ada", "bot", "other bot", "mail", "grant"))
ADA_ADDED = (ADA, EndUserAdded(external_id=sealed(ADA, "ada")))
ADA_DESCRIBED = (
    ADA,
    EndUserDescribed(profile=sealed(ADA, msgspec.json.encode(Profile(email="ada@example.com", locale="en")).decode())),
)
ADA_ERASED = (ADA, EndUserErased())
ADAS_MAIL = (
    MAIL,
    AppConnected(
        end_user_id=ADA,
        app_key="gmail",
        auth_type="api_key",
        credential_version=1,
        sealed_name=sealed(ADA, "ada@example.com"),
        is_default=False,
    ),
)
BOT_CREATED = (BOT, InstanceCreated(digest=b"first", name="bot"))
ADAS_BOT_CREATED = (BOT, InstanceCreated(digest=b"first", end_user_id=ADA, sealed_name=sealed(ADA, "hers")))


def granted(grant: UUID = GRANT, instance: UUID = BOT) -> Happening:
    made = GrantMade(
        grant_id=grant,
        instance_id=instance,
        end_user_id=ADA,
        app_key="gmail",
        sealed_name=sealed(ADA, "ada@example.com"),
        capabilities=("send_mail",),
    )
    return (MAIL, made)


def test_a_profile_shows_what_was_told_and_goes_with_its_end_user() -> None:
    story = given(END_USERS, ADA_ADDED, ADA_DESCRIBED)
    story.then(PROFILES_TABLE, {(ADA,): {"email": "ada@example.com", "locale": "en", "company_name": None}})
    story.when(ADA_ERASED).then(PROFILES_TABLE, {})


def test_a_profile_that_is_forgotten_leaves_no_row() -> None:
    given(END_USERS, ADA_DESCRIBED, forgotten=frozenset({ADA})).then(PROFILES_TABLE, {})


def test_a_name_is_shown_and_the_name_of_somebody_forgotten_is_not() -> None:
    given(END_USERS, ADA_ADDED, ADAS_MAIL).then(CONNECTIONS_TABLE, {(MAIL,): {"name": "ada@example.com"}})
    given(END_USERS, ADAS_MAIL, forgotten=frozenset({ADA})).then(CONNECTIONS_TABLE, {(MAIL,): {"name": ""}})


def test_a_grant_knows_what_a_fetch_asks_for_and_goes_when_it_is_taken_back() -> None:
    story = given(END_USERS, ADA_ADDED, ADAS_MAIL, BOT_CREATED, granted())
    row = {
        "connection_id": MAIL,
        "instance_id": BOT,
        "app_key": "gmail",
        "name": "ada@example.com",
        "capabilities": '["send_mail"]',
        "granted_at": at(4),
    }
    story.then(GRANTS_TABLE, {(GRANT,): row})
    story.when((MAIL, GrantRevoked(grant_id=GRANT))).then(GRANTS_TABLE, {})


def test_grants_go_with_their_connection_their_instance_and_their_end_user() -> None:
    for ending in ((MAIL, ConnectionDeleted()), ADA_ERASED):
        given(END_USERS, ADA_ADDED, ADAS_MAIL, BOT_CREATED, granted()).when(ending).then(GRANTS_TABLE, {})
    other = stream("other grant")
    story = given(END_USERS, ADA_ADDED, ADAS_MAIL, BOT_CREATED, granted(), granted(other, OTHER_BOT))
    story.when((BOT, InstanceDeleted())).then(GRANTS_TABLE, {(other,): {}}).then(INSTANCES_TABLE, {})


def test_a_rotated_key_is_the_only_one() -> None:
    given(END_USERS, BOT_CREATED, (BOT, InstanceKeyRotated(digest=b"second"))).then(
        INSTANCES_TABLE, {(BOT,): {"name": "bot", "digest": b"second", "created_at": at(1), "rotated_at": at(2)}}
    )


def test_an_end_users_instance_goes_with_them() -> None:
    story = given(END_USERS, ADA_ADDED, ADAS_BOT_CREATED).then(INSTANCES_TABLE, {(BOT,): {"name": "hers"}})
    story.when(ADA_ERASED).then(INSTANCES_TABLE, {})
