"""All apps that can be integrated, by key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from domain.apps.app import App, Scheme
from domain.errors import Invalid, NotFound


class AppNotFound(NotFound):
    """No app with that key."""

    code = "app_not_found"


class UnknownAuthType(Invalid):
    """The app cannot be connected in that way."""

    code = "unknown_auth_type"


class Catalogue:
    """The apps of this installation."""

    def __init__(self, apps: Mapping[str, App]) -> None:
        self._apps = dict(sorted(apps.items()))

    def __iter__(self) -> Iterator[App]:
        return iter(self._apps.values())

    def app(self, app_key: str) -> App:
        try:
            return self._apps[app_key]
        except KeyError:
            raise AppNotFound(f"There is no app {app_key!r}; GET /subscriptions/v2/Apps lists them.") from None

    def scheme(self, app_key: str, auth_type: str | None = None) -> tuple[App, Scheme]:
        """The app and one of its auth schemes: the first, or the one of that type."""
        app = self.app(app_key)
        for scheme in app.auth:
            if auth_type is None or scheme.type == auth_type:
                return app, scheme
        known = ", ".join(scheme.type for scheme in app.auth)
        raise UnknownAuthType(f"{app_key} cannot be connected with auth_type {auth_type!r}; it has: {known}.")
