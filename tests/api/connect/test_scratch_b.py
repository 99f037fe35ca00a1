from __future__ import annotations
from datetime import timedelta
import msgspec
from tests.api.grants.speaking import Grants
from tests.api.connect.conftest import link, SHOP
from tests.api.connect.person import Person
from tests.api.staging import PUBLIC_URL, register, import_token, details, sealed_secret
from tests.deliveries.conftest import *  # noqa
import asyncio

async def subjects(wired):
    return [dict(r) for r in await wired.pool.fetch("select connection_id, version, subject_id from credentials")]

async def test_erase_during_link(api, wired, person, provider):
    await register(api,"hosted",client_id=provider.client_id,client_secret=provider.client_secret)
    address=await link(api,"ada","hosted")
    sent=await person.fill_in(address, account="127")
    print(sent.status, sent.goes_on_to[:60])
    before=await subjects(wired)
    r=await api.manage("DELETE", f"{api.managed_project}/EndUser/ada"); print("erased", r.status)
    after=await subjects(wired)
    print("creds left", len(before), len(after), [str(a['subject_id'])==str(api.plan.project_id) for a in after])

async def test_delete_during_link(api, wired, person, provider):
    await person.connect(provider, await link(api))
    r = await api.monkedo("POST", "/users/ada/connections/local", {})
    back = await person.agree_at(provider, r.json)
    print("del", (await api.monkedo("DELETE","/users/ada/connections/local")).status)
    shown = await person.get(back)
    print("after delete callback", shown.status, await api.status("ada","local"))

async def test_two_callbacks(api, wired, person, provider):
    back = await person.agree_at(provider, await link(api))
    a = await asyncio.gather(*[person.get(back) for _ in range(6)])
    print("callbacks", [x.status for x in a])
    f = await link(api,"bob","form",link=True)
    a = await asyncio.gather(*[person.fill_in(f, region="eu", email="a@b.c", token=f"t{i}") for i in range(6)])
    print("submits", [x.status for x in a])

async def test_import_with_fields_and_key(api, wired, clock, provider):
    await register(api,"hosted",client_id=provider.client_id,client_secret=provider.client_secret)
    await register(api,"keyed", auth_type="api_key")
    import time
    now=int(time.time()*1000)
    for app in ("hosted","keyed","form","machine"):
        r=await import_token(api,"ada",app,refreshToken="r",expiresAt=now+60_000)
        print(app, r.status, r.text[:100])
    clock.ahead=timedelta(hours=1)
    from domain.errors import Refusal
    pid=api.plan.project_id
    uid=await wired.services.end_user_queries.end_user_id(pid,"ada")
    for app in ("hosted","keyed","form","machine"):
        row=await wired.services.connection_queries.connection(pid,uid,app)
        try:
            u=await api.services.refresher.usable(pid,row.connection_id); print(app,"usable")
        except Refusal as e: print(app, type(e).__name__, e.message)
        d=await details(api,"ada",app); print(app, d["status"], d["errorMessage"])

async def test_delete_project_during(api, wired, person, provider):
    back = await person.agree_at(provider, await link(api))
    print((await api.manage("DELETE", api.managed_project)).status)
    s=await person.get(back); print("cb after project delete", s.status, s.words[:100])
