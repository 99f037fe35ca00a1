"""What a provider's error codes mean to the person who connects: the registered codes, in our words."""

from __future__ import annotations

_MEANINGS = {
    "access_denied": "{app} was not allowed to share the account. If that was not meant, try again and agree.",
    "invalid_request": "{app} sent you back without an answer. Try again.",
    "unauthorized_client": "{app} does not let this application connect accounts in this way; its developer has to look at it.",
    "unsupported_response_type": "{app} does not let this application connect accounts in this way; its developer has to look at it.",
    "invalid_scope": "{app} does not know a permission that was asked for; the application's developer has to look at it.",
    "server_error": "{app} had a problem of its own. Try again in a moment.",
    "temporarily_unavailable": "{app} is overloaded or in maintenance. Try again later.",
    "invalid_client": "{app} does not accept this application's client id or secret; its developer has to look at it.",
    "invalid_grant": "{app} does not take the answer that it gave: it may have waited too long. Try again.",
    "login_required": "{app} wants you to log in first. Try again.",
    "consent_required": "{app} wants your consent. Try again and agree.",
    "interaction_required": "{app} wants to ask you something. Try again.",
    "account_selection_required": "{app} wants you to choose an account. Try again.",
}
"""RFC 6749, 4.1.2.1 and 5.2; OpenID Connect Core 1.0, 3.1.2.6."""


def reason_of(code: str) -> str:
    """The provider's code where it is a registered one, else nothing: codes that nobody registered may say anything."""
    return code if code in _MEANINGS else ""


def explained(app_name: str, code: str) -> str:
    """A sentence for the person. Of codes that nobody registered only the app is named: they may say anything."""
    return _MEANINGS.get(code, "{app} did not connect the account. Try again.").format(app=app_name)
