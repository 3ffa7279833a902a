"""Draws the pictures of README.md from a real run: the terminal by rich, the report by Chromium.

python docs/pictures.py [RUN]      docs/pictures/terminal.svg and report.png; without RUN, of the demo in build/demo
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

import unlearn_audit as ua
from unlearn_audit.report.formats.console import WIDTH, summary

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
COMMAND = "unlearn-audit demo"
SIZE = "1200,930"  # of the report's first page, in CSS pixels
_FONT = re.compile(r"\s*@font-face\s*{[^}]*}")  # fetched from elsewhere; any fixed-width font will do
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def terminal(audit: ua.Audit, to: Path) -> None:
    """What `unlearn-audit demo` prints at its end, in a window."""
    with tempfile.TemporaryFile("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(f"$ {COMMAND}", highlight=False)
        console.print()
        summary(audit.result, console)
        svg = console.export_svg(title=COMMAND, unique_id="terminal")
    to.write_text(_FONT.sub("", svg), encoding="utf-8")


def report(audit: ua.Audit, to: Path) -> None:
    """The head of the report, as a browser shows it by day.

    Raises:
        RuntimeError: there is no Chromium, or it made no picture.
    """
    browser = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise RuntimeError("docs/pictures.py needs Chromium, which is not installed")
    with tempfile.TemporaryDirectory() as scratch:
        page, picture = audit.report(Path(scratch) / "report.html"), Path(scratch) / "report.png"
        flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={scratch}/profile",
        ]
        done = subprocess.run(
            [browser, *flags, f"--window-size={SIZE}", f"--screenshot={picture}", page.as_uri()],
            capture_output=True,
            text=True,
        )
        if not picture.is_file():
            raise RuntimeError(f"{browser} made no picture: {done.stderr.strip()}")
        shutil.copyfile(picture, to)


def main() -> int:
    """Draws both."""
    run = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "demo"
    if len(sys.argv) == 1:  # a run that is done costs nothing again
        subprocess.run([sys.executable, "-m", *COMMAND.replace("-", "_").split(), "--out", str(run)], check=False)
    audit = ua.load(run)
    PICTURES.mkdir(exist_ok=True)
    terminal(audit, PICTURES / "terminal.svg")
    report(audit, PICTURES / "report.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
