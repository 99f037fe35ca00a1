"""Apps of the operator's own, in a folder beside the catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.connectors.loader import BrokenManifest, load_catalogue

OWN = """
key = "{key}"
name = "Intranet"
desc = "The service desk of our own."
categories = ["support"]
hosts = ["{host}"]
docs = ["https://intranet.example.com/docs"]

[[auth]]
type = "api_key"
token_field = "apiKey"
place = {{ headers = {{ X-Api-Key = "{{apiKey}}" }} }}

[[auth.fields]]
name = "apiKey"
label = "API key"
desc = "Ask the service desk for one."
type = "password"
secret = true

[auth.test]
method = "GET"
url = "{scheme}://{host}/me"
"""


def write(folder: Path, key: str = "intranet", host: str = "desk.example.com", scheme: str = "https") -> Path:
    (folder / key).mkdir()
    (folder / key / "app.toml").write_text(OWN.format(key=key, host=host, scheme=scheme))
    return folder


def test_an_app_of_one_s_own_stands_beside_the_catalogue_s(tmp_path: Path) -> None:
    apps = load_catalogue(more=write(tmp_path))
    assert apps["intranet"].name == "Intranet"
    assert len(apps) == len(load_catalogue()) + 1
    assert list(apps) == sorted(apps)


def test_it_may_take_the_place_of_the_catalogue_s(tmp_path: Path) -> None:
    assert load_catalogue(more=write(tmp_path, "github"))["github"].name == "Intranet"


def test_an_address_in_a_private_network_needs_the_setting_for_that(tmp_path: Path) -> None:
    write(tmp_path, host="10.1.2.3", scheme="http")
    with pytest.raises(BrokenManifest, match=r"intranet/app\.toml: hosts"):
        load_catalogue(more=tmp_path)
    assert load_catalogue(more=tmp_path, allow_private_networks=True)["intranet"].hosts == ("10.1.2.3",)


def test_the_other_rules_hold_for_it_too(tmp_path: Path) -> None:
    write(tmp_path, "Intranet!")
    with pytest.raises(BrokenManifest, match="small letters"):
        load_catalogue(more=tmp_path, allow_private_networks=True)
