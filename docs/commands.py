"""Writes the reference of the command line, and looks for commands and flags in pages that the tool does not have.

python docs/commands.py            write docs/reference/cli.md
python docs/commands.py --check    exit 1 where it is stale, or a page names what is not there
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import typer
import typer.main
from typer.cli import get_docs_for_click

from unlearn_audit.cli.app import app

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference" / "cli.md"
TOOL = "unlearn-audit"
HEAD = "<!-- Written by docs/commands.py from the command line. Do not edit. -->\n\n"
PAGES = ("README.md", "docs/**/*.md", "examples/**/*.md", "benchmarks/**/*.md")

_CALL = re.compile(r"^\s*(?:\$ )?(?:\.venv/bin/)?unlearn-audit +(\S.*)$")
_SPAN = re.compile(r"`([^`\n]+)`")
_FLAG = re.compile(r"--?[a-zA-Z][a-z-]*")
_EVERYWHERE = frozenset({"--help", "-h", "--debug", "--version"})


def reference() -> str:
    """Every command with its arguments and flags, as `--help` says them."""
    command = typer.main.get_command(app)
    context = typer.Context(command, info_name=TOOL)  # type: ignore[arg-type]
    text = get_docs_for_click(obj=command, ctx=context, name=TOOL, title="Command line")  # type: ignore[arg-type]
    return HEAD + _with_whole_sentences(text, command).rstrip() + "\n"


def _with_whole_sentences(text: str, command: object) -> str:
    """The lists of commands with the first sentence of each as it is: typer cuts it to the width of a terminal."""
    for name, one in getattr(command, "commands", {}).items():
        text = text.replace(f"* `{name}`: {one.get_short_help_str()}\n", f"* `{name}`: {_sentence(one)}\n")
        text = _with_whole_sentences(text, one)
    return text


def _sentence(command: object) -> str:
    first = " ".join((getattr(command, "help", "") or "").split("\n\n")[0].split())
    return first.partition(". ")[0].rstrip(".") + "."


def known() -> dict[str, frozenset[str]]:
    """Flags by command; a command of a group by both words, as `facts check`."""

    def flags(command: object) -> frozenset[str]:
        options = (name for one in getattr(command, "params", ()) for name in (*one.opts, *one.secondary_opts))
        return frozenset(name for name in options if name.startswith("-")) | _EVERYWHERE

    found: dict[str, frozenset[str]] = {}
    for name, command in getattr(typer.main.get_command(app), "commands", {}).items():
        found[name] = flags(command)
        for inner, below in getattr(command, "commands", {}).items():
            found[f"{name} {inner}"] = flags(below)
    return found


def named(text: str) -> Iterator[tuple[int, str]]:
    """Line number and words of every call of the tool: lines of code, and code spans that begin with its name."""
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        first, line = number, lines[number]
        while line.endswith("\\") and number + 1 < len(lines):
            number += 1
            line = line[:-1] + lines[number]
        if (call := _CALL.match(line)) is not None:
            yield first + 1, call[1]
        else:
            yield from ((first + 1, span.removeprefix(f"{TOOL} ")) for span in _SPAN.findall(line) if _is_call(span))
        number += 1


def _is_call(span: str) -> bool:
    """`unlearn-audit plan`, or `run --workers N`: a verb alone may be any word."""
    return span.startswith(f"{TOOL} ") or (" -" in span and span.split()[0] in known())


def problems(text: str) -> Iterator[tuple[int, str]]:
    """Commands and flags in a page that the tool does not have."""
    commands = known()
    for number, call in named(text):
        words = _words(call)
        if not words or words[0].startswith("-"):
            continue
        pair = " ".join(words[:2])
        verb = pair if pair in commands else words[0]
        if verb not in commands:
            yield number, f"no such command: {TOOL} {words[0]}"
            continue
        for word in words[1:]:
            flag = word.partition("=")[0]
            if _FLAG.fullmatch(flag) and flag not in commands[verb]:
                yield number, f"{TOOL} {verb} has no flag {flag}"


def _words(call: str) -> list[str]:
    try:
        words = shlex.split(call, comments=True)
    except ValueError:
        words = call.split()
    for end in ("&&", "|", "||", ";", ">"):
        words = words[: words.index(end)] if end in words else words
    return words


def main() -> int:
    """Writes or checks."""
    if "--check" not in sys.argv[1:]:
        REFERENCE.parent.mkdir(exist_ok=True)
        REFERENCE.write_text(reference(), encoding="utf-8")
        return 0
    found = []
    if not REFERENCE.is_file() or REFERENCE.read_text(encoding="utf-8") != reference():
        found.append(f"{REFERENCE.relative_to(ROOT)} is stale: run `make docs`")
    for path in sorted({path for pattern in PAGES for path in ROOT.glob(pattern)} - {REFERENCE}):
        for line, problem in problems(path.read_text(encoding="utf-8")):
            found.append(f"{path.relative_to(ROOT)}:{line}: {problem}")
    for each in found:
        print(each, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
