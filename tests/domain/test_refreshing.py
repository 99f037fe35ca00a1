"""Whether to renew a token, who may, and what an answer means however late it comes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from domain.connections.connection import CONNECTION, Connection, Status
from domain.connections.events import (
    AppConnected,
    ConnectionDeleted,
    ConnectionInvalidated,
    ConnectionLinked,
    RefreshFailed,
    RefreshStarted,
    TokenImported,
    TokenRefreshed,
)
from domain.connections.oauth import ProviderTrouble
from domain.connections.refreshing import (
    AHEAD,
    EXPIRED,
    FIRST_PAUSE,
    LONGEST_OBEYED,
    LONGEST_PAUSE,
    LOST_FROM_SIGHT,
    MARGIN,
    REVOKED,
    ConnectionUnusable,
    Refresh,
    adopt,
    check_usable,
    expire,
    is_due,
    is_good,
    is_pausing,
    is_taken,
    next_look,
    refuse,
    start,
    succeed,
    trouble,
)
from domain.connections.secret import Secret
from tests.domain.given import given

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
LEASE = MINUTE
USER = UUID(int=7)
ENDS = NOON + HOUR
LINKED = ConnectionLinked(
    end_user_id=USER,
    app_key="app",
    auth_type="oauth2",
    credential_version=1,
    obtained_at=NOON,
    expires_at=ENDS,
    scopes=("read",),
    renewable=True,
)
LINKED_AGAIN = msgspec.structs.replace(LINKED, credential_version=5, obtained_at=ENDS)
IMPORTED = TokenImported(
    end_user_id=USER, app_key="app", auth_type="oauth2", credential_version=1, expires_at=ENDS, renewable=True
)
STARTED = RefreshStarted(fence=1, credential_version=1, until=ENDS + LEASE)
STARTED_AGAIN = RefreshStarted(fence=2, credential_version=1, until=ENDS + 3 * LEASE)
FAILED = RefreshFailed(fence=1, message="It is away.", retry_at=ENDS + MINUTE, may_have_arrived=False)
LOST = msgspec.structs.replace(FAILED, may_have_arrived=True)
RENEWED = TokenRefreshed(fence=1, credential_version=2, obtained_at=ENDS, expires_at=ENDS + HOUR)
REFRESH = Refresh(
    fence=1, credential_version=1, rooted_at=1, ask_by=ENDS + LEASE / 4, answer_by=ENDS + LEASE / 2, until=ENDS + LEASE
)
ANSWER = Secret(access_token="new", refresh_token="newer", obtained_at=ENDS, expires_at=ENDS + HOUR, scopes=("read",))
AWAY = ProviderTrouble("It is away.")


def state(*happened: object) -> Connection:
    return given(*happened).state  # type: ignore[arg-type]


class TestWhenATokenIsDue:
    def test_shortly_before_its_end_and_not_earlier(self) -> None:
        linked = state(LINKED)
        assert not is_due(linked, ENDS - MARGIN - SECOND)
        assert is_due(linked, ENDS - MARGIN)
        assert is_due(linked, ENDS - AHEAD, AHEAD) and not is_due(linked, ENDS - AHEAD)

    def test_one_that_never_ends_is_never_due_and_always_good(self) -> None:
        perpetual = state(msgspec.structs.replace(IMPORTED, expires_at=None))
        assert not is_due(perpetual, ENDS + 1000 * HOUR)
        assert is_good(perpetual, ENDS + 1000 * HOUR)

    def test_a_short_life_is_not_cut_by_more_than_a_fifth(self) -> None:
        brief = state(msgspec.structs.replace(LINKED, expires_at=NOON + 100 * SECOND))
        assert not is_due(brief, NOON + 79 * SECOND, AHEAD)
        assert is_due(brief, NOON + 80 * SECOND, AHEAD)

    def test_it_is_sent_until_a_moment_before_its_end_because_clocks_differ(self) -> None:
        linked = state(LINKED)
        assert is_good(linked, ENDS - 11 * SECOND)
        assert not is_good(linked, ENDS - 9 * SECOND)

    def test_what_ended_is_not_used_and_says_why(self) -> None:
        check_usable(state(LINKED))
        ended = state(LINKED, ConnectionInvalidated(status="revoked", message=REVOKED))
        with pytest.raises(ConnectionUnusable, match="connect again"):
            check_usable(ended)


class TestWhoMayAsk:
    def test_nobody_else_until_the_time_of_whoever_began_is_over(self) -> None:
        begun = state(LINKED, STARTED)
        assert is_taken(begun, ENDS + LEASE - SECOND)
        assert not is_taken(begun, ENDS + LEASE)

    def test_the_provider_has_half_of_it_and_is_asked_in_its_first_quarter_or_not_at_all(self) -> None:
        refresh, started = start(state(LINKED), ENDS, LEASE)
        assert (refresh.ask_by, refresh.answer_by, refresh.until) == (ENDS + LEASE / 4, ENDS + LEASE / 2, ENDS + LEASE)
        assert started == STARTED

    @pytest.mark.parametrize(
        "ending",
        [RENEWED, FAILED, ConnectionInvalidated(status="revoked", message=REVOKED, fence=1), LINKED_AGAIN],
        ids=lambda event: type(event).__name__,
    )
    def test_what_came_of_it_or_a_new_authorisation_makes_room(self, ending: object) -> None:
        assert not is_taken(state(LINKED, STARTED, ending), ENDS)

    def test_after_trouble_everybody_waits_for_the_provider_to_recover(self) -> None:
        rested = state(LINKED, STARTED, FAILED)
        assert is_pausing(rested, ENDS + MINUTE - SECOND)
        assert not is_pausing(rested, ENDS + MINUTE)

    def test_every_attempt_has_a_number_of_its_own_also_after_deletion_and_new_connecting(self) -> None:
        again = state(LINKED, STARTED, STARTED_AGAIN, ConnectionDeleted(), LINKED_AGAIN)
        assert start(again, ENDS, LEASE)[1].fence == 3


class TestAnAnswer:
    def test_is_kept_as_the_next_credential(self) -> None:
        given(LINKED, STARTED).when(succeed, REFRESH, ANSWER, 2).then(RENEWED)

    def test_is_kept_when_somebody_else_has_begun_meanwhile(self) -> None:
        given(LINKED, STARTED, STARTED_AGAIN).when(succeed, REFRESH, ANSWER, 2).then(RENEWED)

    def test_leaves_the_other_attempt_its_time(self) -> None:
        assert is_taken(state(LINKED, STARTED, STARTED_AGAIN, RENEWED), ENDS + LEASE)

    def test_heals_a_connection_that_was_given_up_meanwhile(self) -> None:
        lost = ConnectionInvalidated(status="error", message=LOST_FROM_SIGHT, fence=2)
        late = given(LINKED, STARTED, STARTED_AGAIN, lost)
        revived = msgspec.structs.replace(RENEWED, revives=True)
        late.when(succeed, REFRESH, ANSWER, 2).then(revived)
        assert CONNECTION.evolve(late.state, revived).status(ENDS) is Status.ACTIVE

    def test_of_an_earlier_authorisation_is_worthless(self) -> None:
        given(LINKED, STARTED, LINKED_AGAIN).when(succeed, REFRESH, ANSWER, 6).then_nothing()

    def test_of_a_deleted_connection_is_worthless(self) -> None:
        given(LINKED, STARTED, ConnectionDeleted()).when(succeed, REFRESH, ANSWER, 2).then_nothing()

    def test_that_is_older_than_what_is_kept_already_is_worthless(self) -> None:
        newer = msgspec.structs.replace(RENEWED, fence=2, obtained_at=ENDS + MINUTE)
        given(LINKED, STARTED, STARTED_AGAIN, newer).when(succeed, REFRESH, ANSWER, 3).then_nothing()

    def test_that_is_newer_than_what_is_kept_already_is_kept(self) -> None:
        older = msgspec.structs.replace(RENEWED, fence=2, obtained_at=ENDS - MINUTE)
        kept = msgspec.structs.replace(RENEWED, credential_version=3)
        given(LINKED, STARTED, STARTED_AGAIN, older).when(succeed, REFRESH, ANSWER, 3).then(kept)

    def test_tells_scopes_only_where_they_changed(self) -> None:
        fewer = msgspec.structs.replace(ANSWER, scopes=("less",))
        told = msgspec.structs.replace(RENEWED, scopes=("less",))
        given(LINKED, STARTED).when(succeed, REFRESH, fewer, 2).then(told)
        assert state(LINKED, STARTED, RENEWED).scopes == ("read",)

    def test_ends_the_worries_of_before(self) -> None:
        calm = state(LINKED, STARTED, LOST, STARTED_AGAIN, msgspec.structs.replace(RENEWED, fence=2))
        assert (calm.unsure, calm.failures, calm.retry_at, calm.message) == (False, 0, None, "")

    def test_that_was_stored_without_its_event_is_adopted(self) -> None:
        adopted = adopt(state(LINKED, ConnectionInvalidated(status="error", message=LOST_FROM_SIGHT)), 2, ANSWER)
        assert (adopted.credential_version, adopted.expires_at, adopted.ended) == (2, ENDS + HOUR, "")
        assert adopt(state(LINKED), 1, ANSWER) == state(LINKED)


class TestANo:
    def test_ends_the_authorisation(self) -> None:
        revoked = ConnectionInvalidated(status="revoked", message=REVOKED, fence=1)
        given(LINKED, STARTED).when(refuse, REFRESH).then(revoked)

    @pytest.mark.parametrize("lost", [(STARTED,), (STARTED, LOST)], ids=["a crash", "an answer that got lost"])
    def test_may_only_mean_that_the_provider_knows_a_token_that_we_never_got(self, lost: tuple[object, ...]) -> None:
        second = msgspec.structs.replace(REFRESH, fence=2)
        told = ConnectionInvalidated(status="error", message=LOST_FROM_SIGHT, fence=2)
        given(LINKED, *lost, STARTED_AGAIN).when(refuse, second).then(told)  # type: ignore[arg-type]

    def test_after_trouble_that_never_reached_the_provider_is_plain(self) -> None:
        second = msgspec.structs.replace(REFRESH, fence=2)
        told = ConnectionInvalidated(status="revoked", message=REVOKED, fence=2)
        given(LINKED, STARTED, FAILED, STARTED_AGAIN).when(refuse, second).then(told)

    @pytest.mark.parametrize(
        "meanwhile",
        [
            (RENEWED,),
            (STARTED_AGAIN,),
            (LINKED_AGAIN,),
            (ConnectionDeleted(),),
            (ConnectionInvalidated(status="error", message=LOST_FROM_SIGHT),),
        ],
        ids=["renewed", "begun by another", "linked again", "deleted", "given up"],
    )
    def test_about_a_token_that_the_connection_has_no_more_says_nothing(self, meanwhile: tuple[object, ...]) -> None:
        given(LINKED, STARTED, *meanwhile).when(refuse, REFRESH).then_nothing()  # type: ignore[arg-type]


def pause_after(failures: int, jitter: float = 0.5, failure: ProviderTrouble = AWAY) -> timedelta:
    troubled = msgspec.structs.replace(state(LINKED, STARTED), failures=failures)
    (failed,) = trouble(troubled, REFRESH, failure, ENDS, jitter)
    assert isinstance(failed, RefreshFailed)
    return failed.retry_at - ENDS


class TestTrouble:
    def test_ends_nothing_and_says_when_it_is_tried_again(self) -> None:
        troubled = given(LINKED, STARTED)
        failed = RefreshFailed(fence=1, message="It is away.", retry_at=ENDS + FIRST_PAUSE, may_have_arrived=True)
        troubled.when(trouble, REFRESH, AWAY, ENDS, 0.5).then(failed)
        after = CONNECTION.evolve(troubled.state, failed)
        assert after.status(ENDS) is Status.ACTIVE
        assert (after.failures, after.unsure, after.message) == (1, True, "It is away.")

    def test_pauses_double_up_to_a_bound(self) -> None:
        assert [pause_after(failures) / FIRST_PAUSE for failures in range(4)] == [1, 2, 4, 8]
        assert pause_after(1_000) == LONGEST_PAUSE

    def test_pauses_differ_so_that_not_everybody_comes_back_at_once(self) -> None:
        assert pause_after(0, jitter=0.0) < pause_after(0, jitter=0.5) < pause_after(0, jitter=1.0)
        assert pause_after(0, jitter=1.0) < pause_after(1, jitter=0.0)

    def test_what_the_provider_asks_for_is_obeyed_within_reason(self) -> None:
        def asking(seconds: float) -> ProviderTrouble:
            return ProviderTrouble("Later.", retry_after=seconds)

        assert pause_after(0, failure=asking(900)) == timedelta(seconds=900)
        assert pause_after(10, failure=asking(1)) == pause_after(10), "but never sooner than we would"
        assert pause_after(0, failure=asking(10**9)) == LONGEST_OBEYED

    def test_about_a_token_that_the_connection_has_no_more_says_nothing(self) -> None:
        given(LINKED, STARTED, RENEWED).when(trouble, REFRESH, AWAY, ENDS, 0.5).then_nothing()
        given(LINKED, STARTED, STARTED_AGAIN).when(trouble, REFRESH, AWAY, ENDS, 0.5).then_nothing()


class TestATokenThatCannotBeRenewed:
    FINAL = msgspec.structs.replace(IMPORTED, renewable=False)
    OVER = ConnectionInvalidated(status="expired", message=EXPIRED)

    def test_expires_and_that_is_said_once(self) -> None:
        given(self.FINAL).when(expire, ENDS).then(self.OVER)
        given(self.FINAL, self.OVER).when(expire, ENDS).then_nothing()

    def test_not_before_its_end(self) -> None:
        given(self.FINAL).when(expire, ENDS - SECOND).then_nothing()

    def test_others_do_not(self) -> None:
        for event in (IMPORTED, msgspec.structs.replace(self.FINAL, expires_at=None)):
            given(event).when(expire, ENDS + HOUR).then_nothing()
        fields = AppConnected(end_user_id=USER, app_key="app", auth_type="api_key", credential_version=1)
        given(fields).when(expire, ENDS + HOUR).then_nothing()
        given(self.FINAL, ConnectionDeleted()).when(expire, ENDS + HOUR).then_nothing()


class TestWhenTheWorkerLooksAgain:
    def test_some_minutes_before_the_end(self) -> None:
        assert next_look(state(LINKED), NOON) == ENDS - AHEAD

    def test_after_the_pause_or_after_the_time_of_whoever_is_at_it(self) -> None:
        assert next_look(state(LINKED, STARTED, FAILED), ENDS) == ENDS + MINUTE
        assert next_look(state(LINKED, STARTED), ENDS) == ENDS + LEASE

    def test_now_where_it_is_late_already(self) -> None:
        assert next_look(state(LINKED), ENDS + HOUR) == ENDS + HOUR

    def test_at_the_end_of_what_cannot_be_renewed(self) -> None:
        assert next_look(state(TestATokenThatCannotBeRenewed.FINAL), NOON) == ENDS

    def test_never_at_what_has_no_end_or_has_ended(self) -> None:
        assert next_look(state(msgspec.structs.replace(IMPORTED, expires_at=None)), NOON) is None
        assert next_look(state(LINKED, TestATokenThatCannotBeRenewed.OVER), NOON) is None
        assert next_look(state(LINKED, ConnectionDeleted()), NOON) is None
