"""The connect page in a real browser: in its own window, in a popup and in a frame; by mouse and by keys; light, dark and small."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import unused_port

from adapters.connectors.outbound import OutboundClient
from app import Causeway
from scripts.providers.quick import QuickProvider
from tests.api.connect.chromium import Chromium, Tab
from tests.api.connect.conftest import apps
from tests.api.connect.shop import shop
from tests.api.staging import SetClock, register, staged
from tests.api_client import Api
from tests.conftest import Ground

pytestmark = pytest.mark.real
SMALLEST_TARGET = 44

LOOK = """(() => {
  const channel = (part) => (part /= 255) <= .03928 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4;
  const light = (color) => { const [r, g, b] = color.match(/[\\d.]+/g).map(Number);
    return .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b) };
  const ground = (one) => { for (; one; one = one.parentElement) { const color = getComputedStyle(one).backgroundColor;
    if (!/, 0\\)$/.test(color)) return color } return "rgb(255, 255, 255)" };
  const found = [];
  for (const one of document.querySelectorAll("body *")) {
    const box = one.getBoundingClientRect(), name = one.tagName + " " + (one.id || one.className || one.textContent.slice(0, 20));
    if (!box.width || one.closest("svg")) continue;
    if ([...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()) || one.matches("input")) {
      const [a, b] = [light(getComputedStyle(one).color), light(ground(one))].sort((x, y) => y - x);
      const ratio = (a + .05) / (b + .05);
      if (ratio < 4.5) found.push(`${name}: contrast ${ratio.toFixed(2)}`);
    }
    if (one.matches("a, button, input, select, textarea") && Math.min(box.width, box.height) < SMALLEST)
      found.push(`${name}: ${box.width} by ${box.height}`);
    if (one.matches("input, select, textarea") && !one.labels.length) found.push(`${name}: no label`);
    for (const id of (one.getAttribute("aria-describedby") || "").split(" ").filter(Boolean))
      if (!document.getElementById(id)) found.push(`${name}: nothing is ${id}`);
  }
  if (document.documentElement.scrollWidth > innerWidth) found.push("scrolls sideways");
  if (!document.documentElement.lang || document.querySelectorAll("main").length !== 1 || document.querySelectorAll("h1").length !== 1)
    found.push("has no language, or not one main part with one heading");
  return found;
})()""".replace("SMALLEST", str(SMALLEST_TARGET))
"""What is hard to read, to hit or to hear on a page (WCAG 2.2: 1.4.3, 1.4.10, 2.5.5, 3.1.1, 3.3.2)."""


@pytest.fixture
async def site() -> AsyncIterator[str]:
    async with shop() as origin:
        yield origin


@pytest.fixture
async def api(
    ground: Ground, wired: Causeway, clock: SetClock, provider: QuickProvider, site: str
) -> AsyncIterator[Api]:
    """At an address that a browser can open."""
    port = unused_port()
    public_url = f"http://127.0.0.1:{port}"
    client = OutboundClient(allow_private_networks=True, keep_connections=False)
    own = {"client_id": provider.client_id, "client_secret": provider.client_secret}
    async with staged(
        wired,
        ground.plan,
        clock=clock,
        catalogue=apps(provider),
        outbound=client,
        public_url=public_url,
        port=port,
    ) as api:
        settings = {"name": "Shop", "webhook_url": "https://shop.example", "allowed_origins": [site]}
        await api.manage("PUT", api.managed_project, settings)
        scopes = ["read", "contacts.write", "https://provider.example/auth/calendar.events.readonly"]
        await register(api, "local", scopes=scopes, **own)
        await register(api, "form")
        await provider.register_redirect(f"{public_url}/platform/{ground.plan.project_id}/oauth")
        yield api


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Chromium]:
    async with Chromium.start(tmp_path / "profile") as browser:
        yield browser


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Where pictures go: CONNECT_PAGE_PICTURES, if it is set, keeps them."""
    return Path(os.environ.get("CONNECT_PAGE_PICTURES") or tmp_path / "pictures")


async def ask(api: Api, app: str, user: str = "ada", **wishes: Any) -> str:
    answer = await api.monkedo("POST", f"/users/{user}/connections/{app}", {"link": True, **wishes})
    assert answer.status == 200, answer.text
    return str(answer.json)


async def agree(tab: Tab, user: str = "ada", *, allow: bool = True) -> None:
    """Confirms the page and consents at the provider."""
    await tab.click("main button[type=submit]")
    await tab.shows("Allow access")
    await tab.fill("input[name=username]", user)
    await tab.click(f"button[name={'allow' if allow else 'deny'}]")


async def test_a_person_goes_to_the_provider_and_comes_back_to_the_shop(api: Api, browser: Chromium, site: str) -> None:
    tab = await browser.open()
    await tab.go(await ask(api, "local", returnUrl=f"{site}/done"))
    await agree(tab)
    await tab.shows("?status=connected&app_key=local")
    assert await api.status("ada", "local") == {"local": "connected"}
    assert browser.complaints == []


async def test_a_popup_tells_the_shop_and_closes_itself(api: Api, browser: Chromium, site: str) -> None:
    tab = await browser.open()
    await tab.go(f"{site}/#{await ask(api, 'local', origin=site)}")
    await tab.click("button")
    popup = await browser.opened_by(tab)
    await agree(popup)
    heard = await tab.until("heard.length && heard")
    public = str(api.services.public_url)
    assert heard == [{"from": public, "source": "causeway", "status": "connected", "app_key": "local"}]
    await browser.closed(popup)
    assert browser.complaints == []


async def test_who_says_no_in_a_popup_reads_why_and_tries_again(api: Api, browser: Chromium, site: str) -> None:
    tab = await browser.open()
    await tab.go(f"{site}/#{await ask(api, 'local', origin=site)}")
    await tab.click("button")
    popup = await browser.opened_by(tab)
    await agree(popup, allow=False)
    await popup.shows("was not allowed to share the account")
    assert [one["status"] for one in await tab.until("heard.length && heard")] == ["failed"]
    await popup.click("a.button")
    await popup.shows("Shop asks to use your")
    await agree(popup)
    assert [one["status"] for one in await tab.until("heard.length > 1 && heard")] == ["failed", "connected"]


async def test_a_window_of_another_site_hears_nothing(api: Api, browser: Chromium, site: str) -> None:
    async with shop() as other:
        tab = await browser.open()
        await tab.go(f"{other}/#{await ask(api, 'local', origin=site)}")
        await tab.click("button")
        popup = await browser.opened_by(tab)
        await agree(popup)
        await browser.closed(popup)
        assert await api.status("ada", "local") == {"local": "connected"}
        assert await tab.run("heard") == []


async def test_a_form_in_a_frame_connects_and_tells_the_shop(
    api: Api, browser: Chromium, site: str, album: Path
) -> None:
    tab = await browser.open()
    await tab.go(f"{site}/framed#{await ask(api, 'form', origin=site)}")
    frame = await browser.framed_in(tab)
    await frame.shows("Connect Form")
    await tab.photograph(album / "framed.png")
    await frame.choose("select", "eu")
    await frame.fill("input[type=email]", "ada@shop.example")
    await frame.fill("input[type=password]", "token")
    await frame.run("document.querySelector('main button[type=submit]').click()")
    heard = await tab.until("heard.length && heard")
    assert [(one["status"], one["app_key"]) for one in heard] == [("connected", "form")]
    await frame.shows("Form is connected")
    assert browser.complaints == []


async def test_consent_is_not_shown_in_a_frame_nor_a_form_on_another_site(
    api: Api, browser: Chromium, site: str
) -> None:
    async with shop() as other:
        for address in (f"{site}/framed#{await ask(api, 'local')}", f"{other}/framed#{await ask(api, 'form')}"):
            tab = await browser.open()
            await tab.go(address)
            frame = await browser.framed_in(tab)
            assert await frame.until("location.href") == "chrome-error://chromewebdata/"
    assert len([said for said in browser.complaints if "frame-ancestors" in said or "X-Frame-Options" in said]) == 2


async def test_fields_come_and_go_with_what_is_chosen(api: Api, browser: Chromium) -> None:
    tab = await browser.open()
    await tab.go(await ask(api, "form"))
    await tab.shows("Connect Form")
    hidden = "document.querySelector('#f-host').closest('.field').hidden"
    assert await tab.run(hidden) is True
    await tab.choose("select", "own")
    assert await tab.run(hidden) is False
    await tab.choose("select", "eu")
    assert (await tab.run(hidden), await tab.run("document.querySelector('#f-host').disabled")) == (True, True)
    await tab.click(".secret button")
    assert await tab.run("document.querySelector('#f-token').type") == "text"
    await tab.click(".secret button")
    assert await tab.run("document.querySelector('#f-token').type") == "password"


async def test_the_form_can_be_filled_in_with_keys_alone(api: Api, browser: Chromium) -> None:
    tab = await browser.open()
    await tab.go(await ask(api, "form"))
    await tab.shows("Connect Form")
    order = []
    for _ in range(8):
        await tab.press("Tab", 9)
        order.append(await tab.run("document.activeElement.id || document.activeElement.textContent"))
    assert order[:7] == ["f-region", "f-email", "f-token", "Show", "f-key", "f-note", "Connect"]
    await tab.run("document.querySelector('main button[type=submit]').focus()")
    await tab.ask(
        "Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r"
    )
    await tab.shows("Something is not right yet")
    assert await tab.until("document.activeElement.id") == "f-region"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("width", "height", "is_phone"), [(1280, 860, False), (390, 844, True), (320, 640, True)])
async def test_every_page_can_be_read_and_hit_by_everybody(
    api: Api, browser: Chromium, site: str, album: Path, width: int, height: int, is_phone: bool, dark: bool
) -> None:
    found: dict[str, list[str]] = {}
    tab = await browser.open()
    await tab.look(width=width, height=height, dark=dark, is_phone=is_phone)
    back = {"returnUrl": f"{site}/done", "origin": site}

    async def see(name: str, said: str) -> None:
        await tab.shows(said)
        found[name] = await tab.run(LOOK)
        await tab.photograph(album / f"{name}-{width}-{'dark' if dark else 'light'}.png")

    consent, form = await ask(api, "local", **back), await ask(api, "form", "bob", **back)
    await tab.go(consent)
    await see("consent", "Shop asks to use your")
    await tab.go(form)
    await see("form", "Connect Form")
    await tab.choose("select", "own")
    await tab.fill("#f-email", "nonsense")
    await tab.click("main button[type=submit]")
    await see("corrections", "Something is not right yet")
    address = await ask(api, "local", "eve")
    await tab.go(address)
    await agree(tab, allow=False)
    await see("refused", "was not allowed to share")
    await tab.click("a.button")
    await tab.shows("asks to use your")
    await agree(tab)
    await see("connected", "You can close this window")
    await tab.go(address)
    await see("used-up", "This link was used already")
    assert {name: complaints for name, complaints in found.items() if complaints} == {}


async def test_what_is_hard_to_read_or_to_hit_is_found(api: Api, browser: Chromium) -> None:
    tab = await browser.open()
    await tab.go(await ask(api, "form"))
    await tab.shows("Connect Form")
    assert await tab.run(LOOK) == []
    for spoilt, said in (
        ("document.querySelector('h1').style.color = '#bbb'", "contrast"),
        ("document.querySelector('#f-email').style.minHeight = '20px'", "by"),
        ("document.querySelector('label').remove()", "no label"),
        ("document.querySelector('.hint').remove()", "nothing is"),
        ("document.querySelector('main').style.minWidth = '3000px'", "scrolls sideways"),
    ):
        before = await tab.run(LOOK)
        await tab.run(spoilt)
        assert [one for one in await tab.run(LOOK) if one not in before and said in one], spoilt


async def test_without_scripts_the_form_still_works(api: Api, browser: Chromium) -> None:
    tab = await browser.open()
    await tab.ask("Emulation.setScriptExecutionDisabled", value=True)
    await tab.go(await ask(api, "form"))
    await tab.shows("Only where Region is A server of my own.")
    await tab.run("document.querySelector('select').value = 'us'")
    await tab.fill("#f-email", "ada@shop.example")
    await tab.fill("#f-token", "token")
    await tab.click("main button[type=submit]")
    await tab.shows("Form is connected")
