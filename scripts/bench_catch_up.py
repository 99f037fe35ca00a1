"""Catch-up: how fast a projection of each store comes from nothing to the last event."""

import sys
from dataclasses import dataclass

from bench.driver import DriverError
from bench.report import Sample
from bench.running import Team, parser, run

DESCRIPTION = """\
The same projection over every store: for each stream its count of events, last value and time of the last change,
folded, upserted into one read table, with a checkpoint in the same transaction. The store is filled before (streams of
ten events, one tenant); then the projection starts from nothing in every round and runs to the last event or for
--seconds, whichever comes first. A store with a projector of its own is measured through it:

  eventsourcing      ProjectionRunner: one transaction per event
  message-db         has none: get_category_messages in batches of 5,000, folded in memory, one upsert per batch
  emmett             its PostgreSQL consumer and projector, batches of 5,000, without pause between batches

Printed: events per second that are in the committed read table. After the rounds the read table is compared with what
was reported."""
CELL = "catch-up"
_STREAMS_PER_CALL = 100
_EVENTS_PER_STREAM = 10


@dataclass
class CatchUp:
    """The one cell of this program."""

    events: int
    seconds: float
    name: str = CELL
    kind: str = "catch_up"
    processes: int = 1

    def prepare(self, team: Team) -> None:
        for _ in range(self.events // (_STREAMS_PER_CALL * _EVENTS_PER_STREAM)):
            team.drivers[0].ask("seed", tenant=0, streams=_STREAMS_PER_CALL, events=_EVENTS_PER_STREAM)
        team.analyze()

    def measure(self, team: Team) -> Sample:
        answer = team.drivers[0].ask("project", tenant=0, seconds=self.seconds)
        counted = team.query("SELECT coalesce(sum(events), 0) FROM public.read_model")
        if not 0 < answer["events"] <= counted <= self.events:
            raise DriverError(
                f"{team.entry.name} reports {answer['events']} events, its read table has {counted} of {self.events}"
            )
        return Sample(answer["events"] / answer["seconds"])

    def verify(self, team: Team) -> None:
        stored = team.query(team.entry.count_events)
        if stored != self.events:
            raise DriverError(f"{team.entry.name} was given {self.events} events and has {stored}")


def main() -> int:
    options = parser(DESCRIPTION, [CELL])
    options.add_argument("--events", type=int, default=100_000, help="events in each store (default 100000)")
    arguments = options.parse_args()
    whole = _STREAMS_PER_CALL * _EVENTS_PER_STREAM
    return run([CatchUp(max(whole, arguments.events // whole * whole), arguments.seconds)], arguments)


if __name__ == "__main__":
    sys.exit(main())
