"""Drives a real Chromium over its DevTools protocol: real clicks and keys, no library between."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
START_SECONDS = 60.0
WAIT_SECONDS = 20.0
KEYS = {"Enter": 13, "Escape": 27, "Tab": 9, " ": 32}


def installed() -> str:
    """Path of the browser; empty where there is none."""
    named = os.environ.get("CHROMIUM", "")
    return named or next((path for name in NAMES if (path := shutil.which(name))), "")


class Navigated(Exception):
    """The page was left for another one while it was asked."""


class Page:
    """The one tab of a browser."""

    def __init__(self, url: str) -> None:
        from websockets.sync.client import connect

        self._socket = connect(url, max_size=None, open_timeout=START_SECONDS)
        self._numbers = itertools.count(1)
        self.requests: list[str] = []  # addresses that were asked for
        self.errors: list[str] = []  # what the console and the policy complained of
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        """A command of the protocol and its result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": given}))
        while True:
            told = json.loads(self._socket.recv(timeout=START_SECONDS))
            if told.get("id") == number:
                if "navigated" in told.get("error", {}).get("message", ""):
                    raise Navigated(method)
                assert "error" not in told, f"{method}: {told['error']}"
                return told["result"]
            self._note(told)

    def _note(self, told: dict[str, Any]) -> None:
        given = told.get("params", {})
        match told.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(given["request"]["url"])
            case "Runtime.exceptionThrown":
                self.errors.append(json.dumps(given["exceptionDetails"])[:500])
            case "Log.entryAdded" if given["entry"]["level"] == "error":
                self.errors.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")

    def open(self, address: str) -> None:
        """Go to an address."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def size(self, width: int, height: int, *, scale: float = 1, touch: bool = False) -> None:
        """Set the size of the window."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=touch,
        )

    def dark(self, on: bool) -> None:
        """Prefer dark or light."""
        wish = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self.call("Emulation.setEmulatedMedia", features=[wish])

    def value(self, expression: str) -> Any:
        """What JavaScript says, promises awaited."""
        told = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def wait(self, expression: str, seconds: float = WAIT_SECONDS) -> Any:
        """The first true value of an expression; true for a part of the page."""
        until = time.monotonic() + seconds
        asked = f"""(() => {{
            try {{ const it = {expression}; return it instanceof Node || it; }}
            catch (error) {{ if (error instanceof TypeError) return null; throw error; }}
        }})()"""  # a TypeError: what it asks of is not there yet
        while not (found := self._present(asked)):
            assert time.monotonic() < until, f"not within {seconds} s: {expression}; {self.errors}"
            time.sleep(0.02)
        return found

    def _present(self, expression: str) -> Any:
        """The value of an expression; None of a page that is being left."""
        try:
            return self.value(expression)
        except Navigated:
            return None

    def text(self, selector: str) -> str:
        """The words that can be read in the first element that fits."""
        found = f"document.querySelector({json.dumps(selector)})"
        return self.wait(f"`${{{found}.innerText}} `").strip()

    def click(self, selector: str) -> None:
        """Press and release the mouse in the middle of an element, which must be what is hit."""
        query = json.dumps(selector)
        x, y = self.wait(
            f"""(() => {{
                const found = document.querySelector({query});
                if (!found || found.disabled) return null;
                found.scrollIntoView({{block: "nearest"}});
                const box = found.getBoundingClientRect();
                const spot = [box.x + box.width / 2, box.y + box.height / 2];
                const hit = document.elementFromPoint(...spot);
                return hit && (found.contains(hit) || hit.contains(found)) ? spot : null;
            }})()"""
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def write(self, words: str) -> None:
        """Put words in where the focus is, as an input method does."""
        self.call("Input.insertText", text=words)

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press and release a key."""
        named = {"key": key, "windowsVirtualKeyCode": KEYS[key], "modifiers": 8 if shift else 0}
        words = {"Enter": "\r", " ": " "}.get(key)
        given = {**named, "text": words} if words else named
        self.call("Input.dispatchKeyEvent", type="keyDown", **given)
        self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    def readable(self) -> list[tuple[str, str]]:
        """Role and name of everything a screen reader meets, in its order."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node.get("ignored")
        ]

    def shoot(self, path: Path) -> None:
        """Write a picture of the window."""
        shot = self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def browser(language: str = "en-US") -> Iterator[Page]:
    """A browser of its own that can reach this machine and nothing else, closed at the end."""
    import httpx

    folder = Path(tempfile.mkdtemp(prefix="twin-chromium-"))
    command = [
        installed(),
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
        *("--disable-sync", "--disable-extensions", "--hide-scrollbars", "--mute-audio"),
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--accept-lang={language}",
        f"--lang={language}",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}",
        "about:blank",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        port = _port(process, folder)
        for _ in range(100):
            tabs = httpx.get(f"http://127.0.0.1:{port}/json/list", timeout=START_SECONDS).json()
            found = [tab for tab in tabs if tab["type"] == "page"]
            if found:
                break
            time.sleep(0.05)
        yield Page(found[0]["webSocketDebuggerUrl"])
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _port(process: subprocess.Popen[bytes], folder: Path) -> int:
    told = folder / "DevToolsActivePort"
    until = time.monotonic() + START_SECONDS
    while not (told.is_file() and told.read_text().strip()):
        assert process.poll() is None, (folder / "log").read_text()[-2000:]
        assert time.monotonic() < until, "the browser does not say where it listens"
        time.sleep(0.05)
    return int(told.read_text().split()[0])
