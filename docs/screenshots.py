"""Takes the pictures of docs/report.md: the first screen of two finished runs, on a desk and on a telephone.

unlearn-audit demo --out runs/fail
unlearn-audit demo --checkpoint retrained --out runs/pass
python -m docs.screenshots runs/fail runs/pass     docs/pictures/<run>-<width>[-dark].png, each below 200 kB

It needs a Chromium. A picture shows the report as this version writes it from the run's result.json.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests.report import browser
from unlearn_audit.report import render
from unlearn_audit.report.formats.json import load_result

PICTURES = Path(__file__).resolve().parent / "pictures"
SHOTS = ((1280, False, 1120), (390, True, 1900))
"""Width, dark or light, and height: banner and matrix."""
_LARGEST = 200_000


def shoot(run: Path, page: browser.Page, home: Path) -> list[Path]:
    """The pictures of one run."""
    report = home / f"{run.name}.html"
    report.write_text(str(render(load_result(run / "result.json"), "html")), encoding="utf-8")
    written = []
    for width, dark, height in SHOTS:
        page.open(report, width=width, dark=dark)
        shot = Image.open(io.BytesIO(page.screenshot(0, height))).convert("RGB")
        target = PICTURES / f"{run.name}-{width}{'-dark' if dark else ''}.png"
        shot.save(target, optimize=True)
        if target.stat().st_size > _LARGEST:
            raise SystemExit(f"{target}: expected at most {_LARGEST:,} bytes, got {target.stat().st_size:,}")
        written.append(target)
    return written


def main(runs: list[str]) -> None:
    """Takes the pictures of these runs."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home, browser.page(Path(home) / "browser") as page:
        for run in runs:
            for path in shoot(Path(run), page, Path(home)):
                print(f"wrote {path}")


if __name__ == "__main__":
    main(sys.argv[1:])
