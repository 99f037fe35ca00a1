"""The program's commands, from the words of a shell to an exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence

import uvloop

from adapters.cli.signals import cancel_on_signals
from adapters.logs import configure_logs
from adapters.settings import CannotStart, Settings, load_settings

Command = Callable[[Settings, Sequence[str]], Awaitable[int]]


def tell(line: str) -> None:
    """Says a line to people; an empty one is nothing to say."""
    if line:
        print(line, flush=True)


def run(arguments: Sequence[str], commands: Mapping[str, Command]) -> int:
    """Runs the command that the first argument names with the others; the exit code."""
    if not arguments or arguments[0] not in commands:
        tell(f"usage: app.py {{{','.join(commands)}}} [--help]")
        return 2
    try:
        settings = load_settings(os.environ, is_tty=sys.stderr.isatty())
        configure_logs(settings.log)
        return uvloop.run(_run(commands[arguments[0]](settings, arguments[1:])))
    except CannotStart as reason:
        print(f"causeway: {reason}", file=sys.stderr)
        return 1
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM  # told to stop before it served


async def _run(command: Awaitable[int]) -> int:
    cancel_on_signals()
    return await command
