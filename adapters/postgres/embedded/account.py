"""The unprivileged account that the embedded PostgreSQL runs as, because PostgreSQL refuses root."""

import os
import pwd
import re
import subprocess
import tempfile
from pathlib import Path

import msgspec

from adapters.settings import CannotStart

OWN_DATABASE = "or give a database of your own in CAUSEWAY_DATABASE_URL"
TELLING = re.compile(r"(?:(?:FATAL|PANIC|error):|LOG:(?=.*(?:invalid|unrecognized|could not))) +(.+)")


class Account(msgspec.Struct, frozen=True):
    """An entry of the passwd database; `switch` is set when it is not the account the service runs as."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    switch: bool


class Output(msgspec.Struct, frozen=True):
    """How a program ended: its exit code and all that it printed."""

    code: int
    text: str

    def reason(self) -> str:
        """In one line, what tells most about a failure."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        telling = [found[1] for line in lines if (found := TELLING.search(line))]
        return "; ".join(telling[-2:]) or (lines[-1] if lines else f"exit code {self.code}")


def choose_account(data_dir: Path) -> Account:
    """The current user; for root the owner of the existing `pg` folder, else `causeway` if it exists, else `nobody`.

    Raises CannotStart when there is no account that PostgreSQL accepts.
    """
    uid = os.geteuid()
    if uid != 0:
        return _current(uid)
    cluster = data_dir / "pg"
    if (cluster / "PG_VERSION").exists():
        return _owner(cluster)
    for name in ("causeway", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return _account(entry, switch=True)
    raise CannotStart(f"PostgreSQL does not run as root: make an account named causeway, {OWN_DATABASE}")


def service_user() -> str:
    """The name of the operating system user that this service runs as."""
    return pwd.getpwuid(os.geteuid()).pw_name


def run_as(account: Account | None, *command: str | Path, stdin: str = "") -> Output:
    """Run a program to its end as the account (None: as ourselves), with a clean environment.

    It is kept away from the terminal's signals, and its output goes through a file without a name, so that a server
    it leaves behind holds no pipe of ours.
    Raises CannotStart when the program cannot be run at all.
    """
    other = account if account is not None and account.switch else None
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as printed:
        given.write(stdin.encode())
        given.seek(0)
        try:
            done = subprocess.run(  # noqa: S603 (our own programs, no shell)
                [str(word) for word in command],
                stdin=given,
                stdout=printed,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "TZ": "UTC"},
                start_new_session=True,
                umask=0o077,
                user=other.uid if other else None,
                group=other.gid if other else None,
                extra_groups=other.groups if other else None,
            )
        except OSError as error:
            name = f"{Path(command[0]).name} as {other.name}" if other else str(command[0])
            raise CannotStart(f"cannot run {name} ({error.strerror}): allow it, {OWN_DATABASE}") from error
        printed.seek(0)
        return Output(done.returncode, printed.read().decode(errors="replace"))


def _current(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise CannotStart(
            f"user id {uid} has no entry in the passwd database, which PostgreSQL needs: add one, {OWN_DATABASE}"
        ) from None
    return _account(entry, switch=False)


def _owner(cluster: Path) -> Account:
    uid = cluster.stat().st_uid
    if uid == 0:
        raise CannotStart(f"{cluster} belongs to root, and PostgreSQL does not run as root: give it to another account")
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise CannotStart(f"{cluster} belongs to user id {uid}, which does not exist: give it to an account") from None
    return _account(entry, switch=True)


def _account(entry: pwd.struct_passwd, *, switch: bool) -> Account:
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, groups=groups, switch=switch)
