"""The file of the installation's own OAuth clients: what it may say, and one line for what is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from adapters.oauth.installation import installation_clients
from adapters.settings import CannotStart, load_settings
from domain.apps.app import ApiKeyScheme, App, Field, OAuth2Scheme
from domain.apps.catalogue import Catalogue
from domain.connections.oauth import Client

KEY = ApiKeyScheme(token_field="key", fields=(Field("key", "Key", ""),))
OAUTH = OAuth2Scheme(authorize_url="https://a.example/authorize", token_url="https://a.example/token")
HOSTED = OAuth2Scheme(
    authorize_url="https://{host}/authorize",
    token_url="https://{host}/token",
    client_fields=(Field("host", "Host", ""),),
)


def app(key: str, *schemes: ApiKeyScheme | OAuth2Scheme) -> App:
    return App(key, key, "", (), (), schemes, ())


CATALOGUE = Catalogue({one.key: one for one in (app("both", KEY, OAUTH), app("hosted", HOSTED), app("keyed", KEY))})
GOOD = """
[both]
client_id = "id"
client_secret = "planted-secret"
[hosted]
client_id = "public"
[hosted.fields]
host = "login.acme.example"
"""


def read(folder: Path, text: str | bytes, mode: int = 0o600) -> tuple[dict[str, Client], list[str]]:
    path, warnings = folder / "clients.toml", list[str]()
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return dict(installation_clients(path, CATALOGUE, warnings.append)), warnings


def test_its_clients_are_read_by_app(tmp_path: Path) -> None:
    clients, warnings = read(tmp_path, GOOD)
    assert clients == {
        "both": Client("id", "planted-secret"),
        "hosted": Client("public", "", {"host": "login.acme.example"}),
    }
    assert warnings == []


def test_there_need_not_be_one() -> None:
    assert installation_clients(None, CATALOGUE, pytest.fail) == {}


def test_others_should_not_read_it(tmp_path: Path) -> None:
    _, warnings = read(tmp_path, GOOD, 0o640)
    assert len(warnings) == 1 and "chmod 600" in warnings[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[both", "is not TOML"),
        (b"\xff", "is not UTF-8"),
        ("both = 5", "is wrong at [both]"),
        ("[both]", "client_id"),
        ('[both]\nclient_id = ""', "client_id is empty"),
        ('[both]\nclient_id = "id"\nclient_secert = "planted-secret"', "client_secert"),
        ('[both]\nclient_id = "id"\nclient_secret = 5', "client_secret"),
        ('[nonsense]\nclient_id = "id"', "[nonsense], which is no app"),
        ('[keyed]\nclient_id = "id"', "[keyed], which is not connected with OAuth"),
        ('[hosted]\nclient_id = "id"', '"host" (Host) is missing'),
        ('[both]\nclient_id = "id"\n[both.fields]\nhost = "planted-secret"', 'no field "host"'),
    ],
)
def test_what_is_wrong_is_said_in_one_line_without_a_secret(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(CannotStart) as refused:
        read(tmp_path, text)
    message = str(refused.value)
    assert said in message and message.startswith("CAUSEWAY_OAUTH_CLIENTS: the file ")
    assert "\n" not in message and "planted-secret" not in message


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="cannot be read: No such file"):
        installation_clients(tmp_path / "nothing.toml", CATALOGUE, pytest.fail)


def test_the_setting_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "clients.toml"
    settings = load_settings({"CAUSEWAY_OAUTH_CLIENTS": str(path), "HOME": os.fspath(tmp_path)})
    assert settings.oauth_clients == path
    with pytest.raises(CannotStart, match="CAUSEWAY_OAUTH_CLIENTS is"):
        load_settings({"CAUSEWAY_OAUTH_CLIENTS": "~/clients.toml", "HOME": os.fspath(tmp_path)})
