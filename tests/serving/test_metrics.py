"""/metrics speaks for the whole service: sums over its processes, what the dead had counted, how far read models are."""

import asyncio
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import aiohttp
import asyncpg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from scripts.torturing.services import Service
from tests.api_client import Api
from tests.conftest import Ground
from tests.serving.conftest import Speak, Start

DROPPED = (aiohttp.ServerDisconnectedError, aiohttp.ClientConnectorError, aiohttp.ClientOSError, ConnectionResetError)
STATUS = "/users/ada/connections/status?appKeys=github"
UUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}")
Figures = dict[str, float]


def connector() -> dict[str, object]:
    """A connection per request, so that each may come to another process."""
    return {"connector": aiohttp.TCPConnector(force_close=True, limit=0)}


async def scrape(api: Api) -> Figures:
    """Every sample, with its labels in its name where it has some."""
    answer = await api.call("GET", "/metrics")
    assert answer.status == 200, answer.text
    samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
    found = {name(sample.name, sample.labels): sample.value for sample in samples}
    assert len(found) == len(samples), "a figure is told twice"
    return found


def name(metric: str, labels: dict[str, str]) -> str:
    return metric + "".join(f" {key}={labels[key]}" for key in sorted(labels))


def requests(figures: Figures, route: str) -> float:
    """How many were answered on the routes that end so, whatever the status."""
    wanted = re.compile(rf"causeway_http_requests_total .* route=\S*{re.escape(route)} ")
    return sum(value for sample, value in figures.items() if wanted.match(sample))


async def until(holds: Callable[[Figures], bool], api: Api) -> Figures:
    """The first figures of which it holds."""
    async with asyncio.timeout(30):
        while True:
            try:
                figures = await scrape(api)
            except DROPPED:
                continue
            if holds(figures):
                return figures
            await asyncio.sleep(0.05)


async def test_any_process_tells_the_sums_of_all(start_here: Start, speak: Speak, ground: Ground) -> None:
    api = await speak(await start_here("--processes", "2"), **connector())
    assert {(await api.connect(f"user-{number}")).status for number in range(40)} == {200}

    async def told() -> float:
        return requests(await scrape(api), "/connections/{appKey}")

    assert {await told() for _ in range(20)} == {40}
    figures = await until(lambda found: found["causeway_append_batch_size_sum"] >= 40, api)
    assert figures["causeway_processes"] == 2
    assert figures["causeway_append_batch_size_count"] == figures["causeway_append_batch_seconds_count"] <= 42
    assert figures["causeway_append_batch_size_bucket le=512.0"] == figures["causeway_append_batch_size_count"]
    assert 0 < figures["causeway_append_batch_seconds_sum"] < 60
    assert figures["causeway_pool_connections_limit"] == 20
    assert figures["causeway_appends_waiting"] == 0
    assert figures["causeway_database_figures_complete"] == 1
    assert figures["causeway_projections_stopped"] == 0


async def test_figures_name_no_tenant_and_no_user(start_here: Start, speak: Speak, ground: Ground) -> None:
    api = await speak(await start_here())
    assert (await api.connect("somebody-in-particular")).status == 200
    assert (await api.manage("GET", f"{api.managed_project}/EndUsers")).status == 200
    text = (await api.call("GET", "/metrics")).text
    assert "causeway_append_batch_size_sum" in text
    assert not UUID.search(text)
    assert "somebody" not in text


async def test_what_a_killed_process_had_counted_stays_and_what_it_held_does_not(
    start_here: Start, speak: Speak
) -> None:
    service = await start_here("--processes", "2")
    api = await speak(service, **connector())
    before = await until(lambda found: found["causeway_processes"] == 2, api)
    assert {(await api.monkedo("GET", STATUS)).status for _ in range(40)} == {200}
    for pid in service.children():
        os.kill(pid, signal.SIGKILL)
    alone = await until(lambda found: found["causeway_processes"] > 0, api)
    assert alone["causeway_processes"] in (1, 2)
    after = await until(lambda found: found["causeway_processes"] == 2, api)
    for figures in (alone, after):
        assert requests(figures, "/connections/status") == requests(before, "/connections/status") + 40
    assert after["causeway_pool_connections_limit"] == before["causeway_pool_connections_limit"] == 20
    assert service.text.count("process_died") == 2


async def test_figures_are_removed_when_the_service_stops_and_when_its_first_process_is_killed(
    start_here: Start, speak: Speak, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    kindly = await start_here("--processes", "2")
    assert len(list(tmp_path.glob("causeway-figures-*/*.db"))) >= 4
    assert await kindly.stop() == 0
    assert list(tmp_path.iterdir()) == []
    killed = await start_here("--processes", "2")
    assert len(list(tmp_path.iterdir())) == 1
    await killed.kill()
    async with asyncio.timeout(30):
        while list(tmp_path.iterdir()):
            await asyncio.sleep(0.05)


async def watched(service: Service) -> None:
    """The worker's own address, as it says it."""
    told = await service.hears("how it is: ")
    service.url = told.split("how it is: ")[1].removesuffix("/readyz")


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_worker_tells_how_it_is_where_it_is_asked_to(start_here: Start, speak: Speak, processes: int) -> None:
    service = await start_here(
        "--role", "worker", "--processes", str(processes), waits_for="Causeway works", WORKER_PORT="0"
    )
    await watched(service)
    api = await speak(service, **connector())
    alive, ready = await api.call("GET", "/healthz"), await api.call("GET", "/readyz")
    assert (alive.status, alive.text) == (200, "ok\n")
    assert (ready.status, ready.json) == (200, {"ready": True, "problems": []})
    assert (await scrape(api))["causeway_processes"] == processes
    assert (await api.monkedo("GET", STATUS)).status == 404
    assert (await api.call("GET", "/metrics", headers={"X-Forwarded-For": "203.0.113.9"})).status == 401


async def test_a_worker_beside_a_web_process_takes_no_port_of_its_own_accord(
    start_here: Start, speak: Speak, ground: Ground
) -> None:
    web = await start_here("--role", "web")
    port = web.url.rpartition(":")[2]
    worker = await start_here("--role", "worker", waits_for="Causeway works", PORT=port)
    assert "how it is" not in worker.text
    other = await start_here("--role", "worker", waits_for="Causeway works", PORT=port, WORKER_PORT="0")
    await watched(other)
    assert (await (await speak(other)).call("GET", "/healthz")).status == 200
    assert (await (await speak(web)).monkedo("GET", STATUS)).status == 200


async def test_a_worker_port_that_is_taken_stops_the_start_with_one_line(start_here: Start, data_dir: Path) -> None:
    port = (await start_here()).url.rpartition(":")[2]
    second = await Service.start(data_dir, "--role", "worker", WORKER_PORT=port)
    assert await second.ended() == 1
    assert len(second.said) == 1
    assert "cannot listen on" in second.text and "CAUSEWAY_WORKER_PORT" in second.text


async def on(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_read_models_that_are_behind_or_have_stopped_are_counted(
    start_here: Start, speak: Speak, ground: Ground, dsn: str
) -> None:
    api = await speak(await start_here("--role", "web"))
    clean = await scrape(api)
    assert clean["causeway_projector_lag_events"] == clean["causeway_projector_marked_tenants"] == 0
    assert clean["causeway_projector_oldest_mark_seconds"] == clean["causeway_projections_stopped"] == 0
    project, company = ground.plan.project_id, ground.plan.company_id
    await on(
        dsn,
        f"update checkpoints set position = position - 2 where tenant_id = '{project}' and projection = 'end_users'",
        f"update checkpoints set position = position - 1 where tenant_id = '{project}' and projection = 'projects'",
        f"update checkpoints set position = position - 1 where tenant_id = '{company}'",
        "insert into dirty (tenant_id, position, marked_at)"
        " select tenant_id, generate_series(position - 1, position), now() - interval '1 hour' from tenant_heads"
        f" where tenant_id in ('{project}', '{company}')",
    )
    behind = await scrape(api)
    assert (behind["causeway_projector_lag_events"], behind["causeway_projector_marked_tenants"]) == (3, 2)
    assert behind["causeway_projector_oldest_mark_seconds"] >= 3_600
    await on(dsn, f"update checkpoints set stopped = 'a riddle' where tenant_id = '{project}' and live")
    stopped = await scrape(api)
    assert (stopped["causeway_projector_lag_events"], stopped["causeway_projector_marked_tenants"]) == (1, 2)
    assert stopped["causeway_projections_stopped"] > 0


async def test_figures_do_not_wait_for_a_database_that_does_not_answer(
    start_here: Start, speak: Speak, dsn: str
) -> None:
    api = await speak(await start_here("--role", "web"))
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute("lock table tenant_heads in access exclusive mode")
            partly = await scrape(api)
            await connection.execute("lock table dirty in access exclusive mode")
            without = await scrape(api)
    finally:
        await connection.close()
    assert partly["causeway_database_figures_complete"] == without["causeway_database_figures_complete"] == 0
    assert "causeway_projections_stopped" in partly and "causeway_projector_lag_events" not in partly
    assert "causeway_projections_stopped" not in without
    assert without["causeway_processes"] == 1
    assert (await scrape(api))["causeway_database_figures_complete"] == 1
