"""Writes the expected reports and the schema anew: `python -m tests.golden.regenerate`, then read the diff."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console

from tests.golden import sample, several_sample
from unlearn_audit.report import render
from unlearn_audit.report.formats import json as as_json
from unlearn_audit.report.formats.console import summary
from unlearn_audit.report.several.documents import FORMATS
from unlearn_audit.report.several.terminal import show
from unlearn_audit.verdict.result import Result

EXPECTED = Path(__file__).with_name("expected")
MACHINES = ("junit", "sarif", "model-card", "every-eval-ever", "inspect")
"""Formats of the result for other programs; tables are tested with observations, a PDF with a browser."""
_FIGURE = re.compile(r'(<svg [^>]*role="img"[^>]*>).*?(</svg>)', re.DOTALL)


def without_drawings(page: str) -> str:
    """The page with its figures emptied: their paths move with every version of matplotlib, their labels stay."""
    return _FIGURE.sub(r"\1\2", page)


def screen(result: Result, *, width: int = 80, color: bool = False) -> str:
    """What the terminal shows."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=color, color_system="standard" if color else None)
    summary(result, console)
    return stream.getvalue()


def table_on_screen() -> str:
    """What `compare` shows on a terminal."""
    stream = io.StringIO()
    show(several_sample.record(), Console(file=stream, width=80))
    return stream.getvalue()


def expected_files() -> dict[str, str]:
    """File name -> text of every report that is kept."""
    files = {}
    for name, build in sample.ALL.items():
        files[f"{name}.md"] = render(build(), "md")
        files[f"{name}.txt"] = screen(build())
    several = several_sample.record()
    files |= {f"several.{name}": make(several) for name, make in FORMATS.items() if name not in ("svg", "html")}
    files["several.html"] = without_drawings(FORMATS["html"](several))
    files["several.txt"] = table_on_screen()
    files["fail.json"] = render(sample.failed(), "json")
    files["fail.html"] = without_drawings(render(sample.failed(), "html"))
    files |= {f"fail.{name}": str(render(sample.failed(), name)) for name in MACHINES}
    return files


if __name__ == "__main__":
    EXPECTED.mkdir(exist_ok=True)
    for name, text in expected_files().items():
        (EXPECTED / name).write_text(text, encoding="utf-8")
    as_json.SCHEMA_PATH.write_text(as_json.schema_text(), encoding="utf-8")
