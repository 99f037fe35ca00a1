"""Reads the catalogue: one folder per app, with its manifest in app.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from adapters.connectors.catalogue_check import ANYWHERE_RULES, RULES, Rule, complaints_about
from domain.apps.app import App

CATALOGUE = Path(__file__).parent / "catalogue"


class BrokenManifest(Exception):
    """A manifest cannot be used; the message names the file, the place and what to write instead."""


def load_catalogue(
    folder: Path = CATALOGUE, more: Path | None = None, *, allow_private_networks: bool = False
) -> Mapping[str, App]:
    """All apps by key, in the order of their keys. BrokenManifest at the first manifest that breaks a rule.

    ``more`` is a folder of the operator's own; one of its apps replaces the catalogue's of the same key. With
    ``allow_private_networks`` those may be anywhere, also at plain http addresses.
    """
    apps = {path.name: load_app(path) for path in _folders(folder)}
    if more is not None:
        rules = ANYWHERE_RULES if allow_private_networks else RULES
        apps |= {path.name: load_app(path, rules) for path in _folders(more)}
    return MappingProxyType(dict(sorted(apps.items())))


def _folders(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(("_", "."))]


def load_app(folder: Path, rules: tuple[Rule, ...] = RULES) -> App:
    """The app whose manifest is app.toml in this folder, which is named by the app's key."""
    file = folder / "app.toml"
    shown = f"{folder.name}/{file.name}"
    try:
        app = msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), App, strict=True)
    except OSError as error:
        raise BrokenManifest(f"{shown}: cannot be read ({error.strerror}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BrokenManifest(f"{shown}: is not TOML: {error}.") from None
    except msgspec.ValidationError as error:
        raise BrokenManifest(f"{shown}: {error}.") from None
    complaints = complaints_about(app, rules)
    if app.key != folder.name:
        complaints.insert(0, f'key is "{app.key}"; write the name of the folder, "{folder.name}"')
    if complaints:
        raise BrokenManifest("\n".join(f"{shown}: {complaint}." for complaint in complaints))
    return app
