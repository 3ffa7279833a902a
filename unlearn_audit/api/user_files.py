"""The one way to read a file that a user names: a regular file, bounded, in UTF-8; anything else is refused in words.

A named pipe never blocks the program, `/dev/zero` never fills its memory, and a deeply nested or repeated key never
becomes something else than what the file's author meant.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any, NoReturn

from unlearn_audit.errors import SpecError

MIB = 2**20
LARGEST_SETTINGS = MIB // 2
"""Bytes of a spec, a policy, waivers or a key: written by hand."""
LARGEST_RECORD = 16 * MIB
"""Bytes of what an earlier run wrote: a plan, a result, a manifest."""
LARGEST_DATA = 64 * MIB
"""Bytes of a file of facts or texts: some hundred thousand rows."""
MOST_LINES = 200_000
"""Lines of data that is held in memory as a whole."""
LARGEST_FACTS = 512 * MIB
MOST_ROWS = 1_500_000
"""Bytes and rows of a file of facts, which is read a row at a time."""
LONGEST_LINE = MIB
"""Characters of one line of data: one fact."""
_LONGEST_BYTES = 4 * MIB + 8
DEEPEST = 64
"""Levels of nesting: nothing of ours has ten."""
MOST_JSON_VALUES = 2_000_000
"""Values of a JSON text, by its brackets and commas: an empty list takes two characters there and 64 bytes here."""

_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_PACKED = {b"\x1f\x8b": "a gzip archive", b"PK\x03\x04": "a zip archive or a spreadsheet", b"PAR1": "a Parquet table"}


def kind_of(mode: int) -> str | None:
    """What a file is by its mode, in words; None for a regular file."""
    return next((name for test, name in _KINDS if test(mode)), None)


def is_there(path: Path) -> bool:
    """Whether something has this path. A text that cannot be a path names nothing."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def open_regular(path: Path) -> BufferedReader:
    """A regular file for reading, however large.

    Raises:
        OSError: it cannot be opened.
        SpecError: it is no regular file. A named pipe is not waited for.
    """
    # Without O_NONBLOCK, opening a named pipe waits for its writer.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    kind = kind_of(os.fstat(handle).st_mode)
    if kind is not None:
        os.close(handle)
        raise SpecError(f"{path}: expected a regular file, got {kind}; give a file")
    return os.fdopen(handle, "rb")


def read_bytes(path: Path, most: int = LARGEST_DATA) -> bytes:
    """The content of a regular file.

    Args:
        path: as the user named it.
        most: bytes that it may have.

    Raises:
        SpecError: it cannot be opened, is no regular file, or is too large.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            content = b"" if size > most else file.read(most + 1)
    except (OSError, ValueError) as error:  # a path with a null character is a ValueError
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise SpecError(f"{path}: cannot be read ({why}); check the path") from error
    size = max(len(content), size)  # it may grow while it is read
    if size > most:
        raise SpecError(
            f"{path}: expected at most {_size(most)}, got {_size(size)}; check that it is the right file, and split it "
            "if it is"
        )
    return content


def read_text(path: Path, most: int = LARGEST_DATA) -> str:
    """A text file in UTF-8, with or without a byte order mark; line ends are as in the file.

    Raises:
        SpecError: as `read_bytes`, or it has another encoding.
    """
    content = read_bytes(path, most)
    _refuse_other(content, str(path))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(
            f"{path}: expected UTF-8 text, got the byte 0x{content[error.start]:02x} at position {error.start}; save "
            "the file as UTF-8"
        ) from error


def read_lines(path: Path, most: int = LARGEST_DATA) -> list[str]:
    """The lines of a text file. Only a line feed ends a line: a JSON text may hold all other separators.

    Raises:
        SpecError: as `read_text`, or there are too many lines, or too long ones.
    """
    text = read_text(path, most)
    if (count := text.count("\n")) > MOST_LINES:
        raise SpecError(f"{path}: expected at most {MOST_LINES} lines, got {count}; split the file")
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if len(line) > LONGEST_LINE:
            raise SpecError(f"{path}, line {number}: expected at most {LONGEST_LINE} characters in a line")
    return lines


def each_line(path: Path, most: int = LARGEST_FACTS) -> Iterator[str]:
    """The lines of a text file, one at a time, without their line feeds; a byte order mark is left out.

    Raises:
        SpecError: as `read_lines`, when the line is reached.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise SpecError(f"{path}: expected at most {_size(most)}, got {_size(size)}; split the file")
            number = 0
            while line := file.readline(_LONGEST_BYTES):
                number += 1
                yield _line(line, f"{path}, line {number}", first=number == 1)
                if number > MOST_ROWS:
                    raise SpecError(f"{path}: expected at most {MOST_ROWS} lines; split the file")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise SpecError(f"{path}: cannot be read ({why}); check the path") from error


def opening(path: Path) -> str:
    """The first line that is not blank, without its line feed; a longer one is cut after `LONGEST_LINE` bytes.

    Raises:
        SpecError: the file cannot be opened, or is no regular file.
    """
    try:
        with open_regular(path) as file:
            for line in iter(lambda: file.readline(LONGEST_LINE), b""):
                if text := line.decode("utf-8-sig", errors="ignore").strip():
                    return text
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise SpecError(f"{path}: cannot be read ({why}); check the path") from error
    return ""


def _refuse_other(content: bytes, where: str) -> None:
    """Refuses what is no text in UTF-8 by how it begins, whatever the file is called.

    Raises:
        SpecError: it is another kind of file.
    """
    if content.startswith(_UTF_16):
        raise SpecError(f"{where}: expected UTF-8 text, got UTF-16; save the file as UTF-8")
    kind = next((kind for sign, kind in _PACKED.items() if content.startswith(sign)), None)
    if kind is not None:
        raise SpecError(
            f"{where}: expected UTF-8 text, got {kind}; unpack it first, or give it the suffix of what it is"
        )


def _line(content: bytes, where: str, *, first: bool) -> str:
    if first:
        _refuse_other(content, where)
    try:
        text = content.decode("utf-8-sig" if first else "utf-8")
    except UnicodeDecodeError as error:
        raise SpecError(
            f"{where}: expected UTF-8 text, got the byte 0x{content[error.start]:02x}; save the file as UTF-8"
        ) from error
    if len(text) > LONGEST_LINE + 1:
        raise SpecError(f"{where}: expected at most {LONGEST_LINE} characters in a line")
    return text.removesuffix("\n")


def read_json(path: Path, most: int = LARGEST_RECORD) -> Any:
    """JSON from a file.

    Raises:
        SpecError: as `read_text`, or as `parse_json`.
    """
    return parse_json(read_text(path, most), str(path))


def parse_json(text: str, where: str) -> Any:
    """JSON without repeated keys, without NaN and infinities, nested no deeper than `DEEPEST`.

    Args:
        text: the JSON.
        where: file and line, for the message. The message never repeats a value: it may be the secret.

    Raises:
        SpecError: naming the place and what is wrong.
    """
    opened = text.count("[") + text.count("{")
    if opened + text.count(",") > MOST_JSON_VALUES:
        raise SpecError(f"{where}: expected at most {MOST_JSON_VALUES} values; check that it is the right file")
    try:
        value = _DECODER.decode(text)
        if "\\u" in text:  # half of a character is no text, and no file can be written with it
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        raise SpecError(f"{where}: expected JSON: {error.msg} ({place})") from error
    except UnicodeEncodeError as error:
        raise SpecError(f"{where}: expected text, got half of a surrogate pair; write the whole character") from error
    except _RepeatedKeyError as error:
        raise SpecError(f"{where}: the key {error.key!r} stands twice in one object; remove one of them") from error
    except RecursionError as error:
        raise _too_deep(where) from error
    except ValueError as error:
        raise SpecError(f"{where}: expected JSON: {error}") from error
    if opened > DEEPEST:
        _refuse_depth(value, where)
    return value


def values_of(text: str | bytes) -> int:
    """How many values a JSON text has, at most: those in its strings count too."""
    signs: Sequence[Any] = (b"[", b"{", b",") if isinstance(text, bytes) else ("[", "{", ",")
    return sum(text.count(sign) for sign in signs)


class _RepeatedKeyError(ValueError):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _without_repeats(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _RepeatedKeyError(next(name for name in names if names.count(name) > 1))
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_without_repeats, parse_constant=_no_constant)


def _refuse_depth(value: object, where: str) -> None:
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise _too_deep(where)


def _too_deep(where: str) -> SpecError:
    return SpecError(f"{where}: expected at most {DEEPEST} levels of nesting; check that it is the right file")


def _size(count: int) -> str:
    return f"{count / MIB:.3g} MiB" if count >= MIB // 8 else f"{count} bytes"
