"""Runs django-oauth-toolkit in one file: settings, pages and addresses; the database is SQLite in a folder of its own."""

from pathlib import Path
from tempfile import TemporaryDirectory

import django
from django.conf import settings as django_settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from lines import Settings, read_settings, serve

_HEAD = '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
_PAGES = {
    "login.html": _HEAD
    + """<title>Log in</title><h1>Log in</h1><form method="post">{% csrf_token %}
<label>Name <input name="username" required></label> <button>Log in</button></form></html>""",
    "oauth2_provider/authorize.html": _HEAD
    + """<title>Allow access</title>{% if error %}<h1>{{ error.error }}</h1><p>{{ error.description }}</p>{% else %}
<h1>Allow access</h1><form method="post">{% csrf_token %}{% for field in form.hidden_fields %}{{ field }}{% endfor %}{{ form.errors }}
<p>{{ application.name }} asks for: {{ scopes_descriptions|join:", " }}</p>
<input type="submit" value="Cancel"> <input type="submit" name="allow" value="Allow"></form>{% endif %}</html>""",
}


class AnyName:
    """Every name is a user, made at the first login."""

    def authenticate(self, request: object, username: str) -> object:
        return get_user_model().objects.get_or_create(username=username)[0]

    def get_user(self, user_id: int) -> object:
        return get_user_model().objects.filter(pk=user_id).first()


def oauth_settings(given: Settings) -> Settings:
    return {
        "ACCESS_TOKEN_EXPIRE_SECONDS": given["access_seconds"],
        "REFRESH_TOKEN_EXPIRE_SECONDS": given["refresh_seconds"],
        "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": given["grace_seconds"],
        "REFRESH_TOKEN_REUSE_PROTECTION": True,
        "ROTATE_REFRESH_TOKEN": given["rotates"],
        "PKCE_REQUIRED": True,
        "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,
        "SCOPES": {"read": "Read", "write": "Write", "introspection": "Introspect"},
        "DEFAULT_SCOPES": ["read"],
    }


def configure(given: Settings, folder: str) -> None:
    django_settings.configure(
        SECRET_KEY=given["secret_key"],
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF=__name__,
        LOGIN_URL="/login",
        USE_TZ=True,
        LOGGING_CONFIG=None,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[
            *(f"django.contrib.{name}" for name in ("auth", "contenttypes", "sessions")),
            "oauth2_provider",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        MIGRATION_MODULES=dict.fromkeys(("auth", "contenttypes", "sessions", "oauth2_provider")),
        AUTHENTICATION_BACKENDS=[f"{__name__}.AnyName"],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": Path(folder) / "provider.sqlite",
                "OPTIONS": {
                    "timeout": 20,
                    "transaction_mode": "IMMEDIATE",
                    "init_command": "pragma journal_mode=wal; pragma synchronous=off",
                },
            }
        },
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {"loaders": [("django.template.loaders.locmem.Loader", _PAGES)]},
            }
        ],
        OAUTH2_PROVIDER=oauth_settings(given),
    )
    django.setup()


given = read_settings()
folder = TemporaryDirectory(prefix="causeway-provider-")
configure(given, folder.name)

# The rest can be imported only when the settings are known.
from django.contrib.auth import authenticate, get_user_model, login  # noqa: E402
from django.http import HttpRequest, HttpResponse, JsonResponse  # noqa: E402
from django.shortcuts import redirect, render  # noqa: E402
from django.urls import include, path  # noqa: E402
from django.utils.http import url_has_allowed_host_and_scheme  # noqa: E402
from oauth2_provider.decorators import protected_resource  # noqa: E402
from oauth2_provider.models import AccessToken, Application, Grant, RefreshToken  # noqa: E402


def login_page(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return render(request, "login.html")
    user = authenticate(request, username=request.POST["username"])
    login(request, user)
    onwards = request.GET.get("next", "/")
    return redirect(onwards if url_has_allowed_host_and_scheme(onwards, request.get_host()) else "/")


@protected_resource()
def resource(request: HttpRequest) -> JsonResponse:
    """Answers 403 to any token that does not work, as this software does."""
    user = request.resource_owner  # type: ignore[attr-defined]
    token = request.auth if hasattr(request, "auth") else None
    return JsonResponse(
        {"owner": user.username if user else _client_of(request), "scope": token.scope if token else ""}
    )


def _client_of(request: HttpRequest) -> str:
    token = AccessToken.objects.get(token=request.headers["Authorization"].removeprefix("Bearer "))
    return f"client:{token.application.client_id}"


urlpatterns = [path("login", login_page), path("resource", resource), path("o/", include("oauth2_provider.urls"))]


def register(client_id: str, secret: str, grant: str) -> None:
    Application.objects.create(
        client_id=client_id,
        client_secret=secret,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=grant,
        name="Causeway",
        redirect_uris=f"{given['url']}/registered-first",
    )


def obey(line: Settings) -> None:
    if uri := line.get("redirect"):
        for application in Application.objects.filter(authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE):
            application.redirect_uris += f" {uri}"
            application.save()
    if user := line.get("withdraw"):
        for granted in (RefreshToken, AccessToken, Grant):
            granted.objects.filter(user__username=user).delete()


call_command("migrate", run_syncdb=True, verbosity=0)
register(*given["client"], Application.GRANT_AUTHORIZATION_CODE)
register(*given["machine"], Application.GRANT_CLIENT_CREDENTIALS)
try:
    serve(get_wsgi_application(), obey)
finally:
    folder.cleanup()
