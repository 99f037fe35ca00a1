"""A write that is stored is answered as stored, even when the database goes away before its read models have followed."""

from __future__ import annotations

from uuid import uuid4

from adapters.postgres.pool import Pool
from domain.ports import StorageAway
from projections.follower import Follower


class Unlucky:
    """A projector whose first calls lose their connection."""

    def __init__(self, losses: int) -> None:
        self.losses = losses
        self.calls = 0

    async def catch_up(self, tenants: list[object]) -> dict[object, int]:
        self.calls += 1
        if self.calls <= self.losses:
            raise StorageAway("ConnectionDoesNotExistError")
        return dict.fromkeys(tenants, 1)


async def test_a_follower_outlives_a_lost_connection(pool: Pool) -> None:
    unlucky = Unlucky(losses=2)
    follower = Follower(pool, unlucky, print)  # type: ignore[arg-type]
    await follower.follow(uuid4(), 1)
    assert unlucky.calls == 3
