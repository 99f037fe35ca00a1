"""Rotating the master key: what scripts/rotate_keys says while the data keys are wrapped anew."""

from __future__ import annotations

import argparse
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from adapters.cli.progress import Out, ProgressLine

_DESCRIPTION = (
    "Wraps all data keys anew under the first of the master keys, while the service runs. Nothing else is touched."
    " May be stopped and run again."
)
_BY_HAND = """\
The master keys are in CAUSEWAY_MASTER_KEY itself, which only you can change:
  1. Make a key, here as k2 (an id that was never used):
       python3 -c 'import base64, secrets; print("k2:" + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())'
  2. Add it after the keys that are there and restart every service, so that all of them know it.
  3. Move it to the front and restart every service again.
  4. Run scripts/rotate_keys, without --new. Then the old key may be taken out."""


class Rotation(Protocol):
    """What rotates: counts data keys under other master keys, and moves them batch by batch."""

    @property
    def current(self) -> str: ...

    async def new_key(self) -> str: ...

    async def waiting(self) -> int: ...

    def run(self) -> AsyncIterator[int]: ...


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/rotate_keys", description=_DESCRIPTION)
    parser.add_argument(
        "--new", action="store_true", help="first make a master key and put it in front in the key file"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per line: progress, then the outcome")
    return parser.parse_args(arguments)


async def rotate(
    rotation: Rotation, key_file: Path | None, others: list[str], chosen: argparse.Namespace, out: Out
) -> int:
    """The exit code: 2 when --new cannot write where the keys come from. ``others`` are the keys after the current one."""
    if chosen.new and key_file is None:
        out.line(json.dumps({"error": _BY_HAND}) if chosen.json else _BY_HAND)
        return 2
    if chosen.new:
        others = [rotation.current, *others]
        made = await rotation.new_key()
        out.line(json.dumps({"new_key": made}) if chosen.json else f"The new master key {made} is first in {key_file}.")
    line = ProgressLine(out, unit="data keys", as_json=chosen.json)
    done, total = 0, await rotation.waiting()
    async for moved in rotation.run():
        done += moved
        total = max(total, done)
        line({"master_key": rotation.current}, done, total)
    line.leave()
    if chosen.json:
        out.line(json.dumps({"current": rotation.current, "rewrapped": done, "removable": others}))
        return 0
    for told in _outcome(rotation.current, done, others, str(key_file or "CAUSEWAY_MASTER_KEY")):
        out.line(told)
    return 0


def _outcome(current: str, done: int, others: Sequence[str], where: str) -> Iterator[str]:
    counted = f"{done:,} data key{'' if done == 1 else 's'} rewrapped" if done else "Nothing to do"
    yield f"{counted}: all are under the master key {current}."
    if others:
        yield f"No longer needed in {where}: {', '.join(others)}. Older backups of the database still need them."
