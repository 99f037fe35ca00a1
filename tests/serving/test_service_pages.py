"""The service's own pages: alive, ready, and figures for those who may see them."""

from pathlib import Path

import asyncpg

from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.embedded.postmaster import stop_postmaster
from tests.conftest import FAST
from tests.serving.conftest import Speak, Start

METRICS_TOKEN = "a-token-for-the-monitoring"


async def test_a_serving_process_is_alive_and_ready(start_here: Start, speak: Speak) -> None:
    api = await speak(await start_here())
    alive, ready = await api.call("GET", "/healthz"), await api.call("GET", "/readyz")
    assert (alive.status, alive.text) == (200, "ok\n")
    assert (ready.status, ready.json) == (200, {"ready": True, "problems": []})


async def test_a_service_whose_database_is_down_is_alive_and_not_ready_and_recovers(
    start: Start, speak: Speak, data_dir: Path
) -> None:
    theirs = data_dir.parent / "theirs"
    server = await EmbeddedPostgres.start(theirs, settings=FAST)
    service = await start(DATABASE_URL=server.dsn)
    api = await speak(service, service.plan())
    assert (await api.call("GET", "/readyz")).status == 200

    assert stop_postmaster(theirs)
    down = await api.call("GET", "/readyz")
    assert down.status == 503
    assert "the database does not answer" in down.json["problems"][0]
    assert (await api.call("GET", "/healthz")).status == 200

    again = await EmbeddedPostgres.start(theirs, settings=FAST)
    assert (await api.call("GET", "/readyz")).status == 200
    assert (await api.connect("ada")).status == 200
    await service.stop()
    await again.stop()
    await server.stop()


async def test_a_stopped_read_model_is_told(start_here: Start, speak: Speak, dsn: str) -> None:
    api = await speak(await start_here())
    connection = await asyncpg.connect(dsn)
    await connection.execute("update checkpoints set stopped = 'position 3: a riddle' where projection = 'projects'")
    await connection.close()
    told = await api.call("GET", "/readyz")
    assert told.status == 503
    assert "the read model projects" in told.json["problems"][0]
    assert "position 3: a riddle" in told.json["problems"][0]


async def test_a_schema_that_moved_on_makes_a_running_service_unready(
    start_here: Start, speak: Speak, dsn: str
) -> None:
    api = await speak(await start_here())
    connection = await asyncpg.connect(dsn)
    await connection.execute("insert into schema_migrations (number, name, checksum) values (9999, '9999_later', '')")
    await connection.close()
    told = await api.call("GET", "/readyz")
    assert (told.status, told.json["problems"]) == (503, ["the database's schema is not this program's"])


async def test_metrics_are_for_this_machine_as_they_are(start_here: Start, speak: Speak) -> None:
    api = await speak(await start_here())
    await api.call("GET", "/healthz")
    answer = await api.call("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert 'causeway_http_requests_total{method="GET",route="/healthz",status="200"} 1.0' in answer.text


async def test_metrics_through_a_proxy_need_the_token(start_here: Start, speak: Speak) -> None:
    api = await speak(await start_here(METRICS_TOKEN=METRICS_TOKEN))
    for forwarded in ("203.0.113.9", "127.0.0.1", "::1", "unknown"):
        headers = {"X-Forwarded-For": forwarded}
        assert (await api.call("GET", "/metrics", headers=headers)).status == 401, forwarded
        for wrong in ("", "wrong", METRICS_TOKEN[:-1], METRICS_TOKEN + "x", "é"):
            assert (await api.call("GET", "/metrics", headers=headers, token=wrong)).status == 401, (forwarded, wrong)
        assert (await api.call("GET", "/metrics", headers=headers, token=METRICS_TOKEN)).status == 200, forwarded


async def test_without_a_token_metrics_never_leave_the_machine(start_here: Start, speak: Speak) -> None:
    api = await speak(await start_here())
    for token in (None, "", "anything"):
        assert (
            await api.call("GET", "/metrics", headers={"X-Forwarded-For": "203.0.113.9"}, token=token)
        ).status == 401
