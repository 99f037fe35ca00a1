"""The providers' programs as processes: they end with whoever started them, and say why when they cannot start."""

import asyncio
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from scripts.providers.installing import NotInstallable, node_program, python_program
from scripts.providers.program import Program, ProgramEnded

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parents[2]
STARTER = """
import asyncio
from scripts.providers.{module} import {name}

async def main():
    provider = await {name}.start()
    print(provider._program.port, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("module", "name"),
    [("oidc", "OidcProvider"), ("django_toolkit", "DjangoToolkit"), ("oauth1", "OAuth1Provider")],
    ids=["oidc-provider", "django-oauth-toolkit", "oauth1"],
)
async def test_a_provider_ends_with_the_process_that_started_it(module: str, name: str) -> None:
    if name == "OidcProvider":
        _needs_node()
    starter = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTER.format(module=module, name=name), cwd=ROOT, stdout=subprocess.PIPE
    )
    assert starter.stdout is not None
    port = int(await starter.stdout.readline())
    assert await _listens(port)

    starter.kill()
    await starter.wait()

    async with asyncio.timeout(30):
        while await _listens(port):
            await asyncio.sleep(0.05)


async def test_a_program_that_cannot_start_says_why() -> None:
    with pytest.raises(ProgramEnded, match="KeyError: 'client'"):
        await Program.start(python_program("oauth1.py"), {"url": "http://127.0.0.1:9"})


async def test_a_program_that_fails_at_a_task_says_why_and_goes_on() -> None:
    _needs_node()
    settings = {"url": "http://127.0.0.1:9", "accessSeconds": 60, "refreshSeconds": 60, "rotates": True, "clients": []}
    program = await Program.start(node_program("provider.mjs"), settings)

    with pytest.raises(ProgramEnded, match="what to do"):
        await program.ask({"dance": True})

    assert await program.ask({"withdraw": "alice"}) == {}
    await program.stop()


def _needs_node() -> None:
    try:
        node_program("provider.mjs")
    except NotInstallable as reason:
        pytest.skip(str(reason))


async def _listens(port: int) -> bool:
    with suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True
    return False
