"""Imports: the domain's are the standard library, eventsourcing, msgspec and itself; a start's are what it needs."""

from __future__ import annotations

import ast
import subprocess
import sys

from tests.architecture.sources import ROOT, modules

ALLOWED = {"domain", "eventsourcing", "msgspec"}
INPUT_AND_OUTPUT = {"socket", "ssl", "subprocess", "urllib.request", "http", "pathlib", "shutil", "tempfile", "sqlite3"}
"""Parts of the standard library that decisions have no business with."""


def imported(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a name comes from"
            names |= {f"{node.module}", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_the_domain_imports_nothing_else() -> None:
    foreign = {
        f"{path}: {name}"
        for path, tree in modules("domain")
        for name in imported(tree)
        if (top := name.partition(".")[0]) not in ALLOWED and top not in sys.stdlib_module_names
    }
    assert foreign == set()


def test_the_domain_does_no_input_or_output() -> None:
    found = {
        f"{path}: {name}" for path, tree in modules("domain") for name in imported(tree) if name in INPUT_AND_OUTPUT
    }
    assert found == set()


def test_the_domain_opens_no_file_and_prints_nothing() -> None:
    called = {
        f"{path}:{node.lineno}"
        for path, tree in modules("domain")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("open", "print", "input")
    }
    assert called == set()


def test_every_module_says_in_one_sentence_what_it_is_for() -> None:
    silent = [
        str(path)
        for path, tree in modules("domain", "projections", "adapters")
        if tree.body and not (ast.get_docstring(tree) or "").strip()
    ]
    assert silent == []


def test_nobody_swallows_an_error() -> None:
    swallowed = [
        f"{path}:{node.lineno}"
        for path, tree in modules("domain", "projections", "adapters")
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and all(isinstance(one, ast.Pass) for one in node.body)
    ]
    assert swallowed == []


def test_a_start_does_not_pay_for_the_second_driver_that_one_command_needs() -> None:
    loaded = "import sys, app; print('psycopg' in sys.modules, 'asyncpg' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert ran.stdout.split() == ["False", "True"], ran.stderr
