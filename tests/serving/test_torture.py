"""The torture programs, for a moment: that they find nothing, and that they would."""

import argparse
from pathlib import Path

import pytest

from scripts import torture_delete_project, torture_kill, torture_refresh, torture_stale, torture_tailing
from scripts.torturing.refresh_child import MUTANTS, STANDS_STILL, STARTED
from scripts.torturing.refresh_kills import ROTATED, STORING
from scripts.torturing.verdict import Verdict, parser
from tests.conftest import Ground


def clean(verdict: Verdict) -> bool:
    assert verdict.violations == [], verdict.told(as_json=False)
    return True


def options(**given: object) -> argparse.Namespace:
    return argparse.Namespace(json=False, **given)


@pytest.mark.parametrize("mutant", [False, True], ids=["the store", "a store without the head lock"])
async def test_tailing_readers_miss_nothing_and_the_probe_notices_when_they_do(ground: Ground, mutant: bool) -> None:
    verdict = await torture_tailing.torture(
        options(seconds=2.5, writers=3, tenants=1, server=ground.server_dsn, mutant=mutant)
    )
    assert clean(verdict)
    assert verdict.did["events acknowledged"] > 0


async def test_nothing_acknowledged_is_lost_or_doubled_when_processes_and_postgresql_are_killed() -> None:
    verdict = await torture_kill.torture(options(seconds=5, processes=2, customers=6))
    assert clean(verdict)
    assert any(what.startswith("kills of") for what in verdict.did)


async def test_no_process_shows_what_another_has_changed_already() -> None:
    assert clean(await torture_stale.torture(options(seconds=3, processes=4, users=4)))


async def test_nothing_survives_the_deletion_of_a_project_while_imports_run() -> None:
    assert clean(await torture_delete_project.torture(options(seconds=1, processes=3, callers=4)))


REFRESH = {"seconds": 1, "processes": 4, "users": 50, "access_seconds": 3, "lease": 3.0, "oidc": False}


async def test_a_refresh_happens_once_whoever_wants_it_and_whoever_is_killed_over_it(ground: Ground) -> None:
    steps = [STARTED, ROTATED, STORING, STANDS_STILL]
    verdict = await torture_refresh.torture(options(**REFRESH, server=ground.server_dsn, step=steps, mutant=None))
    assert clean(verdict)
    assert verdict.did["rounds at the moment of expiry"] > 0
    assert verdict.did["kills"] == 4  # that of the answer with either kind of provider


@pytest.mark.parametrize("mutant", MUTANTS)
async def test_the_refresh_probe_notices_what_refreshers_do_wrong(ground: Ground, mutant: str) -> None:
    assert clean(await torture_refresh.torture(options(**REFRESH, server=ground.server_dsn, step=[], mutant=mutant)))


def test_a_verdict_says_what_was_done_and_what_was_wrong() -> None:
    verdict = Verdict("a torture")
    verdict.did["things"] = 1_000
    assert verdict.told(as_json=False) == "a torture: 1,000 things\nEvery promise was kept."
    verdict.check(False, "a thing broke")
    verdict.check(True, "not this")
    assert "violated: a thing broke" in verdict.told(as_json=False)
    assert verdict.told(as_json=True) == (
        '{"torture": "a torture", "did": {"things": 1000}, "violations": ["a thing broke"]}'
    )


def test_every_program_is_found_by_the_command() -> None:
    programs = {path.stem for path in (Path(__file__).parents[2] / "scripts").glob("torture_*.py")}
    assert programs == {
        "torture_delete_project",
        "torture_kill",
        "torture_refresh",
        "torture_stale",
        "torture_tailing",
    }
    assert parser("kill", "", 30).parse_args([]).seconds == 30
