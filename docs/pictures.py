"""Draws the pictures of the pages from two real runs: the terminal by rich, the reports by Chromium.

python -m docs.pictures [FAIL PASS]    docs/pictures/terminal.svg and <fail|pass>-<width>[-dark].png, each below 200 kB;
                                       without two runs, of the demos in build/demo, which are run first
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from rich.console import Console

import unlearn_audit as ua
from tests.report import browser
from unlearn_audit.report.formats.console import WIDTH, summary

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
DEMOS = {"fail": "nf4-masked", "pass": "retrained"}
COMMAND = "unlearn-audit demo"
SHOTS = ((1280, False, 1120), (390, True, 1900))
"""Width, dark or light, and height: banner and matrix, on a desk and on a telephone."""
LARGEST = 200_000
_FONT = re.compile(r"\s*@font-face\s*{[^}]*}")  # fetched from elsewhere; any fixed-width font will do


def terminal(audit: ua.Audit, to: Path) -> None:
    """What `unlearn-audit demo` prints at its end, in a window."""
    with tempfile.TemporaryFile("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(f"$ {COMMAND}", highlight=False)
        console.print()
        summary(audit.result, console)
        svg = console.export_svg(title=COMMAND, unique_id="terminal")
    to.write_text(_FONT.sub("", svg), encoding="utf-8")


def report(audit: ua.Audit, name: str, page: browser.Page, home: Path) -> None:
    """The first screen of a report, by day and by night.

    Raises:
        SystemExit: a picture is too large for the repository.
    """
    html = audit.report(home / f"{name}.html")
    for width, dark, height in SHOTS:
        page.open(html, width=width, dark=dark)
        target = PICTURES / f"{name}-{width}{'-dark' if dark else ''}.png"
        Image.open(io.BytesIO(page.screenshot(0, height))).convert("RGB").save(target, optimize=True)
        if target.stat().st_size > LARGEST:
            raise SystemExit(f"{target}: expected at most {LARGEST:,} bytes, got {target.stat().st_size:,}")


def demos() -> list[Path]:
    """The runs of both demos; one that is done costs nothing again."""
    runs = [ROOT / "build" / "demo" / name for name in DEMOS]
    for run, checkpoint in zip(runs, DEMOS.values(), strict=True):
        command = [sys.executable, "-m", "unlearn_audit", "demo", "--checkpoint", checkpoint, "--out", str(run)]
        subprocess.run(command, check=False)  # a FAIL is an exit code of its own
    return runs


def main() -> int:
    """Draws all of them."""
    runs = [Path(one) for one in sys.argv[1:]] or demos()
    audits = dict(zip(DEMOS, map(ua.load, runs), strict=True))
    PICTURES.mkdir(exist_ok=True)
    terminal(audits["fail"], PICTURES / "terminal.svg")
    with tempfile.TemporaryDirectory() as home, browser.page(Path(home) / "browser") as page:
        for name, audit in audits.items():
            report(audit, name, page, Path(home))
    return 0


if __name__ == "__main__":
    sys.exit(main())
