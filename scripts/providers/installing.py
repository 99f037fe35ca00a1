"""Installs the providers' software once, from lock files, into folders that version control ignores."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
NPM = HERE / "npm"
VENV = HERE / ".venv"
PYTHON_LOCK = HERE.parent / "requirements-providers.lock"
_LONGEST_SECONDS = 600


class NotInstallable(Exception):
    """This machine lacks the program that would install or run a provider; the message names it."""


def node_program(name: str) -> list[str | Path]:
    """The command that runs a program in npm/, with its packages installed. Raises NotInstallable."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise NotInstallable("Node.js with npm was not found")
    with _once(NPM / "package-lock.json", NPM / "node_modules/.installed") as missing:
        if missing:
            _run([npm, "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"], NPM)
    return [node, NPM / name]


def python_program(name: str) -> list[str | Path]:
    """The command that runs a program in programs/, with its packages in an environment of their own."""
    python = VENV / "bin/python"
    with _once(PYTHON_LOCK, VENV / ".installed") as missing:
        if missing:
            _run([sys.executable, "-m", "venv", "--clear", VENV], HERE)
            install: list[str | Path] = [
                python,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--require-hashes",
            ]
            _run([*install, "-r", PYTHON_LOCK], HERE)
    return [python, HERE / "programs" / name]


@contextmanager
def _once(lock: Path, mark: Path) -> Iterator[bool]:
    """Whether what the lock file names is still to be installed; when two ask at once, one waits for the other."""
    if mark.exists() and mark.read_bytes() == lock.read_bytes():
        yield False
        return
    with (HERE / ".venv.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        wanted = lock.read_bytes()
        missing = not mark.exists() or mark.read_bytes() != wanted
        yield missing
        if missing:
            mark.write_bytes(wanted)


def _run(command: list[str | Path], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_LONGEST_SECONDS)
    if done.returncode != 0:
        raise RuntimeError(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()[-1000:]}")
