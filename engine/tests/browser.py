"""Chromium without a screen, for tests of pages."""

import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium here")


class Browser:
    """Chromium, told what to do through a pipe: DevTools messages, each with a NUL after it."""

    def __init__(self, folder: Path) -> None:
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        options = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage"
        self._process = subprocess.Popen(
            [
                "bash", "-c", f"exec {BROWSER} {options} --user-data-dir={folder} "
                f"--remote-debugging-pipe 3<&{commands} 4>&{answers}",
            ],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(commands)
        os.close(answers)
        self._buffer, self._number = b"", 0
        self._session: dict[str, str] = {}
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        found = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": found["sessionId"]}

    def call(self, method: str, **params: Any) -> Any:
        """Give a command to the browser, later to its page, and return the result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params, **self._session}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        for _ in range(10_000):
            while b"\0" not in self._buffer:
                ready, _, _ = select.select([self._answers], [], [], 20)
                assert ready, f"no answer to {method}"
                self._buffer += os.read(self._answers, 65_536)
            line, self._buffer = self._buffer.split(b"\0", 1)
            answer = json.loads(line)
            if answer.get("id") == self._number:
                return answer["result"]
        raise AssertionError(method)

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        self.wait(f"document.readyState == 'complete' && location.href == {json.dumps(url)}")

    def run(self, script: str) -> Any:
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        end = time.monotonic() + 15
        while not self.run(condition):
            assert time.monotonic() < end, condition
            time.sleep(0.05)

    def fill(self, **values: str) -> None:
        """Type into the form's fields."""
        for name, value in values.items():
            self.run(f"document.getElementsByName('{name}')[0].value = '{value}'")

    def press(self, key: str, text: str = "") -> None:
        """Press a key, such as Tab or Enter, whose text is a return."""
        code = {"Tab": 9, "Enter": 13}[key]
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, text=text, windowsVirtualKeyCode=code
            )

    def look(self, width: int = 1200, scheme: str = "light") -> None:
        """Set the width of the window, and the scheme of colors that the reader prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900,
                  deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)
