"""Facts that must be unique in their tenant: an external id, an app per project, a connection per end user and app, and such."""

from __future__ import annotations

from uuid import UUID

import msgspec


class Fact(msgspec.Struct, frozen=True):
    """``kind`` says which uniqueness is meant; ``key`` (up to 200 characters) never contains personal text: digests do."""

    kind: str
    key: str


def end_user_fact(external_id_digest: bytes) -> Fact:
    return Fact("end_user", external_id_digest.hex())


def integration_fact(app_key: str) -> Fact:
    return Fact("integration", app_key)


def end_user_connection_fact(external_id_digest: bytes, app_key: str) -> Fact:
    return Fact("end_user_connection", f"{external_id_digest.hex()}:{app_key}")


def named_connection_fact(end_user_id: UUID, app_key: str, name_digest: bytes) -> Fact:
    """``name_digest`` is made with the end user's own key, so that it says nothing any more once they are erased."""
    return Fact("named_connection", f"{end_user_id}:{app_key}:{name_digest.hex()}")


def end_user_email_fact(email_digest: bytes) -> Fact:
    return Fact("end_user_email", email_digest.hex())


def instance_fact(instance_id: UUID) -> Fact:
    """Taken while the instance is there; gone with the end user that it belongs to."""
    return Fact("instance", str(instance_id))


def developer_connection_fact(app_key: str, name_digest: bytes) -> Fact:
    return Fact("developer_connection", f"{app_key}:{name_digest.hex()}")


def account_email_fact(email_digest: bytes) -> Fact:
    return Fact("account_email", email_digest.hex())


def account_number_fact(number: int) -> Fact:
    return Fact("account_number", str(number))
