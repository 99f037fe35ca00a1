"""What a torture did, what it found, and how that is told."""

import argparse
import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable

_SHOWN = 20


class Verdict:
    """Counts what was done and keeps what was wrong."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.did: Counter[str] = Counter()
        self.violations: list[str] = []

    def check(self, holds: bool, otherwise: str) -> None:
        """``otherwise`` says what is wrong when it does not hold."""
        if not holds:
            self.violations.append(otherwise)

    def told(self, as_json: bool) -> str:
        if as_json:
            return json.dumps({"torture": self.title, "did": self.did, "violations": self.violations})
        did = ", ".join(f"{count:,} {what}" for what, count in self.did.items())
        lines = [f"{self.title}: {did}"]
        kinds = Counter(self.violations).most_common(_SHOWN)
        lines += [
            f"  violated: {violation}" + (f" ({count:,} times)" if count > 1 else "") for violation, count in kinds
        ]
        if len(set(self.violations)) > _SHOWN:
            lines.append("  ... and more")
        lines.append("Every promise was kept." if not self.violations else "A promise was broken.")
        return "\n".join(lines)


def parser(program: str, description: str, seconds: float) -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog=f"scripts/torture {program}", description=description)
    options.add_argument("--seconds", type=float, default=seconds, help=f"how long it goes on ({seconds:g})")
    options.add_argument("--json", action="store_true", help="print one JSON object")
    return options


def run(torture: Callable[[argparse.Namespace], Awaitable[Verdict]], options: argparse.Namespace) -> int:
    """Tortures, prints the verdict, and answers the exit code: 1 when a promise was broken."""
    verdict = asyncio.run(_awaited(torture(options)))
    print(verdict.told(options.json))
    return 1 if verdict.violations else 0


async def _awaited(torture: Awaitable[Verdict]) -> Verdict:
    return await torture
