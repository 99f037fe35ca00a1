"""Appends: how many events per second each store takes, and how long one append lasts."""

import sys
from dataclasses import dataclass, field

from bench.driver import DriverError
from bench.report import Sample, sample_of
from bench.running import Team, chosen, parser, run

DESCRIPTION = """\
Appends of one event of about 200 bytes, durable, each with its expected version checked. A caller fills stream after
stream with ten events; the next call starts when the last one has answered. Every store has 16 connections in all, a
fresh database on the same PostgreSQL with default durability, and processes of its own for its callers (Node.js for
the stores from npm), so that no bridge is counted against it. Rounds go round the contenders in turn.

Cells:
  one-tenant         64 callers in one process, all in one tenant (for message-db: one category)
  64-tenants         64 callers in one process, each in a tenant of its own
  4-processes        4 processes of 16 callers and 4 connections each, all in one tenant
  4-processes-64-tenants  the same, each caller in a tenant of its own
  lonely             one caller; the floor is a bare INSERT of one row of the same size, autocommitted

Printed: appends per second, p50 and p99 of one call, as medians over the rounds with min..max. At the end the number of
stored events is compared with the number of acknowledged appends."""


@dataclass
class Append:
    """One cell of appends."""

    name: str
    callers: int
    tenants: int
    processes: int = 1
    kind: str = "append"
    seconds: float = 5
    warm_up: float = 1
    _acknowledged: dict[str, int] = field(default_factory=dict)

    def prepare(self, team: Team) -> None:
        self._acknowledged[team.entry.name] = 0

    def measure(self, team: Team) -> Sample:
        for number, driver in enumerate(team.drivers):
            driver.tell(
                "append",
                callers=self.callers // self.processes,
                first_caller=number * self.callers // self.processes,
                tenants=self.tenants,
                warm_up=self.warm_up,
                seconds=self.seconds,
            )
        answers = [driver.answer() for driver in team.drivers]
        self._acknowledged[team.entry.name] += sum(answer["calls"] for answer in answers)
        return sample_of([latency for answer in answers for latency in answer["latencies_us"]], self.seconds)

    def verify(self, team: Team) -> None:
        stored, acknowledged = team.query(team.entry.count_events), self._acknowledged[team.entry.name]
        if stored != acknowledged:
            raise DriverError(f"{team.entry.name} has acknowledged {acknowledged} events and stored {stored}")


CELLS = {
    "one-tenant": Append("one-tenant", callers=64, tenants=1),
    "64-tenants": Append("64-tenants", callers=64, tenants=64),
    "4-processes": Append("4-processes", callers=64, tenants=1, processes=4),
    "4-processes-64-tenants": Append("4-processes-64-tenants", callers=64, tenants=64, processes=4),
    "lonely": Append("lonely", callers=1, tenants=1, kind="lonely"),
}


def main() -> int:
    options = parser(DESCRIPTION, list(CELLS)).parse_args()
    cells = [CELLS[name] for name in chosen(options.cells, list(CELLS), "cell")]
    for cell in cells:
        cell.seconds, cell.warm_up = options.seconds, options.warm_up
    return run(cells, options)


if __name__ == "__main__":
    sys.exit(main())
