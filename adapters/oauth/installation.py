"""The OAuth clients that the installation itself has at providers: a file of TOML, one table per app."""

from __future__ import annotations

import stat
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

import msgspec

from adapters.settings import OAUTH_CLIENTS, CannotStart
from domain.apps.app import OAuth1Scheme, OAuth2Scheme, Scheme
from domain.apps.catalogue import AppNotFound, Catalogue
from domain.apps.connection_fields import InvalidFields, check_client_fields
from domain.connections.oauth import Client


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``fields`` are the manifest's client_fields."""

    client_id: str
    client_secret: str = ""
    fields: dict[str, str] = {}

    def __repr__(self) -> str:
        return "_Entry(...)"


def installation_clients(
    path: Path | None, catalogue: Catalogue, warn: Callable[[str], object]
) -> Mapping[str, Client]:
    """The clients by app; none without a file. CannotStart, in one line without any secret, when the file cannot be used; ``warn``
    hears when others may read it.
    """
    if path is None:
        return {}
    tables = _read(path, warn)
    return {app_key: _client(path, catalogue, app_key, table) for app_key, table in tables.items()}


def _read(path: Path, warn: Callable[[str], object]) -> dict[str, object]:
    try:
        mode = path.stat().st_mode
        tables = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        _refuse(path, f"cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        _refuse(path, "is not UTF-8")
    except tomllib.TOMLDecodeError as error:
        line = f" (line {error.lineno})" if hasattr(error, "lineno") else ""
        _refuse(path, f'is not TOML{line}; write [github], client_id = "...", client_secret = "..."')
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        warn(f"{OAUTH_CLIENTS}: others may read {path}; run: chmod 600 {path}")
    return tables


def _client(path: Path, catalogue: Catalogue, app_key: str, table: object) -> Client:
    try:
        entry = msgspec.convert(table, _Entry)
        scheme = _scheme(path, catalogue, app_key)
        fields = check_client_fields(scheme, entry.fields)
    except msgspec.ValidationError as error:
        _refuse(path, f"is wrong at [{app_key}]: {error}")
    except AppNotFound:
        _refuse(path, f"names [{ascii(app_key)[1:-1]}], which is no app of the catalogue")
    except InvalidFields as refusal:
        _refuse(path, f"is wrong at [{app_key}.fields]: {refusal.message}")
    if not entry.client_id.strip():
        _refuse(path, f"is wrong at [{app_key}]: client_id is empty")
    return Client(entry.client_id, entry.client_secret, fields)


def _scheme(path: Path, catalogue: Catalogue, app_key: str) -> Scheme:
    for scheme in catalogue.app(app_key).auth:
        if isinstance(scheme, OAuth2Scheme | OAuth1Scheme):
            return scheme
    _refuse(path, f"names [{app_key}], which is not connected with OAuth")


def _refuse(path: Path, wrong: str) -> NoReturn:
    raise CannotStart(f"{OAUTH_CLIENTS}: the file {path} {wrong}") from None
