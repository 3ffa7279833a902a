"""Finds what nobody filled in, names that are not in the code, and habits of language that we dropped.

Not filled in: placeholders, headings with nothing under them, links to files that are not there. Names: what a page
calls `room.module.function` must exist. Habits: words that a native engineer stumbles over, in pages written by hand.

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
_INDENTED = re.compile(r" {4}\S")

HABITS = {
    r"\bwhoever\b": "say who: anyone who, the person who, users who",
    r"\bsingly\b": "say: each on its own, separately",
    r"\bgravest\b": "say: most severe",
    r"\bmend(?:s|ed|ing)?\b": "say: fix",
    r",\s+too(?=\s*[.,;:()]|\s*\n\s*\n|\s*\Z)": "say also, or as well, without the comma",
    r"\b(?:is|are) said\b": "say who says it: the report says",
    r"\bsaid (?:aloud|to be)\b": "say who says it: the report says",
    r"\blacks\b": "say: has no, does not have",
    r"(?-i:\bBeside)\b": "say: besides, or next to",
    r"(?<!there\s)\b(?:is|are)\s+no\s(?!longer\b|more\b|less\b|such\b|use\b|one\b|\w+er\b)": "say: is not a",
    r"\banew\b": "say: again",
    r"\w*quantis(?:e|ed|er|ers|es|ing|ation)\b": "spell it with z",
}
"""Pattern -> what to say instead. Code is not looked at."""
_HABIT = [(re.compile(pattern, re.IGNORECASE), say) for pattern, say in HABITS.items()]
_NOT_BY_HAND = ("Do not edit.", "# Unlearning audit of ")
"""What the first line of a page holds that a program wrote: its words are that program's."""

NAMING = ("docs/architecture.md", "docs/decisions.md", "docs/design.md")
"""Pages in which a dotted name in backquotes that begins with a room is a name in the code."""
_DOTTED = re.compile(r"`(?:unlearn_audit\.)?([a-z][a-z_]*(?:\.\w+)+)(?:\(\))?`")
_FILE_ENDINGS = frozenset({"html", "json", "jsonl", "md", "parquet", "py", "toml", "xml", "yaml", "yml"})


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


def habits(text: str) -> Iterator[tuple[int, str]]:
    """Words that we dropped, in a page's own text: not in code, and not in a page that a program wrote."""
    if any(mark in text.split("\n", 1)[0] for mark in _NOT_BY_HAND):
        return
    own = _without_code(text)
    for pattern, say in _HABIT:
        for found in pattern.finditer(own):
            yield own.count("\n", 0, found.start()) + 1, f"{' '.join(found[0].split())!r}: {say}"


def _without_code(text: str) -> str:
    """The text with lines of code left empty and code spans left out; line for line the same."""
    lines, fenced = [], False
    for line in text.splitlines():
        fence = bool(_FENCE.match(line))
        fenced ^= fence
        lines.append("" if fence or fenced or _INDENTED.match(line) else line)
    return _CODE_SPAN.sub(lambda span: "`" + "\n" * span[0].count("\n"), "\n".join(lines))


def missing_names(text: str, root: Path) -> Iterator[tuple[int, str]]:
    """Names in backquotes that begin with a room of the code and are not there."""
    core = root / "unlearn_audit"
    for number, line in enumerate(text.splitlines(), 1):
        for name in _DOTTED.findall(line):
            first, *rest = name.split(".")
            if rest[-1] in _FILE_ENDINGS:
                continue
            top = root if first in ("attacks", "probes") else core
            if _exists(top / first, ()) and not _exists(top / first, tuple(rest)):
                yield number, f"names {name}, which is not in the code"


def _exists(path: Path, parts: tuple[str, ...]) -> bool:
    """Whether a module is there, and in it what the parts name; imports nothing."""
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not parts:
        return source.is_file()
    if path.is_dir() and ((path / parts[0]).is_dir() or (path / parts[0]).with_suffix(".py").is_file()):
        return _exists(path / parts[0], parts[1:])
    return source.is_file() and _defines(ast.parse(source.read_text(encoding="utf-8")).body, parts)


def _defines(body: list[ast.stmt], parts: tuple[str, ...]) -> bool:
    for node in body:
        if parts[0] in _bound_by(node):
            return len(parts) == 1 or (isinstance(node, ast.ClassDef) and _defines(node.body, parts[1:]))
    return False


def _bound_by(node: ast.stmt) -> set[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return {node.name}
        case ast.Import() | ast.ImportFrom():
            return {alias.asname or alias.name for alias in node.names}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
        case ast.Assign():
            return {target.id for target in node.targets if isinstance(target, ast.Name)}
    return set()


def of_page(path: Path, root: Path = ROOT) -> Iterator[tuple[int, str]]:
    """All problems of a page of Markdown."""
    text = path.read_text(encoding="utf-8")
    yield from placeholders(text)
    yield from empty_headings(text)
    yield from broken_links(text, path.parent)
    yield from habits(text)
    if path.relative_to(root).as_posix() in NAMING:
        yield from missing_names(text, root)


def of_module(path: Path) -> Iterator[tuple[int, str]]:
    """Placeholders in the docstrings of a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False)
            if docstring is not None:
                yield from placeholders(docstring, node.body[0].lineno)


def problems(root: Path) -> list[str]:
    """All problems below a root, one a line."""
    found = [(path, *each) for path in _files(root, PAGES) for each in of_page(path, root)]
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
