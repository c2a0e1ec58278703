"""A headless Chromium by the WebDriver protocol: as much of it as the tests of pages need."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
WAIT_S = 30.0
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--window-size=1280,800"),
)


def available() -> bool:
    return shutil.which("chromedriver") is not None and shutil.which("chromium") is not None


class Browser:
    """One session."""

    def __init__(self, port: int, folder: Path, *, dark: bool = False) -> None:
        self._base = f"http://127.0.0.1:{port}"
        arguments = [*FLAGS, f"--user-data-dir={folder}", f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
        options = {"binary": shutil.which("chromium"), "args": arguments}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._base += f"/session/{made['sessionId']}"

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if method == "GET" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=2 * WAIT_S) as answer:
                return json.loads(answer.read())["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.loads(error.read())["value"]["message"]) from None

    def open(self, page: Path, fragment: str = "") -> None:
        # By way of an empty page: a change of the fragment alone would load nothing.
        self._ask("POST", "/url", {"url": "about:blank"})
        self._ask("POST", "/url", {"url": page.as_uri() + fragment})
        # The driver has been seen to answer while the style sheet was still to come.
        self.until("location.href !== 'about:blank' && document.readyState === 'complete'")
        self.until("[...document.querySelectorAll('link[rel=stylesheet]')].every((link) => link.sheet)")

    def run(self, script: str, *arguments: Any) -> Any:
        """What a function body returns in the page."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def until(self, script: str) -> Any:
        """Waits until an expression is true in the page."""
        end = time.monotonic() + WAIT_S
        while not (found := self.run(f"return {script}")):
            assert time.monotonic() < end, f"never: {script}"
            time.sleep(0.05)
        return found

    def _element(self, selector: str) -> str:
        return str(self._ask("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT])

    def click(self, selector: str) -> None:
        self._ask("POST", f"/element/{self._element(selector)}/click")

    def write(self, selector: str, text: str) -> None:
        self._ask("POST", f"/element/{self._element(selector)}/value", {"text": text})

    def press(self, keys: str) -> None:
        """Keys as a person presses them, wherever the focus is."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._ask("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def complaints(self) -> list[str]:
        """What the console holds beyond chatter."""
        found = self._ask("POST", "/se/log", {"type": "browser"})
        return [each["message"] for each in found if each["level"] in ("SEVERE", "WARNING")]

    def resize(self, width: int) -> None:
        # A window cannot be as narrow as a telephone; what the page is told can.
        self._ask(
            "POST",
            "/goog/cdp/execute",
            {
                "cmd": "Emulation.setDeviceMetricsOverride",
                "params": {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False},
            },
        )

    @property
    def url(self) -> str:
        return str(self._ask("GET", "/url"))

    def close(self) -> None:
        self._ask("DELETE", "")


@contextmanager
def browser(folder: Path, *, dark: bool = False) -> Iterator[Browser]:
    """A browser with a fresh profile."""
    driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert driver.stdout is not None
        port = next(int(line.rpartition("port ")[2].strip(" .\n")) for line in driver.stdout if "successfully on port" in line)
        session = Browser(port, folder, dark=dark)
        try:
            yield session
        finally:
            session.close()
    finally:
        driver.terminate()
        driver.communicate(timeout=WAIT_S)
