"""stdout and stderr of the process: whatever is written to them, no terminal and no pipeline obeys it.

Text from checkpoints, facts and plug-ins may hold anything, and libraries print it without asking. So it is made
harmless where it leaves the process, not where it is composed. A reader who has gone (`| head`) is no error either:
what is left is thrown away, and the exit code is still that of the verdict.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from unlearn_audit.api.kit.printable import broken_commands, neutral, one_line

_TAIL = 8
"""Characters of a line that are remembered: a command may come in two writes."""


class Guarded:
    """A text stream that writes only what nobody obeys.

    `styled` is for what has been made harmless already, with the codes of our own consoles in it.
    """

    def __init__(self, stream: TextIO, *, styled: bool = False) -> None:
        self._stream = stream
        self._styled = styled
        self._line = ""
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a narrow encoding must not end a run

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def styled(self) -> Guarded:
        """The same stream for a console of ours."""
        return Guarded(self._stream, styled=True)

    def write(self, text: str) -> int:
        """Writes the text, made harmless; returns the number of characters given."""
        if not self._styled:
            text = neutral(text, colors=self._stream.isatty())
        known, text = len(self._line), broken_commands(self._line + text)
        with _reader_may_be_gone(self._stream):
            self._stream.write(text[known:])
        line = text[text.rfind("\n") + 1 :]
        self._line = line if not line.strip(" \t:") else f"-{line[-_TAIL:]}"
        return len(text) - known

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes each."""
        for line in lines:
            self.write(line)

    def command(self, line: str) -> None:
        """Writes a line that a pipeline is meant to obey; its parts must be escaped."""
        with _reader_may_be_gone(self._stream):
            self._stream.write(f"{line}\n" if not self._line else f"\n{line}\n")
        self._line = ""

    def flush(self) -> None:
        """Flushes; nothing if nobody reads any more."""
        with _reader_may_be_gone(self._stream):
            self._stream.flush()


class HarmlessConsole(Console):
    """A console that prints a text as one line without codes; tables and styles are its own."""

    def render_str(self, text: str, *args: Any, **settings: Any) -> Text:
        """The text on one line."""
        return super().render_str(one_line(text), *args, **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The parts of what is printed; those that are text hold no codes."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=neutral(segment.text))


def console(*, stderr: bool = False) -> Console:
    """A console on stdout or stderr."""
    stream = sys.stderr if stderr else sys.stdout
    return HarmlessConsole(stderr=stderr, file=getattr(stream, "styled", None))


def tell_notes(to: Console, notes: Iterable[str]) -> None:
    """What the user should know before a run begins, a line each."""
    for note in notes:
        to.print(f"note: {note}", markup=False, highlight=False)


def command(line: str) -> None:
    """Writes a line on stderr that a pipeline is meant to obey."""
    stream: Any = sys.stderr
    if isinstance(stream, Guarded):
        stream.command(line)
    else:
        print(line, file=stream)


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Guards stdout and stderr while it lasts. A stream that is closed from the start drops what it is given.

    Raises:
        OSError: what was printed could not be written (a full disk).
    """
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - no path of anybody's
        streams = [Guarded(stream or nowhere) for stream in before]
        sys.stdout, sys.stderr = cast("list[TextIO]", streams)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before
            for stream in streams:
                stream.flush()


@contextmanager
def _reader_may_be_gone(stream: TextIO) -> Iterator[None]:
    """Sends the rest nowhere where the reader of a pipe has gone: also what Python still flushes when it ends."""
    try:
        yield
    except BrokenPipeError:
        with suppress(OSError, ValueError):  # a stream of a test has no descriptor
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
