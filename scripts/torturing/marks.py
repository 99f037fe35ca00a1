"""The event that the tailing torture writes: who wrote it, and the how-many-eth it was."""

from domain.events import Event


class Marked(Event, frozen=True):
    TOPIC = "torture.marked"
    writer: int
    number: int
