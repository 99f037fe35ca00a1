"""What signals, and the end of a supervising process, mean to this one."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable


def cancel_on_signals() -> None:
    """Until the service runs, SIGTERM and SIGINT cancel the calling task, so that what was started is stopped."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    if task is not None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)


def stop_on_signals(reload: Callable[[], None]) -> asyncio.Event:
    """Set by SIGINT and SIGTERM; SIGHUP calls ``reload``."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload)
    return stop


def when_parent_ends(call: Callable[[], None]) -> asyncio.Event:
    """Calls once the supervising process is gone, and sets the event: its end of this process's standard input closes
    then.
    """
    gone = asyncio.Event()
    loop, descriptor = asyncio.get_running_loop(), sys.stdin.fileno()

    def end() -> None:
        loop.remove_reader(descriptor)
        gone.set()
        call()

    loop.add_reader(descriptor, end)
    return gone
