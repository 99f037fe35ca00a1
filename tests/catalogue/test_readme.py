"""The app that the README adds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from domain.apps.app import App, OAuth2Scheme

README = Path(__file__).parents[2] / "README.md"


def test_the_app_of_the_readme_loads(load: Callable[[str], App]) -> None:
    section = README.read_text(encoding="utf-8").split("## Adding an app", 1)[1]
    (scheme,) = load(section.split("```toml\n", 1)[1].split("```", 1)[0]).auth
    assert isinstance(scheme, OAuth2Scheme)
