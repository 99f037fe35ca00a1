"""Loading: how long each store takes to read and decode one stream."""

import sys
from dataclasses import dataclass

from bench.report import Sample, sample_of
from bench.running import Team, parser, run

DESCRIPTION = """\
One caller loads streams of 100 events of about 200 bytes, one after the other in turn over 200 streams, and has all
events decoded: with eventsourcing through its event store and mapper, with message-db through get_stream_messages, with
Emmett through readStream. Every answer must have all events.

Printed: loads per second, p50 and p99 of one load, as medians over the rounds with min..max."""
CELL = "load-100"
_STREAMS, _EVENTS = 200, 100


@dataclass
class Load:
    """The one cell of this program."""

    seconds: float
    warm_up: float
    name: str = CELL
    kind: str = "load"
    processes: int = 1

    def prepare(self, team: Team) -> None:
        for _ in range(_STREAMS // 10):
            team.drivers[0].ask("seed", tenant=0, streams=10, events=_EVENTS)
        team.analyze()

    def measure(self, team: Team) -> Sample:
        answer = team.drivers[0].ask("load", tenant=0, events=_EVENTS, warm_up=self.warm_up, seconds=self.seconds)
        return sample_of(answer["latencies_us"], self.seconds)

    def verify(self, team: Team) -> None:
        """Each load has been checked by the driving process."""


def main() -> int:
    options = parser(DESCRIPTION, [CELL]).parse_args()
    return run([Load(options.seconds, options.warm_up)], options)


if __name__ == "__main__":
    sys.exit(main())
