"""Fixtures of the API's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app import Causeway
from tests.api.every_route import Runtime, Target, targets
from tests.api.staging import SetClock, new_runtime, staged
from tests.api_client import Api
from tests.conftest import Ground


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def api(ground: Ground, wired: Causeway, clock: SetClock) -> AsyncIterator[Api]:
    """The API over a real socket; its clock is ``clock``, and no vendor can be reached."""
    async with staged(wired, ground.plan, clock=clock) as api:
        yield api


@pytest.fixture
async def session(api: Api) -> str:
    """The access token of the owner who has logged in and chosen the company."""
    body = {"email_address": api.plan.email_address, "password": api.plan.password}
    login = (await api.call("POST", "/sso/v2/Auth/Login", body)).json
    company = await api.call("GET", f"/sso/v2/User/ChangeCompany/{api.plan.company_id}", token=login["access_token"])
    return str(company.json["access_token"])


@pytest.fixture
async def runtime(api: Api) -> Runtime:
    """An instance that was granted a customer's connection to github."""
    return await new_runtime(api, "every-route")


@pytest.fixture
def every(api: Api, session: str, runtime: Runtime) -> list[Target]:
    """All routes of all dialects, each with the right token and what there is of the quickstart project in its path."""
    return targets(api.plan, session, runtime)
