"""Rows of JSON: an object a line, one list of objects or texts, or one object; and a text file as one row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unlearn_audit.api.user_files import (
    LARGEST_FACTS,
    LONGEST_LINE,
    MOST_ROWS,
    each_line,
    opening,
    parse_json,
    read_text,
)
from unlearn_audit.errors import SpecError

Placed = tuple[str, dict[str, Any]]

_BLANK = " \t\r\n"


def read_jsonl(path: Path) -> Iterator[Placed]:
    """The objects of a file, whether they stand on lines of their own, in one list, or are one."""
    head = opening(path)
    if head.startswith("["):
        yield from _items(path)
    elif path.suffix.lower() == ".json" and not _is_whole(head):
        row = _object(parse_json(read_text(path), str(path)), f"{path}, line 1")
        if any(isinstance(value, str) and len(value) >= LONGEST_LINE for value in row.values()):
            raise SpecError(f"{path}, line 1: expected at most {LONGEST_LINE} characters in a text")
        yield "line 1", row
    else:
        yield from _objects(path)


def read_txt(path: Path) -> Iterator[Placed]:
    """A text file is one row: a document, which a preset may cut."""
    yield "line 1", {"text": read_text(path)}


def _objects(path: Path) -> Iterator[Placed]:
    for number, line in enumerate(each_line(path), 1):
        if line and not line.isspace():
            where = f"line {number}"
            yield where, _object(parse_json(line, f"{path}, {where}"), f"{path}, {where}")


def _object(row: Any, where: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise SpecError(f"{where}: expected one JSON object per line")
    return row


def _is_whole(line: str) -> bool:
    """Whether a line is JSON by itself; one that is faulty at its end is, for the message about it.

    A line that is longer than a fact may be is no line of facts: some benchmarks are one object, on one line.
    """
    if len(line.encode()) > LONGEST_LINE - 16:  # as `opening` cuts it, but for the blanks around it
        return False
    try:
        json.loads(line)
    except json.JSONDecodeError as error:
        return error.pos < len(line.rstrip())
    except (ValueError, RecursionError):
        return True
    return True


def _items(path: Path) -> Iterator[Placed]:
    """The items of a JSON list, decoded one at a time: a list of a million rows needs the text and one row."""
    text = read_text(path, LARGEST_FACTS)
    decoder, at, number = json.JSONDecoder(), _after(text, text.index("[") + 1), 0
    while text[at : at + 1] != "]":
        number += 1
        where = f"{path}, item {number}"
        if number > MOST_ROWS:
            raise SpecError(f"{path}: expected at most {MOST_ROWS} rows; split the file")
        end = _end(decoder, text, at, where)
        row = parse_json(text[at:end], where)
        if not isinstance(row, dict | str):
            raise SpecError(f"{where}: expected an object or a text")
        yield f"item {number}", {"text": row} if isinstance(row, str) else row
        at = _after(text, end)
        if text[at : at + 1] == ",":
            at = _after(text, at + 1)
        elif text[at : at + 1] != "]":
            raise SpecError(f"{where}: expected JSON: a comma or the end of the list after it")
    if _after(text, at + 1) != len(text):
        raise SpecError(f"{path}: expected JSON: nothing after the end of the list")


def _end(decoder: json.JSONDecoder, text: str, at: int, where: str) -> int:
    """Where the value that begins at `at` ends."""
    try:
        _, end = decoder.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise SpecError(f"{where}: expected JSON: {error.msg} (line {error.lineno})") from error
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{where}: expected JSON that is less deep, and plain numbers") from error
    if end - at > LONGEST_LINE:
        raise SpecError(f"{where}: expected at most {LONGEST_LINE} characters in an item")
    return end


def _after(text: str, at: int) -> int:
    """The first place from `at` on that is no blank."""
    while at < len(text) and text[at] in _BLANK:
        at += 1
    return at
