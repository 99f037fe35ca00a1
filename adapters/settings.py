"""The CAUSEWAY_* environment variables, checked once at the start."""

import difflib
import ipaddress
import os
import pwd
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn
from urllib.parse import SplitResult, urlsplit

import msgspec

DATABASE_URL = "CAUSEWAY_DATABASE_URL"
DATABASE_POOLER = "CAUSEWAY_DATABASE_POOLER"
DATA_DIR = "CAUSEWAY_DATA_DIR"
HOST = "CAUSEWAY_HOST"
PORT = "CAUSEWAY_PORT"
MASTER_KEY = "CAUSEWAY_MASTER_KEY"
PUBLIC_URL = "CAUSEWAY_PUBLIC_URL"
LOG = "CAUSEWAY_LOG"
WORKER_PORT = "CAUSEWAY_WORKER_PORT"
METRICS_TOKEN = "CAUSEWAY_METRICS_TOKEN"  # noqa: S105 (the name of a variable)
APPS = "CAUSEWAY_APPS"
ALLOW_PRIVATE_NETWORKS = "CAUSEWAY_ALLOW_PRIVATE_NETWORKS"
OAUTH_CLIENTS = "CAUSEWAY_OAUTH_CLIENTS"
KNOWN = frozenset(
    {
        DATABASE_URL,
        DATABASE_POOLER,
        DATA_DIR,
        HOST,
        PORT,
        MASTER_KEY,
        PUBLIC_URL,
        LOG,
        WORKER_PORT,
        METRICS_TOKEN,
        APPS,
        ALLOW_PRIVATE_NETWORKS,
        OAUTH_CLIENTS,
        "CAUSEWAY_PYTHON",  # read by the scripts, before this program runs
    }
)
SECRET_FIELDS = frozenset({"database_url", "master_key", "metrics_token"})


class CannotStart(Exception):
    """The service cannot start; the message is one line that says what to do next and holds no secret."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator decided.

    `database_url` is empty when the embedded PostgreSQL in `data_dir` is used. With `database_pooler` the URL is a
    pooler in transaction mode: connections must be made with statement_cache_size=0. `port` 0 asks for any free
    port; call `with_port` when it is known. At `worker_port`, if any, a service of workers alone says how it is.
    `apps` is a folder of more apps than the catalogue's, `oauth_clients` the file of the clients that the installation
    has at providers.
    `master_key` is the raw list of id:key, or None to use the key file in `data_dir`.
    """

    database_url: str
    database_pooler: bool
    data_dir: Path
    host: str
    port: int
    master_key: str | None
    public_url: str
    log: str
    metrics_token: str | None
    allow_private_networks: bool
    worker_port: int | None = None
    apps: Path | None = None
    oauth_clients: Path | None = None

    def with_port(self, port: int) -> "Settings":
        """The same settings on the port that was really taken; a public URL that was not given follows it."""
        if self.public_url == default_public_url(self.host, self.port):
            return msgspec.structs.replace(self, port=port, public_url=default_public_url(self.host, port))
        return msgspec.structs.replace(self, port=port)

    def __rich_repr__(self) -> list[tuple[str, object]]:  # msgspec's own would show the secrets
        values = ((field, getattr(self, field)) for field in self.__struct_fields__)
        return [(field, "<hidden>" if value and field in SECRET_FIELDS else value) for field, value in values]

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


def load_settings(environ: Mapping[str, str], *, is_tty: bool = False) -> Settings:
    """Read and check every CAUSEWAY_* variable; one that is set but empty counts as not given.

    `is_tty` says whether people read the log (stderr is a terminal), which decides the default of CAUSEWAY_LOG.
    Raises CannotStart for the first wrong or unknown variable.
    """
    _refuse_unknown(environ)
    given = {name: environ[name].strip() for name in KNOWN if environ.get(name, "").strip()}
    database_url = _database_url(given.get(DATABASE_URL, ""))
    pooler = _flag(given, DATABASE_POOLER)
    if pooler and not database_url:
        _refuse(DATABASE_POOLER, "is set without CAUSEWAY_DATABASE_URL", "give the pooler's URL too, or leave it out")
    host = _host(given.get(HOST, "127.0.0.1"))
    port = _port(PORT, given.get(PORT, "1290"))
    return Settings(
        database_url=database_url,
        database_pooler=pooler,
        data_dir=_data_dir(given.get(DATA_DIR), environ),
        host=host,
        port=port,
        master_key=given.get(MASTER_KEY),
        public_url=_public_url(given[PUBLIC_URL]) if PUBLIC_URL in given else default_public_url(host, port),
        log=_log(given.get(LOG), is_tty),
        metrics_token=_metrics_token(given.get(METRICS_TOKEN)),
        allow_private_networks=_flag(given, ALLOW_PRIVATE_NETWORKS),
        worker_port=_port(WORKER_PORT, given[WORKER_PORT]) if WORKER_PORT in given else None,
        apps=_folder(APPS, given[APPS]) if APPS in given else None,
        oauth_clients=_file(OAUTH_CLIENTS, given[OAUTH_CLIENTS]) if OAUTH_CLIENTS in given else None,
    )


def default_public_url(host: str, port: int) -> str:
    """The address of this machine's own listener; a wildcard host is reached through loopback."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (compared, not bound)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _file(name: str, value: str) -> Path:
    if value.startswith("~") or not value.isprintable():
        _refuse(name, f"is {value!r}", "write the file's path out, without ~ or control characters")
    return Path(value).absolute()


def _folder(name: str, text: str) -> Path:
    folder = Path(text).expanduser()
    if not folder.is_dir():
        _refuse(name, "is not a folder", "write the folder whose subfolders hold one app.toml each")
    return folder


def _refuse(name: str, wrong: str, allowed: str) -> NoReturn:
    raise CannotStart(f"{name} {wrong}; {allowed}") from None


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    for name in sorted(environ):
        if name.startswith("CAUSEWAY_") and name not in KNOWN:
            words = {known.removeprefix("CAUSEWAY_"): known for known in KNOWN}
            near = difflib.get_close_matches(name.removeprefix("CAUSEWAY_"), words, n=1, cutoff=0.7)
            hint = f"did you mean {words[near[0]]}?" if near else f"known are {', '.join(sorted(KNOWN))}"
            _refuse(ascii(name)[1:-1], "is not a setting of this program", hint)


def _flag(given: Mapping[str, str], name: str) -> bool:
    value = given.get(name, "0").lower()
    if value not in ("0", "1", "false", "true"):
        _refuse(name, f"is {value!r}", "allowed are 1 or true, and 0 or false")
    return value in ("1", "true")


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _database_url(value: str) -> str:
    allowed = "write postgresql://user:password@host:5432/database, with special characters percent-encoded"
    if not value:
        return ""
    url = _split(value)
    if url is None or url.scheme not in ("postgres", "postgresql"):
        _refuse(DATABASE_URL, "is not a PostgreSQL URL", allowed)
    if url.fragment:
        _refuse(DATABASE_URL, "has a '#' that is not percent-encoded", allowed)
    hosts = url.netloc.rpartition("@")[2]
    if not hosts and not re.search(r"(^|&)host=[^&]", url.query):
        _refuse(DATABASE_URL, "names no host", allowed)
    if hosts and not all(_is_host_and_port(host) for host in hosts.split(",")):
        _refuse(DATABASE_URL, "has a wrong host or port", allowed)
    return value


def _is_host_and_port(text: str) -> bool:
    found = re.fullmatch(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s\[\]:/]+)(?::(\d{1,5}))?", text)
    return found is not None and (found[1] is None or 1 <= int(found[1]) <= 65535)


def _host(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        if len(value) > 253 or not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", value):
            _refuse(HOST, f"is {value!r}", "allowed is one IP address or host name to listen on, without a port")
    return value


def _port(name: str, value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", value) or int(value) > 65535:
        _refuse(name, f"is {value!r}", "allowed are 1 to 65535, and 0 for any free port")
    return int(value)


def _public_url(value: str) -> str:
    allowed = "write http:// or https://, a host, and if needed a port and a path; no user, query or fragment"
    url = _split(value)
    if url is None or url.scheme not in ("http", "https") or not url.hostname:
        _refuse(PUBLIC_URL, "is not an http or https URL", allowed)
    if "@" in url.netloc:
        _refuse(PUBLIC_URL, "holds a user name or password", allowed)
    if "?" in value or "#" in value:
        _refuse(PUBLIC_URL, "holds a query or a fragment", allowed)
    if not _is_host_and_port(url.netloc) or re.search(r"[\s\x00-\x1f\x7f]", value):
        _refuse(PUBLIC_URL, "has a wrong host, port or path", allowed)
    return value.rstrip("/")


def _log(value: str | None, is_tty: bool) -> str:
    if value is None:
        return "console" if is_tty else "json"
    if value not in ("console", "json"):
        _refuse(LOG, f"is {value!r}", "allowed are console and json")
    return value


def _metrics_token(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[!-~]+", value):
        _refuse(METRICS_TOKEN, "holds a space or a character outside ASCII", "allowed are visible ASCII characters")
    return value


def _data_dir(value: str | None, environ: Mapping[str, str]) -> Path:
    if value is not None:
        if value.startswith("~") or not value.isprintable():
            _refuse(DATA_DIR, f"is {value!r}", "write the folder's path out, without ~ or control characters")
        return Path(value).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/causeway")
    data_home = environ.get("XDG_DATA_HOME", "")
    if data_home.startswith("/"):  # a relative one is to be ignored, says the XDG base directory specification
        return Path(data_home) / "causeway"
    return _home(environ) / ".local/share/causeway"


def _home(environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME", "")
    if not home:
        try:
            home = pwd.getpwuid(os.geteuid()).pw_dir
        except KeyError:
            _refuse(DATA_DIR, "is not given and this user has no home folder", "name the folder to keep data in")
    return Path(home).absolute()
