"""Facts that must be unique in their tenant: an external id, an app per project, a connection per end user and app."""

from __future__ import annotations

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


def developer_connection_fact(app_key: str, name_digest: bytes) -> Fact:
    return Fact("developer_connection", f"{app_key}:{name_digest.hex()}")


def account_email_fact(email_digest: bytes) -> Fact:
    return Fact("account_email", email_digest.hex())


def account_number_fact(number: int) -> Fact:
    return Fact("account_number", str(number))
