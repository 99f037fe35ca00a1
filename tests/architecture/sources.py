"""The product's own modules: imported, so that everything they declare is known, and as syntax trees."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("domain", "projections", "adapters")


def modules(*packages: str) -> Iterator[tuple[Path, ast.Module]]:
    """Every module below these folders, parsed. The path is relative to the root."""
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT), ast.parse(path.read_text())


def import_everything() -> None:
    for path, _ in modules(*PACKAGES):
        importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))


def subclasses(kind: type) -> set[type]:
    return {below for one in kind.__subclasses__() for below in {one, *subclasses(one)}}
