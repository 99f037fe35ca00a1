"""What the operator may write in the CAUSEWAY_* variables."""

import io
import os
import pwd
from pathlib import Path

import pytest
from rich.console import Console

from adapters.settings import CannotStart, load_settings

PASSWORD = "planted-password"
KEY = "k1:planted-key"
TOKEN = "planted-token"


def as_user(monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)


def test_without_any_variable_the_service_listens_on_loopback_with_its_own_database() -> None:
    settings = load_settings({"HOME": "/home/ada"})
    assert (settings.host, settings.port, settings.public_url) == ("127.0.0.1", 1290, "http://127.0.0.1:1290")
    assert (settings.database_url, settings.database_pooler) == ("", False)
    assert (settings.master_key, settings.metrics_token, settings.allow_private_networks) == (None, None, False)
    assert settings.worker_port is None


def test_every_variable_is_read() -> None:
    settings = load_settings(
        {
            "CAUSEWAY_DATABASE_URL": "postgresql://ada:s%40cret@db-1:6432,db-2/prod?sslmode=require",
            "CAUSEWAY_DATABASE_POOLER": "true",
            "CAUSEWAY_DATA_DIR": "/srv/causeway",
            "CAUSEWAY_HOST": "0.0.0.0",
            "CAUSEWAY_PORT": "8080",
            "CAUSEWAY_MASTER_KEY": KEY,
            "CAUSEWAY_PUBLIC_URL": "https://api.example.com/causeway/",
            "CAUSEWAY_WORKER_PORT": "8081",
            "CAUSEWAY_LOG": "json",
            "CAUSEWAY_METRICS_TOKEN": TOKEN,
            "CAUSEWAY_ALLOW_PRIVATE_NETWORKS": "1",
            "CAUSEWAY_PYTHON": "python3.11",
        },
        is_tty=True,
    )
    assert settings.database_url == "postgresql://ada:s%40cret@db-1:6432,db-2/prod?sslmode=require"
    assert settings.database_pooler and settings.allow_private_networks
    assert settings.data_dir == Path("/srv/causeway")
    assert (settings.host, settings.port, settings.log) == ("0.0.0.0", 8080, "json")
    assert settings.worker_port == 8081
    assert (settings.master_key, settings.metrics_token) == (KEY, TOKEN)
    assert settings.public_url == "https://api.example.com/causeway"


def test_a_variable_that_is_set_but_empty_counts_as_not_given() -> None:
    assert load_settings({"HOME": "/h", "CAUSEWAY_PORT": "", "CAUSEWAY_MASTER_KEY": " "}) == load_settings(
        {"HOME": "/h"}
    )


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("CAUSEWAY_PORT", "65536", "0 for any free port"),
        ("CAUSEWAY_PORT", "http", "1 to 65535"),
        ("CAUSEWAY_PORT", "-1", "1 to 65535"),
        ("CAUSEWAY_PORT", "१२", "1 to 65535"),
        ("CAUSEWAY_WORKER_PORT", "none", "1 to 65535"),
        ("CAUSEWAY_HOST", "http://localhost", "without a port"),
        ("CAUSEWAY_HOST", "127.0.0.1:80", "without a port"),
        ("CAUSEWAY_LOG", "xml", "console and json"),
        ("CAUSEWAY_DATABASE_POOLER", "pgbouncer", "1 or true"),
        ("CAUSEWAY_DATABASE_POOLER", "1", "without CAUSEWAY_DATABASE_URL"),
        ("CAUSEWAY_ALLOW_PRIVATE_NETWORKS", "yes", "0 or false"),
        ("CAUSEWAY_DATABASE_URL", f"mysql://ada:{PASSWORD}@db/prod", "not a PostgreSQL URL"),
        ("CAUSEWAY_DATABASE_URL", f"postgresql://ada:{PASSWORD}#1@db/prod", "percent-encoded"),
        ("CAUSEWAY_DATABASE_URL", f"postgresql://ada:{PASSWORD}@db:port/prod", "wrong host or port"),
        ("CAUSEWAY_DATABASE_URL", f"postgresql://ada:{PASSWORD}@[db/prod", "not a PostgreSQL URL"),
        ("CAUSEWAY_DATABASE_URL", "postgresql:///prod", "names no host"),
        ("CAUSEWAY_PUBLIC_URL", "api.example.com", "not an http or https URL"),
        ("CAUSEWAY_PUBLIC_URL", "https://", "not an http or https URL"),
        ("CAUSEWAY_PUBLIC_URL", "https://api.example.com:99999", "wrong host, port or path"),
        ("CAUSEWAY_PUBLIC_URL", "https://api.example.com/?a=1", "query"),
        ("CAUSEWAY_PUBLIC_URL", f"https://ada:{PASSWORD}@api.example.com", "user name or password"),
        ("CAUSEWAY_METRICS_TOKEN", f"{TOKEN} with spaces", "visible ASCII"),
        ("CAUSEWAY_DATA_DIR", "~/data", "without ~"),
        ("CAUSEWAY_DATA_DIR", "/data\nport = 1", "control characters"),
        ("CAUSEWAY_DATABSE_URL", f"postgresql://ada:{PASSWORD}@db/prod", "did you mean CAUSEWAY_DATABASE_URL?"),
        ("CAUSEWAY_COLOUR", "blue", "known are CAUSEWAY_ALLOW_PRIVATE_NETWORKS, "),
    ],
)
def test_a_wrong_variable_stops_the_start_with_one_line_that_names_it_and_keeps_secrets(
    name: str, value: str, says: str
) -> None:
    with pytest.raises(CannotStart) as refusal:
        load_settings({"HOME": "/home/ada", name: value})
    line = str(refusal.value)
    assert line.startswith(name) and says in line
    assert "\n" not in line and PASSWORD not in line and TOKEN not in line
    assert refusal.value.__cause__ is None and refusal.value.__suppress_context__


def test_the_log_is_for_people_on_a_terminal_and_for_machines_elsewhere() -> None:
    assert load_settings({"HOME": "/h"}, is_tty=True).log == "console"
    assert load_settings({"HOME": "/h"}, is_tty=False).log == "json"


def test_a_shown_setting_hides_its_secrets() -> None:
    settings = load_settings(
        {
            "HOME": "/h",
            "CAUSEWAY_DATABASE_URL": f"postgresql://ada:{PASSWORD}@db/prod",
            "CAUSEWAY_MASTER_KEY": KEY,
            "CAUSEWAY_METRICS_TOKEN": TOKEN,
        }
    )
    by_rich = io.StringIO()
    Console(file=by_rich).print(settings)
    for shown in (repr(settings), str(settings), f"{settings}", by_rich.getvalue()):
        assert "port=1290" in shown
        assert "planted" not in shown


def test_a_public_url_that_was_not_given_follows_the_free_port_that_was_taken() -> None:
    settings = load_settings({"HOME": "/h", "CAUSEWAY_PORT": "0", "CAUSEWAY_HOST": "::"})
    assert settings.with_port(4321).public_url == "http://[::1]:4321"
    given = load_settings({"HOME": "/h", "CAUSEWAY_PORT": "0", "CAUSEWAY_PUBLIC_URL": "https://api.example.com"})
    assert (given.with_port(4321).port, given.with_port(4321).public_url) == (4321, "https://api.example.com")


def test_root_keeps_data_with_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 0)
    assert load_settings({"HOME": "/home/ada", "XDG_DATA_HOME": "/x"}).data_dir == Path("/var/lib/causeway")


def test_a_user_keeps_data_in_the_data_home(monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 1000)
    assert load_settings({"HOME": "/home/ada"}).data_dir == Path("/home/ada/.local/share/causeway")
    assert load_settings({"HOME": "/home/ada", "XDG_DATA_HOME": "/x"}).data_dir == Path("/x/causeway")
    assert load_settings({"HOME": "/home/ada", "XDG_DATA_HOME": "x"}).data_dir == Path(
        "/home/ada/.local/share/causeway"
    )


def test_a_user_without_a_home_is_asked_for_a_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    nobodys_id = max(entry.pw_uid for entry in pwd.getpwall()) + 1
    as_user(monkeypatch, nobodys_id)
    with pytest.raises(CannotStart, match="CAUSEWAY_DATA_DIR is not given"):
        load_settings({})


def test_a_relative_data_folder_is_below_the_current_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings({"CAUSEWAY_DATA_DIR": "data"}).data_dir == tmp_path / "data"
