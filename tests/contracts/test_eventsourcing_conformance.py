"""The eventsourcing library's own conformance cases, against the recorders over our store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest
from eventsourcing.persistence import TrackingRecorder
from eventsourcing.tests.persistence import (
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
    TrackingRecorderTestCase,
)

from adapters.postgres.blocking import EventLoopThread
from adapters.postgres.eventsourcing_facade import TenantApplicationRecorder, TenantTrackingRecorder
from domain.ids import new_id
from domain.ports import TenantKind


class OnThread:
    """A loop thread per test class; every recorder gets a tenant of its own."""

    thread: ClassVar[EventLoopThread]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _thread(cls, shared_dsn: str) -> Iterator[None]:
        with EventLoopThread(shared_dsn) as cls.thread:
            yield

    def application_recorder(self) -> TenantApplicationRecorder:
        return TenantApplicationRecorder(self.thread, new_id(), opens=TenantKind.PROJECT)


class TestTenantApplicationRecorder(OnThread, ApplicationRecorderTestCase[TenantApplicationRecorder]):
    def create_recorder(self) -> TenantApplicationRecorder:
        return self.application_recorder()

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestNotificationsDoNotInterleave(OnThread, NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> TenantApplicationRecorder:
        return self.application_recorder()


class TestTenantTrackingRecorder(OnThread, TrackingRecorderTestCase):
    def create_recorder(self) -> TrackingRecorder:
        return TenantTrackingRecorder(self.thread, new_id())


del ApplicationRecorderTestCase, NonInterleavingNotificationIDsBaseCase, TrackingRecorderTestCase
