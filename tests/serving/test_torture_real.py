"""The torture programs, for long enough to meet what happens rarely."""

import json
import subprocess
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "scripts" / "torture"


@pytest.mark.real
@pytest.mark.parametrize(
    "arguments",
    [
        ("tailing", "--seconds", "30"),
        ("tailing", "--seconds", "10", "--mutant"),
        ("kill", "--seconds", "60"),
        ("stale", "--seconds", "40"),
        ("delete_project", "--seconds", "40"),
        ("refresh", "--seconds", "60"),
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_every_promise_is_kept(arguments: tuple[str, ...]) -> None:
    ran = subprocess.run([PROGRAM, *arguments, "--json"], capture_output=True, text=True, timeout=600)
    told = json.loads(ran.stdout)
    assert (told["violations"], ran.returncode) == ([], 0), ran.stderr
    assert sum(told["did"].values()) > 100


def test_an_unknown_program_is_answered_with_the_known_ones() -> None:
    ran = subprocess.run([PROGRAM, "everything"], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 2
    assert "tailing" in ran.stderr and "delete_project" in ran.stderr
