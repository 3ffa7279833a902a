"""A headless Chromium, spoken to over a pair of pipes: no driver, no port, no script of the page's own."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unlearn_audit.report.printing import chromium

_SECONDS = 240.0


class Page:
    """The one tab of a browser; with scripts off unless it is to be asked something by `evaluate`."""

    def __init__(self, read: int, write: int, *, scripts: bool) -> None:
        self._read, self._write = read, write
        self._buffer, self._number, self._session = b"", 0, ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.call("Page.setBypassCSP", enabled=scripts)

    def open(self, path: Path, *, width: int, dark: bool = False) -> None:
        """Loads a file at a width in CSS pixels, and waits until it is laid out."""
        mode = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": mode}])
        mobile = width < 500
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=mobile)
        self.call("Page.navigate", url=path.as_uri())
        self._wait_for("Page.loadEventFired")

    def size(self) -> tuple[float, float]:
        """Width and height of all that there is to scroll to, in CSS pixels."""
        found = self.call("Page.getLayoutMetrics")["cssContentSize"]
        return found["width"], found["height"]

    def screenshot(self, top: float = 0, height: float | None = None) -> bytes:
        """The page as PNG, or a strip of it."""
        width, whole = self.size()
        clip = {"x": 0, "y": top, "width": width, "height": min(height or whole, whole - top), "scale": 1}
        return base64.b64decode(self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"])

    def printed(self) -> bytes:
        """The page as PDF."""
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True)["data"])

    def evaluate(self, expression: str) -> Any:
        """What an expression of JavaScript gives, waited for; needs a page with scripts."""
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(f"the page raised {found['exceptionDetails']}")
        return found["result"].get("value")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        found: dict[str, Any] = answer["result"]
        return found

    def _wait_for(self, event: str) -> None:
        while self._next().get("method") != event:
            pass

    def _next(self) -> dict[str, Any]:
        limit = time.monotonic() + _SECONDS
        while b"\0" not in self._buffer:
            if not select.select([self._read], [], [], max(0.0, limit - time.monotonic()))[0]:
                raise TimeoutError("Chromium does not answer")
            received = os.read(self._read, 1 << 20)
            if not received:
                raise RuntimeError("Chromium has ended")
            self._buffer += received
        line, self._buffer = self._buffer.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        return message


@contextmanager
def page(home: Path, *, scripts: bool = False) -> Iterator[Page]:
    """A browser for as long as the block runs; `home` is an empty directory of its own."""
    program = chromium()
    ends = [_high(end) for pair in (os.pipe(), os.pipe()) for end in pair]
    its_read, our_write, our_read, its_write = ends
    arguments = [
        program,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--no-first-run",
        *([] if scripts else ["--blink-settings=scriptEnabled=false"]),
        f"--user-data-dir={home}",
        "--remote-debugging-pipe",
        "about:blank",
    ]
    silent = os.open(os.devnull, os.O_RDWR)
    child = os.posix_spawn(
        program,
        arguments,
        {**os.environ, "HOME": str(home)},
        file_actions=[
            *[(os.POSIX_SPAWN_DUP2, silent, number) for number in (0, 1, 2)],
            (os.POSIX_SPAWN_DUP2, its_read, 3),
            (os.POSIX_SPAWN_DUP2, its_write, 4),
        ],
        setpgroup=0,
    )
    for end in (silent, its_read, its_write):
        os.close(end)
    try:
        yield Page(our_read, our_write, scripts=scripts)
    finally:
        for end in (our_read, our_write):
            os.close(end)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _high(end: int) -> int:
    """The same end of a pipe under a number above those that the browser reads: 3 and 4."""
    moved = fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(end)
    return moved
