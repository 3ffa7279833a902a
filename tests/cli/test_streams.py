"""What is printed: nobody obeys it, whoever wrote it, and nobody need read it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.table import Table

from unlearn_audit.api.kit.printable import neutral
from unlearn_audit.audit.telling import streams
from unlearn_audit.audit.telling.progress import Lines, Live
from unlearn_audit.audit.telling.streams import Guarded, HarmlessConsole, guarded_streams
from unlearn_audit.cli.common import say

EVIL = "x\n::notice title=audit%3A PASS::No leak\r::error::y\x1b[2J"
EVIL += "\x1b]0;title\x07\x9b31m\u202egnp.exe\u2028::set-output::z"


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def obeyed(text: str) -> list[str]:
    """Lines that GitHub's runner takes for commands: it takes blanks off, and ends a line at a carriage return too."""
    lines = text.replace("\r", "\n").split("\n")
    return [line for line in lines if line.lstrip().startswith("::") or "##[" in line]


def is_harmless(text: str) -> bool:
    return not obeyed(text) and not any(sign in text for sign in "\x1b\x9b\x07\r\u202e\u2028")


def written(write: Callable[[], object]) -> str:
    """What stands on stdout and stderr, which are guarded."""
    one, other = io.StringIO(), io.StringIO()
    with redirect_stdout(one), redirect_stderr(other), guarded_streams():
        write()
    return one.getvalue() + other.getvalue()


@pytest.mark.parametrize(
    "write",
    [
        print,
        say,
        lambda text: print(text, file=sys.stderr),
        lambda text: sys.stdout.writelines([text]),
        lambda text: [sys.stdout.write(character) for character in text],
        lambda text: streams.console().print(text),
        lambda text: streams.console().print(text, markup=False, soft_wrap=True),
        lambda text: streams.console(stderr=True).print("[red]error[/red] " + text),
        lambda text: Lines(streams.console(stderr=True))._say(text),
    ],
    ids=["print", "say", "stderr", "lines", "characters", "console", "wide", "markup", "progress"],
)
def test_no_way_of_printing_lets_a_text_command(write):
    told = written(lambda: write(EVIL))
    assert "No leak" in told
    assert is_harmless(told)


def test_a_wrapped_line_and_a_cell_begin_no_command():
    def write():
        table = Table(box=None)
        table.add_column("::error::title\x1b[2J")
        table.add_row("word " * 8 + EVIL)
        console = streams.console()
        console.print(table)
        console.print("x" * (console.width - 1) + " ::notice::wrapped")

    told = written(write)
    assert "::wrapped" in told
    assert is_harmless(told)


def test_a_display_shows_the_name_of_a_model_without_its_codes():
    stream = Terminal()
    with Live(HarmlessConsole(file=stream, force_terminal=True, width=100)) as live:
        live.begin([], [])
        live.loading(SimpleNamespace(name=EVIL))
        live._live.refresh()
    assert "No leak" in stream.getvalue()
    assert not any(code in stream.getvalue() for code in ("\x1b[2J", "\x1b]0", "\x07", "\u202e"))


@pytest.mark.parametrize("parts", [[":", ":error::x"], ["  :", ":error::x"], ["a\n", "::error::x"], ["##", "[error]x"]])
def test_a_command_in_two_writes_is_none(parts):
    stream = io.StringIO()
    guarded = Guarded(stream)
    assert [guarded.write(part) for part in parts]
    assert not obeyed(stream.getvalue())
    assert "error" in stream.getvalue()


def test_our_own_annotations_are_obeyed():
    def write():
        print("half a line", end="", file=sys.stderr)
        streams.command("::notice title=ours::text")
        print("::notice title=theirs::text", file=sys.stderr)

    assert obeyed(written(write)) == ["::notice title=ours::text"]


def test_colors_are_for_terminals_and_nothing_else_is():
    text = "\x1b[31mred\x1b[0m \x1b[2J\x1b[1;1Hx"
    assert neutral(text) == "red x"
    terminal = Terminal()
    Guarded(terminal).write(text)
    assert terminal.getvalue() == "\x1b[31mred\x1b[0m x"


@pytest.mark.parametrize("text", ["plain\n", "ä\tö\n", "日本\u2060語\n", "", "a: :b::c\n", "# ## [x]\n", "\n\n"])
def test_what_harms_nobody_stays_as_it_is(text):
    stream = io.StringIO()
    Guarded(stream).write(text)
    assert stream.getvalue() == text


PRINTS = """
import sys
from unlearn_audit.audit.telling.streams import guarded_streams
with guarded_streams():
    for _ in range(int(sys.argv[1])):
        print("x" * 99)
    sys.stdout.flush()
    sys.exit(3)
"""


@pytest.mark.parametrize("lines", [1, 10_000])
def test_a_reader_who_has_gone_changes_no_exit_code(lines):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", PRINTS, str(lines)], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (3, b"")


def test_a_closed_stdout_and_a_narrow_encoding_change_no_exit_code():
    code = "from unlearn_audit.audit.telling.streams import guarded_streams as g\nwith g():\n    print('ä █')"
    done = subprocess.run(["sh", "-c", f'"{sys.executable}" -c "{code}" >&-'], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    around = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, env=around)
    assert (done.returncode, done.stdout) == (0, b"\\xe4 \\u2588\n")


def test_a_full_disk_is_an_error_and_no_verdict():
    command = [sys.executable, "-m", "unlearn_audit", "schema", "result"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode not in (0, 1, 3)
