"""Loading a manifest that a test has written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.connectors.loader import load_app
from domain.apps.app import App


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], App]:
    def write_and_load(text: str) -> App:
        (tmp_path / "acme").mkdir()
        (tmp_path / "acme" / "app.toml").write_text(text, encoding="utf-8")
        return load_app(tmp_path / "acme")

    return write_and_load
