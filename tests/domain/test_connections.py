"""Who may have which connection, what it is like then, and how a link leads to one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from domain.connections.authorising import (
    Account,
    DifferentAccount,
    GrantAlreadyExists,
    GrantNotFound,
    Life,
    Whose,
    connect_app,
    delete,
    grant,
    import_token,
    link,
    request,
    revoke_grant,
)
from domain.connections.connect_link import (
    AUTHORIZATION_LIFE,
    CONNECT_LINK,
    AuthorizationFailed,
    AuthorizationReturned,
    AuthorizationStarted,
    ConnectLink,
    LinkCompleted,
    LinkIssued,
    LinkNotFound,
    LinkUsedUp,
    StateInvalid,
    live,
    start_authorization,
    take_back,
)
from domain.connections.connection import (
    CONNECTION,
    Connection,
    ConnectionAlreadyExists,
    ConnectionNotFound,
    Grant,
    Status,
)
from domain.connections.events import (
    AppConnected,
    ConnectionDeleted,
    ConnectionInvalidated,
    ConnectionLinked,
    ConnectionRequested,
    GrantMade,
    GrantRevoked,
    RefreshStarted,
    TokenImported,
    TokenRefreshed,
)
from domain.events import Event
from domain.facts import Fact
from tests.domain.given import Given, given

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
ENDS = NOON + HOUR
USER, GRANT, INSTANCE = UUID(int=7), UUID(int=8), UUID(int=9)
OF = {"end_user_id": USER, "app_key": "app", "auth_type": "oauth2"}
ADA, BOB = Account(b"ada"), Account(b"bob")
LIFE = Life(scopes=("read",), obtained_at=NOON, expires_at=ENDS, renewable=True)

REQUESTED = ConnectionRequested(**OF)  # type: ignore[arg-type]
IMPORTED = TokenImported(**OF, credential_version=1, scopes=("read",), expires_at=ENDS, renewable=True)  # type: ignore[arg-type]
CONNECTED = AppConnected(**OF, credential_version=1)  # type: ignore[arg-type]
LINKED = ConnectionLinked(
    **OF,  # type: ignore[arg-type]
    credential_version=1,
    obtained_at=NOON,
    scopes=("read",),
    expires_at=ENDS,
    renewable=True,
    account_digest=ADA.digest,
)
REVOKED = ConnectionInvalidated(status="revoked", message="It was taken back.")
GRANTED = GrantMade(
    grant_id=GRANT, instance_id=INSTANCE, end_user_id=USER, app_key="app", capabilities=("calendar.read",)
)


def whose(*, replaces: bool = False, now: datetime = NOON) -> Whose:
    return Whose(end_user_id=USER, app_key="app", auth_type="oauth2", replaces=replaces, now=now)


def status(*happened: Event, at: datetime = NOON) -> Status:
    return given(*happened).state.status(at)


class TestTheStatus:
    def test_is_pending_until_something_is_connected(self) -> None:
        assert status() is Status.PENDING
        assert status(REQUESTED) is Status.PENDING
        assert status(REQUESTED, LINKED) is Status.ACTIVE

    def test_of_a_token_that_can_be_renewed_stays_active_beyond_its_end(self) -> None:
        assert status(LINKED, at=ENDS + HOUR) is Status.ACTIVE

    def test_of_one_that_cannot_is_expired_at_its_end_said_or_not(self) -> None:
        final = msgspec.structs.replace(IMPORTED, renewable=False)
        assert status(final, at=ENDS - SECOND) is Status.ACTIVE
        assert status(final, at=ENDS) is Status.EXPIRED
        assert status(final, ConnectionInvalidated(status="expired", message="Over."), at=ENDS) is Status.EXPIRED

    @pytest.mark.parametrize("word", ["revoked", "error", "expired"])
    def test_is_what_the_end_said_until_somebody_connects_again(self, word: str) -> None:
        ended = ConnectionInvalidated(status=word, message="Why.")  # type: ignore[arg-type]
        assert status(LINKED, ended) == word
        assert given(LINKED, ended).state.message == "Why."
        assert status(LINKED, ended, IMPORTED) is Status.ACTIVE
        assert given(LINKED, ended, IMPORTED).state.message == ""

    def test_is_pending_again_after_a_deletion_and_versions_go_on(self) -> None:
        deleted = given(LINKED, RefreshStarted(fence=3, credential_version=1, until=ENDS), ConnectionDeleted()).state
        assert deleted.status(NOON) is Status.PENDING
        assert (deleted.present, deleted.credential_version, deleted.fence) == (False, 1, 3)


class TestASecondConnection:
    DECISIONS = (
        lambda state, whose: request(state, whose),
        lambda state, whose: import_token(state, whose, LIFE, 2),
        lambda state, whose: connect_app(state, whose, 2),
        lambda state, whose: link(state, whose, LIFE, ADA, 2, keeps_account=False),
    )
    NAMES = ("request", "import", "connect", "link")

    @pytest.mark.parametrize("decision", DECISIONS, ids=NAMES)
    def test_is_refused_while_the_first_is_good(self, decision: object) -> None:
        given(LINKED).when(decision, whose()).then_refuses(ConnectionAlreadyExists)  # type: ignore[arg-type]

    @pytest.mark.parametrize("decision", DECISIONS[1:], ids=NAMES[1:])
    def test_may_replace_it_where_that_is_wanted_or_the_first_has_ended(self, decision: object) -> None:
        for happened, asked in (((LINKED,), whose(replaces=True)), ((LINKED, REVOKED), whose())):
            before = given(*happened).state
            (event,) = decision(before, asked)  # type: ignore[operator]
            after = CONNECTION.evolve(before, event)
            assert after.status(NOON) is Status.ACTIVE
            assert (after.credential_version, after.rooted_at) == (2, 2)

    def test_asks_for_no_link_twice(self) -> None:
        given().when(request, whose()).then(REQUESTED)
        given(REQUESTED).when(request, whose()).then_nothing()
        given(LINKED, REVOKED).when(request, whose()).then_nothing()


class TestWhatIsConnected:
    def test_by_import(self) -> None:
        given().when(import_token, whose(), LIFE, 1).then(IMPORTED)

    def test_with_fields(self) -> None:
        given().when(connect_app, whose(), 1).then(CONNECTED)
        assert status(CONNECTED, at=ENDS + 1000 * HOUR) is Status.ACTIVE

    def test_by_consent(self) -> None:
        given(REQUESTED).when(link, whose(), LIFE, ADA, 1, keeps_account=False).then(LINKED)

    def test_again_keeps_grants_and_forgets_what_the_old_token_met(self) -> None:
        started = RefreshStarted(fence=1, credential_version=1, until=ENDS)
        again = given(LINKED, GRANTED, started, REVOKED, msgspec.structs.replace(LINKED, credential_version=2)).state
        assert again.grants == (Grant(GRANT, INSTANCE, ("calendar.read",)),)
        assert (again.flight, again.unsure, again.ended, again.fence) == (None, False, "", 1)

    @pytest.mark.parametrize(
        ("before", "chosen", "is_refused"),
        [(ADA, BOB, True), (ADA, ADA, False), (ADA, Account(), False), (Account(), BOB, False)],
        ids=["another", "the same", "unknown now", "unknown before"],
    )
    def test_with_the_account_of_before_where_that_is_asked_for(
        self, before: Account, chosen: Account, is_refused: bool
    ) -> None:
        linked = given(msgspec.structs.replace(LINKED, account_digest=before.digest))
        again = linked.when(link, whose(replaces=True), LIFE, chosen, 2, keeps_account=True)
        if is_refused:
            again.then_refuses(DifferentAccount)
        else:
            again.then(msgspec.structs.replace(LINKED, credential_version=2, account_digest=chosen.digest))

    def test_with_any_account_where_it_is_not(self) -> None:
        bobs = msgspec.structs.replace(LINKED, credential_version=2, account_digest=BOB.digest)
        given(LINKED).when(link, whose(replaces=True), LIFE, BOB, 2, keeps_account=False).then(bobs)

    def test_a_renewed_token_keeps_its_authorisation(self) -> None:
        renewed = TokenRefreshed(fence=1, credential_version=2, obtained_at=ENDS, expires_at=ENDS + HOUR)
        after = given(LINKED, renewed).state
        assert (after.credential_version, after.rooted_at, after.account_digest) == (2, 1, ADA.digest)


class TestDeletingAndGranting:
    def test_what_is_there_or_waits_for_its_link_can_be_deleted_once(self) -> None:
        given(LINKED).when(delete).then(ConnectionDeleted())
        given(REQUESTED).when(delete).then(ConnectionDeleted())
        for happened in ((), (LINKED, ConnectionDeleted())):
            given(*happened).when(delete).then_refuses(ConnectionNotFound)

    def test_an_instance_gets_one_grant(self) -> None:
        given(LINKED).when(grant, Grant(GRANT, INSTANCE, ("calendar.read",))).then(GRANTED)
        given(LINKED, GRANTED).when(grant, Grant(UUID(int=1), INSTANCE)).then_refuses(GrantAlreadyExists)
        given(REQUESTED).when(grant, Grant(GRANT, INSTANCE)).then_refuses(ConnectionNotFound)

    def test_a_grant_is_taken_back_once(self) -> None:
        given(LINKED, GRANTED).when(revoke_grant, GRANT).then(GrantRevoked(grant_id=GRANT))
        given(LINKED, GRANTED, GrantRevoked(grant_id=GRANT)).when(revoke_grant, GRANT).then_refuses(GrantNotFound)
        given(REQUESTED).when(revoke_grant, GRANT).then_refuses(ConnectionNotFound)

    def test_grants_go_with_their_connection(self) -> None:
        assert given(LINKED, GRANTED, ConnectionDeleted(), LINKED).state.grants == ()


ISSUED = LinkIssued(
    connection_id=UUID(int=3),
    end_user_id=USER,
    app_key="app",
    auth_type="oauth2",
    fact=Fact("kind", "key"),
    digest=b"link",
    expires_at=NOON + HOUR,
)
LEFT = AuthorizationStarted(state_digest=b"state", cookie_digest=b"cookie", expires_at=NOON + AUTHORIZATION_LIFE)
LEFT_AGAIN = msgspec.structs.replace(LEFT, state_digest=b"state 2", cookie_digest=b"cookie 2")
BACK = {"state_digest": b"state", "cookie_digest": b"cookie"}


def link_given(*happened: Event) -> Given[ConnectLink]:
    return Given(CONNECT_LINK, happened)


class TestALink:
    def test_is_good_for_whoever_knows_it_while_it_lives(self) -> None:
        assert live(link_given(ISSUED).state, b"link", ENDS - SECOND) == ISSUED

    def test_is_not_found_by_another_text_or_after_its_time(self) -> None:
        link_given(ISSUED).when(live, b"another", NOON).then_refuses(LinkNotFound)
        link_given(ISSUED).when(live, b"link", ENDS).then_refuses(LinkNotFound)
        link_given().when(live, b"link", NOON).then_refuses(LinkNotFound)

    def test_is_used_up_when_it_has_led_to_a_connection_and_says_so_only_to_whoever_knows_it(self) -> None:
        link_given(ISSUED, LEFT, AuthorizationReturned(), LinkCompleted()).when(live, b"link", NOON).then_refuses(
            LinkUsedUp
        )
        link_given(ISSUED, LinkCompleted()).when(live, b"another", NOON).then_refuses(LinkNotFound)

    def test_leads_to_the_provider_as_often_as_wanted_while_it_lives(self) -> None:
        link_given(ISSUED).when(start_authorization, b"link", NOON, **BACK).then(LEFT)
        tried = link_given(ISSUED, LEFT, AuthorizationReturned(), AuthorizationFailed(code="denied", message="No."))
        tried.when(start_authorization, b"link", NOON, **BACK).then(LEFT)
        link_given(ISSUED, LinkCompleted()).when(start_authorization, b"link", NOON, **BACK).then_refuses(LinkUsedUp)


class TestTheWayBack:
    def test_is_taken_once_by_the_browser_that_left(self) -> None:
        authorization, events = take_back(link_given(ISSUED, LEFT).state, NOON, **BACK)
        assert (authorization.number, events) == (1, (AuthorizationReturned(),))
        link_given(ISSUED, LEFT, AuthorizationReturned()).when(take_back, NOON, **BACK).then_refuses(StateInvalid)

    @pytest.mark.parametrize("wrong", ["state_digest", "cookie_digest"])
    def test_is_closed_to_another_browser_and_with_another_state(self, wrong: str) -> None:
        link_given(ISSUED, LEFT).when(take_back, NOON, **{**BACK, wrong: b"another"}).then_refuses(StateInvalid)

    def test_is_closed_to_whoever_never_left_or_comes_too_late(self) -> None:
        link_given(ISSUED).when(take_back, NOON, **BACK).then_refuses(StateInvalid)
        link_given(ISSUED, LEFT).when(take_back, NOON + AUTHORIZATION_LIFE, **BACK).then_refuses(StateInvalid)

    def test_of_an_earlier_try_is_closed_by_a_later_one(self) -> None:
        twice = link_given(ISSUED, LEFT, LEFT_AGAIN)
        twice.when(take_back, NOON, **BACK).then_refuses(StateInvalid)
        authorization, _ = take_back(twice.state, NOON, state_digest=b"state 2", cookie_digest=b"cookie 2")
        assert authorization.number == 2

    def test_stays_open_to_who_left_in_time_when_the_link_has_run_out_meanwhile(self) -> None:
        late = msgspec.structs.replace(LEFT, expires_at=ENDS + AUTHORIZATION_LIFE - SECOND)
        _, events = take_back(link_given(ISSUED, late).state, ENDS, **BACK)
        assert events == (AuthorizationReturned(),)


def test_a_state_can_be_kept_as_a_snapshot() -> None:
    full = given(LINKED, GRANTED, RefreshStarted(fence=1, credential_version=1, until=ENDS)).state
    assert msgspec.json.decode(msgspec.json.encode(full), type=Connection) == full
