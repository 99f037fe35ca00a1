"""What is announced, what a message says, how it is signed, and when it is tried again."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import msgspec
import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from domain.connections.events import (
    AppConnected,
    ConnectionDeleted,
    ConnectionInvalidated,
    ConnectionLinked,
    ConnectionRequested,
    RefreshFailed,
    RefreshStarted,
    TokenImported,
    TokenRefreshed,
)
from domain.deliveries.announcements import announcements
from domain.deliveries.endpoint import (
    WEBHOOK,
    Notice,
    Webhook,
    WebhookDisabled,
    WebhookSecretRotated,
    disable,
    enable,
    evolve,
    webhook_id,
)
from domain.deliveries.letter import addressed, write
from domain.deliveries.schedule import JITTER, LONGEST_WAIT, RETRY_AFTER, asked_wait, next_attempt
from domain.deliveries.signing import mint_secret, signed_headers
from domain.events import FORGOTTEN, Event, Metadata, Recorded, Revealed, Sealed
from domain.ids import new_id
from domain.ports import StreamEvents

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
USER, STREAM, TENANT = new_id(), new_id(), new_id()
REQUESTED = ConnectionRequested(end_user_id=USER, app_key="slack", auth_type="oauth2")
IMPORTED = TokenImported(end_user_id=USER, app_key="slack", auth_type="oauth2", credential_version=1)
LINKED = ConnectionLinked(end_user_id=USER, app_key="slack", auth_type="oauth2", credential_version=2, obtained_at=NOW)
CONNECTED = AppConnected(end_user_id=None, app_key="github", auth_type="apikey", credential_version=1, name="mine")
INVALIDATED = ConnectionInvalidated(status="revoked", message="The account took it back.")
DELETED = ConnectionDeleted()
REFRESHES = (
    RefreshStarted(fence=1, credential_version=1, until=NOW),
    TokenRefreshed(fence=1, credential_version=2, obtained_at=NOW),
    RefreshFailed(fence=1, message="It was away.", retry_at=NOW),
)


def reveal(sealed: Sealed) -> Revealed:
    """Opens what is sealed for the user, and has forgotten everybody else."""
    return sealed.box.decode() if sealed.subject_id == USER else FORGOTTEN


def announced(*events: Event, after: int = 0, stream_type: str = "connection") -> list[tuple[int, str]]:
    streams = (StreamEvents(STREAM, stream_type, after, events),)
    return [(one.version, one.kind) for one in announcements(streams, None)]


def recorded(*events: Event) -> list[Recorded]:
    metadata = Metadata("test:letters", new_id())
    return [
        Recorded(TENANT, STREAM, version, 100 + version, NOW + timedelta(seconds=version), event, metadata)
        for version, event in enumerate(events, start=1)
    ]


def told(*events: Event) -> tuple[str, str, str, str | None]:
    letter = write(new_id(), recorded(*events), "ada", reveal)
    return letter.type, letter.data.app_key, letter.data.status, letter.data.error_message


@pytest.mark.parametrize("event", [IMPORTED, LINKED, CONNECTED])
def test_the_first_authorisation_creates_a_connection_and_later_ones_update_it(event: Event) -> None:
    assert announced(event) == [(1, "connection.created")]
    assert announced(event, after=4) == [(5, "connection.updated")]


def test_invalidations_and_deletions_are_announced() -> None:
    assert announced(INVALIDATED, DELETED, after=3) == [(4, "connection.invalid"), (5, "connection.deleted")]


@pytest.mark.parametrize("event", [REQUESTED, *REFRESHES])
def test_a_refresh_and_a_link_that_was_handed_out_are_nobodys_business(event: Event) -> None:
    assert announced(event, after=1) == []


def test_other_streams_announce_nothing() -> None:
    assert announced(IMPORTED, stream_type="sample") == []


def test_a_message_belongs_to_the_end_user_whose_connection_it_is_about() -> None:
    streams = (StreamEvents(STREAM, "connection", 0, (CONNECTED, IMPORTED, DELETED)),)
    somebody = new_id()
    assert [one.subject_id for one in announcements(streams, somebody)] == [None, USER, somebody]


def test_a_letter_says_which_connection_it_is_about_and_how_that_stood_then() -> None:
    message_id = new_id()
    letter = write(message_id, recorded(IMPORTED, INVALIDATED), "ada", reveal)
    assert (letter.type, letter.timestamp) == ("connection.invalid", NOW + timedelta(seconds=2))
    data = letter.data
    assert (data.event_id, data.connection_id, data.version, data.position) == (message_id, STREAM, 2, 102)
    assert (data.app_key, data.auth_type, data.user_id) == ("slack", "oauth2", "ada")
    assert (data.status, data.error_message) == ("revoked", "The account took it back.")


def test_a_letter_knows_for_sure_whether_a_connection_is_new() -> None:
    assert told(IMPORTED)[0] == "connection.created"
    assert told(REQUESTED, LINKED)[0] == "connection.created"
    assert told(REQUESTED, IMPORTED, LINKED)[0] == "connection.updated"
    assert told(IMPORTED, DELETED, LINKED)[0] == "connection.created"


def test_a_letter_about_a_deleted_connection_still_says_whose_it_was() -> None:
    assert told(LINKED, DELETED) == ("connection.deleted", "slack", "deleted", None)
    assert addressed(recorded(LINKED, DELETED)) == USER
    assert addressed(recorded(CONNECTED, DELETED)) is None


def test_a_connections_name_is_told_as_long_as_its_owner_is_remembered() -> None:
    for owner, name in ((USER, "work"), (new_id(), "")):
        named = msgspec.structs.replace(IMPORTED, sealed_name=Sealed(owner, b"work"))
        assert write(new_id(), recorded(named), "ada", reveal).data.name == name
    assert write(new_id(), recorded(CONNECTED), None, reveal).data.name == "mine"


def test_secrets_are_32_random_bytes_in_the_published_form() -> None:
    one, other = mint_secret(), mint_secret()
    assert one != other
    assert one.startswith("whsec_")
    assert len(b64decode(one.removeprefix("whsec_"), validate=True)) == 32


def test_signatures_are_what_the_specifications_own_library_verifies() -> None:
    old, new, body = mint_secret(), mint_secret(), '{"type":"connection.created","name":"Zoë"}'.encode()
    headers = signed_headers("some-id", datetime.now(UTC), body, [new, old])
    for secret in (old, new):
        assert Verifier(secret).verify(body, headers)["name"] == "Zoë"
    for wrong in ({**headers, "webhook-id": "other"}, {**headers, "webhook-timestamp": "1"}):
        with pytest.raises(WebhookVerificationError):
            Verifier(new).verify(body, wrong)
    with pytest.raises(WebhookVerificationError):
        Verifier(mint_secret()).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(new).verify(body + b" ", headers)


def test_messages_are_tried_again_at_growing_pauses_and_then_given_up() -> None:
    pauses = []
    for failures in range(1, 9):
        at = next_attempt(NOW, failures, 0.5)
        pauses.append(at - NOW if at else None)
    assert pauses == [*RETRY_AFTER, None]
    assert [pause.total_seconds() for pause in RETRY_AFTER] == [5, 300, 1800, 7200, 18000, 36000, 36000]


def test_jitter_spreads_the_attempts_around_their_time() -> None:
    early, late = next_attempt(NOW, 2, 0.0), next_attempt(NOW, 2, 1.0)
    assert early == NOW + timedelta(minutes=5) * (1 - JITTER)
    assert late == NOW + timedelta(minutes=5) * (1 + JITTER)


def test_a_receiver_may_ask_for_a_longer_pause_but_not_for_any() -> None:
    assert next_attempt(NOW, 1, 0.5, timedelta(minutes=2)) == NOW + timedelta(minutes=2)
    assert next_attempt(NOW, 3, 0.5, timedelta(seconds=1)) == NOW + RETRY_AFTER[2]
    assert next_attempt(NOW, 1, 0.5, timedelta(days=365)) == NOW + LONGEST_WAIT
    assert next_attempt(NOW, 8, 0.5, timedelta(seconds=1)) is None


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        (429, "120", 120),
        (503, "0", 0),
        (503, format_datetime(NOW + timedelta(hours=1), usegmt=True), 3600),
        (429, format_datetime(NOW - timedelta(hours=1), usegmt=True), 0),
        (429, "9" * 400, 10**8),
        (500, "120", None),
        (429, "", None),
        (429, "soon", None),
        (429, "-5", None),
        (429, "Sun, 22 Nov 2026 12:00:00", None),
        (503, "Fri, 01 Jan 99999999999 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(status: int, header: str, seconds: int | None) -> None:
    asked = asked_wait(NOW, status, header)
    assert asked == (None if seconds is None else timedelta(seconds=seconds))


def rotated(*ages: timedelta) -> Webhook:
    state = WEBHOOK.initial
    for version, age in enumerate(ages, start=1):
        state = evolve(state, WebhookSecretRotated(credential_version=version, at=NOW - age))
    return state


def test_a_secret_that_was_replaced_signs_for_a_day_more() -> None:
    day, hour = timedelta(days=1), timedelta(hours=1)
    assert rotated().signing_versions(NOW) == []
    assert rotated(9 * day).signing_versions(NOW) == [1]
    assert rotated(9 * day, hour).signing_versions(NOW) == [2, 1]
    assert rotated(9 * day, 25 * hour).signing_versions(NOW) == [2]
    assert rotated(9 * day, 2 * hour, hour).signing_versions(NOW) == [3, 2, 1]
    assert rotated(9 * day, 25 * hour, hour).signing_versions(NOW) == [3, 2]


def test_a_webhook_is_disabled_and_enabled_once() -> None:
    notice = Notice(NOW, "Nothing has arrived.")
    (event,) = disable(WEBHOOK.initial, notice, NOW - timedelta(days=5))
    assert event == WebhookDisabled(message="Nothing has arrived.", at=NOW, failing_since=NOW - timedelta(days=5))
    disabled = evolve(WEBHOOK.initial, event)
    assert disabled.notice == notice
    assert disable(disabled, notice, None) == ()
    assert evolve(disabled, enable(disabled)[0]).notice is None
    assert enable(WEBHOOK.initial) == ()


def test_every_project_has_a_webhook_stream_of_its_own() -> None:
    assert webhook_id(TENANT) == webhook_id(TENANT)
    assert webhook_id(TENANT) != webhook_id(new_id())
