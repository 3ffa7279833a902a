"""Finds what nobody filled in: placeholders, headings with nothing under them, links to files that are not there.

python docs/check.py [ROOT]        exit 1 where a page or a docstring has one; each on a line, as file:line: what
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("*.md", "docs/**/*.md", "examples/**/*.md", "benchmarks/**/*.md")
CODE = ("unlearn_audit/**/*.py", "attacks/**/*.py", "probes/**/*.py")

PLACEHOLDER = re.compile(
    r"\b(?:TODO|FIXME|XXX|TBD)\b|@@\w+@@|\b(?i:lorem ipsum)\b|<[^<>\n]*\b(?i:fill|fill in|todo|tbd)\b[^<>\n]*>"
)
_HEADING = re.compile(r"(#{1,6}) +\S")
_FENCE = re.compile(r"\s*(```|~~~)")
_LINK = re.compile(r"\]\(<?([^)<>#\s]+)[^)]*\)")
_ELSEWHERE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:|//")
_CODE_SPAN = re.compile(r"`[^`]*`")


def placeholders(text: str, first: int = 1) -> Iterator[tuple[int, str]]:
    """Line number and problem of every placeholder."""
    for number, line in enumerate(text.splitlines(), first):
        for found in PLACEHOLDER.finditer(line):
            yield number, f"unfilled placeholder {found[0]!r}"


def empty_headings(text: str) -> Iterator[tuple[int, str]]:
    """Headings that the page's end or a heading of the same or a higher level follows at once."""
    waiting: tuple[int, int, str] | None = None
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        fenced ^= bool(_FENCE.match(line))
        heading = None if fenced else _HEADING.match(line)
        if waiting is not None and heading is not None and len(heading[1]) <= waiting[1]:
            yield waiting[0], f"nothing stands under the heading {waiting[2]!r}"
        if heading is not None:
            waiting = number, len(heading[1]), line
        elif line.strip():
            waiting = None
    if waiting is not None:
        yield waiting[0], f"nothing stands under the heading {waiting[2]!r}"


def broken_links(text: str, folder: Path) -> Iterator[tuple[int, str]]:
    """Links to files that are not there; code and other hosts' pages are not looked at."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        fenced ^= bool(_FENCE.match(line))
        if fenced:
            continue
        for target in _LINK.findall(_CODE_SPAN.sub("`", line)):
            if not _ELSEWHERE.match(target) and not (folder / target).exists():
                yield number, f"links to {target}, which is not there"


def of_page(path: Path) -> Iterator[tuple[int, str]]:
    """All problems of a page of Markdown."""
    text = path.read_text(encoding="utf-8")
    yield from placeholders(text)
    yield from empty_headings(text)
    yield from broken_links(text, path.parent)


def of_module(path: Path) -> Iterator[tuple[int, str]]:
    """Placeholders in the docstrings of a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False)
            if docstring is not None:
                yield from placeholders(docstring, node.body[0].lineno)


def problems(root: Path) -> list[str]:
    """All problems below a root, one a line."""
    found = [(path, *each) for path in _files(root, PAGES) for each in of_page(path)]
    found += [(path, *each) for path in _files(root, CODE) for each in of_module(path)]
    return [f"{path.relative_to(root)}:{line}: {problem}" for path, line, problem in found]


def _files(root: Path, patterns: tuple[str, ...]) -> list[Path]:
    return sorted({path for pattern in patterns for path in root.glob(pattern)})


def main() -> int:
    """Prints what was found."""
    found = problems(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
