"""A real Chromium without a screen, driven over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-extensions",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--no-first-run",
    "--no-proxy-server",
    "--remote-debugging-port=0",
)
_START_SECONDS = 60
_STEP_SECONDS = 20


def find_chromium() -> str:
    """The installed one, or Debian's package; the test is skipped when there is neither."""
    installed = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if installed:
        return installed
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        pytest.skip("Chromium is not installed, and only root on Debian can install it")
    install = ["apt-get", "install", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(install, capture_output=True, text=True, timeout=600, env=environment)
    found = shutil.which("chromium")
    if done.returncode != 0 or not found:
        pytest.skip(f"Chromium is not to be had from the package archive: {done.stderr.strip()[-200:]}")
    return found


class Chromium:
    """``complaints``: what its consoles said that is worse than information, in all of its pages."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._targets: dict[str, dict[str, Any]] = {}
        self._sessions: dict[str, str] = {}
        self._changed = asyncio.Event()
        self.complaints: list[str] = []
        self.frames: dict[str, list[str]] = defaultdict(list)
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    @asynccontextmanager
    async def start(cls, folder: Path) -> AsyncIterator[Chromium]:
        """With an empty profile in this folder."""
        folder.mkdir(parents=True)
        process = await asyncio.create_subprocess_exec(
            find_chromium(),
            *_FLAGS,
            f"--user-data-dir={folder}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "HOME": str(folder)},
        )
        try:
            address = await _address(process, folder / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:
                browser = cls(socket)
                await browser.ask("Target.setDiscoverTargets", discover=True)
                yield browser
                browser._listening.cancel()
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()

    async def open(self) -> Tab:
        """A new tab, empty."""
        target = (await self.ask("Target.createTarget", url="about:blank"))["targetId"]
        return await self._tab(target)

    async def opened_by(self, tab: Tab) -> Tab:
        """The window that a page of that tab opened."""
        found = await self._target(lambda one: one.get("openerId") == tab.target and one["type"] == "page")
        return await self._tab(found["targetId"])

    async def framed_in(self, tab: Tab) -> Tab:
        """The page of another site that is shown inside that tab's."""
        await self._until(lambda: bool(self.frames[tab.session]))
        return Tab(self, "", self.frames[tab.session][-1])

    async def closed(self, tab: Tab) -> None:
        """Returns when that window is no more."""
        await self._until(lambda: tab.target not in self._targets)

    async def ask(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        message = {"id": self._number, "method": method, "params": parameters}
        await self._socket.send_json({**message, "sessionId": session} if session else message)
        return await asyncio.wait_for(answer, _STEP_SECONDS)

    async def _tab(self, target: str) -> Tab:
        attached = await self.ask("Target.attachToTarget", targetId=target, flatten=True)
        tab = Tab(self, target, attached["sessionId"])
        for domain in ("Page", "Runtime", "Log"):
            await tab.ask(f"{domain}.enable")
        await tab.ask("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=False, flatten=True)
        return tab

    async def _target(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        await self._until(lambda: any(fits(one) for one in self._targets.values()))
        return next(one for one in self._targets.values() if fits(one))

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(_STEP_SECONDS):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def _listen(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                self._settle(said)
            else:
                self._note(said["method"], said["params"], said.get("sessionId", ""))
            self._changed.set()

    def _settle(self, said: dict[str, Any]) -> None:
        waiting = self._answers.pop(said["id"])
        if waiting.done():
            return
        if "error" in said:
            waiting.set_exception(Lost(said["error"]["message"]))
        else:
            waiting.set_result(said["result"])

    def _note(self, method: str, said: dict[str, Any], session: str) -> None:
        match method:
            case "Target.targetCreated" | "Target.targetInfoChanged":
                self._targets[said["targetInfo"]["targetId"]] = said["targetInfo"]
            case "Target.targetDestroyed":
                self._targets.pop(said["targetId"], None)
            case "Target.attachedToTarget" if said["targetInfo"]["type"] == "iframe":
                self.frames[session].append(said["sessionId"])
            case "Log.entryAdded" if said["entry"]["level"] in ("warning", "error"):
                if not said["entry"].get("url", "").endswith("/favicon.ico"):  # which nobody has
                    self.complaints.append(said["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(said["exceptionDetails"]["text"])


class Lost(Exception):
    """What was asked about is no more: most often a page that is being left."""


class Tab:
    """A page in a window of its own, or in a frame."""

    def __init__(self, browser: Chromium, target: str, session: str) -> None:
        self.browser, self.target, self.session = browser, target, session

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        return await self.browser.ask(method, self.session, **parameters)

    async def go(self, address: str) -> None:
        await self.ask("Page.navigate", url=address)

    async def look(self, *, width: int = 1280, height: int = 860, dark: bool = False, is_phone: bool = False) -> None:
        """On a screen of that size, in CSS pixels."""
        ratio = 3 if is_phone else 1
        await self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=ratio, mobile=is_phone
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.ask("Emulation.setEmulatedMedia", features=[scheme])

    async def run(self, script: str) -> Any:
        """The value of an expression; promises are waited for."""
        answer = await self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    async def until(self, script: str) -> Any:
        """The first value of the expression that is true, however many pages pass by."""
        async with asyncio.timeout(_STEP_SECONDS):
            while True:
                try:
                    if found := await self.run(script):
                        return found
                except (Lost, AssertionError):
                    await asyncio.sleep(0.05)
                    continue
                await asyncio.sleep(0.05)

    async def shows(self, text: str) -> None:
        """Returns when the page that is there has this text."""
        await self.until(f"document.readyState === 'complete' && document.body.innerText.includes({json.dumps(text)})")

    async def click(self, selector: str) -> None:
        """With the mouse, in the middle of the element."""
        place = await self.until(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)}); if (!one) return null;"
            " one.scrollIntoView({block: 'center'}); const box = one.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2] })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.ask("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    async def press(self, key: str, code: int) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            await self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    async def fill(self, selector: str, text: str) -> None:
        await self.until(f"document.querySelector({json.dumps(selector)}) !== null")
        await self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        await self.ask("Input.insertText", text=text)

    async def choose(self, selector: str, value: str) -> None:
        await self.run(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)}); one.value = {json.dumps(value)};"
            " one.dispatchEvent(new Event('input', {bubbles: true})) })()"
        )

    async def photograph(self, file: Path) -> None:
        taken = await self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(taken["data"]))


async def _address(process: asyncio.subprocess.Process, file: Path) -> str:
    async with asyncio.timeout(_START_SECONDS):
        while not file.exists() or len(file.read_text().splitlines()) < 2:
            if process.returncode is not None:
                pytest.fail(f"Chromium ended with {process.returncode} before it listened")
            await asyncio.sleep(0.05)
    port, path = file.read_text().splitlines()[:2]
    return f"ws://127.0.0.1:{port}{path}"
