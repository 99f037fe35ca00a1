"""The families of refusal: every 'no' of the domain belongs to one, and each dialect words the family once."""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):
    """A command or question that the domain declines.

    ``code`` names the refusal in logs and in dialects without a vocabulary of their own; it is unique among all
    refusals. ``message`` is for people and never contains a secret.
    """

    code: ClassVar[str] = ""

    def __init__(self, message: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(self.message)


class Unauthenticated(Refusal):
    """The caller did not prove who it is."""


class Forbidden(Refusal):
    """The caller is known, but has no right to this."""


class Invalid(Refusal):
    """The request itself is wrong, whatever the state."""


class TooLarge(Refusal):
    """The request is larger than what is accepted."""


class NotFound(Refusal):
    """What the request names is not there, or not the caller's."""


class Conflict(Refusal):
    """The request is fine, but not in the present state."""


class UpstreamFailed(Refusal):
    """A third party did not do its part."""


class Unavailable(Refusal):
    """Not now: the same request may be sent again later."""


class IdempotencyKeyReused(Conflict):
    """This Idempotency-Key was sent before with another request."""

    code = "idempotency_key_reused"


class TooContended(Unavailable):
    """Too many writers changed the same thing at once; send the request again."""

    code = "too_contended"
