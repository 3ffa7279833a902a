"""Text from outside, made printable: what models, plug-ins and users named may hold anything.

`clean` is for every format; the escaping of a format comes after it. Nothing that a report prints bypasses it.
`neutral` and `broken_commands` are for the streams of a process (`audit.telling.streams`), which nothing bypasses.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

LONGEST = 2_000
"""Characters of any one text that a report prints; `result.json` has the whole of it."""

# CSI, OSC (ended by BEL or ST) and the two-character escapes of ECMA-48: what a terminal would obey.
_TERMINAL_CODES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_](?:[^\x07\x1b]*(?:\x07|\x1b\\))?|\x1b[ -/]*[0-~]")
_SPACES = re.compile(r"\s+")
_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_SPECIAL = re.compile(r"[^\n\t -~]")
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_COLORS = re.compile(r"(\x1b\[[0-7;]*m)")
_COMMANDS = re.compile(r"(^[^\S\n]*:(?=:)|##(?:vso)?(?=\[))", re.MULTILINE)  # GitHub's, and those of older runners
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # the wide ones work where a spreadsheet speaks Japanese


def clean(text: str, longest: int = LONGEST) -> str:
    """One printable line: no control, format or private-use characters (bidi overrides are format characters).

    A text that a spreadsheet would take for a formula gets an apostrophe before it, as spreadsheets write such text.
    Cleaning twice gives the same as cleaning once.

    Args:
        text: anything.
        longest: characters kept; a longer text ends in an ellipsis.
    """
    # A bound on the work before any of it is done; a text that is mostly control characters may come out shorter.
    bound = 4 * longest + 400
    cut = len(text) > bound
    text = _TERMINAL_CODES.sub("", text[:bound])
    if not (text.isascii() and text.isprintable()):
        text = "".join(_printable(character) for character in text)
    text = _SPACES.sub(" ", text).strip()
    if text.startswith(_FORMULA):
        text = "'" + text
    return text if len(text) <= longest and not cut else text[: longest - 1].rstrip() + "…"


def _printable(character: str) -> str:
    category = unicodedata.category(character)
    if category in ("Cc", "Zl", "Zp", "Zs"):
        return " "
    return "" if category[0] == "C" else character


def clean_part(text: str) -> str:
    """`clean` for a part of a paragraph: one space is kept at an end that has any, to part it from its neighbour."""
    inner = clean(text)
    if not inner:
        return " " if text and text[0].isspace() else ""
    return (" " if text[0].isspace() else "") + inner + (" " if text[-1].isspace() else "")


def neutral(text: str, *, colors: bool = False) -> str:
    """Lines of which no terminal obeys anything: control codes and turns of direction go; blanks and line ends stay.

    Args:
        text: anything, of any length.
        colors: keep codes that only set the color or weight of what follows.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _LINE_ENDS.sub("\n", text)
    parts = _COLORS.split(text) if colors else [text]  # odd places hold the codes between the parts
    return "".join(part if place % 2 else _without_codes(part) for place, part in enumerate(parts))


def one_line(text: str) -> str:
    """`neutral` on one line, with its blanks as they are."""
    return neutral(text).replace("\n", " ")


def _without_codes(text: str) -> str:
    return _SPECIAL.sub(lambda one: "" if _is_obeyed(one[0]) else one[0], _TERMINAL_CODES.sub("", text))


def _is_obeyed(character: str) -> bool:
    return character in _TURNING or unicodedata.category(character) in ("Cc", "Cs")


def broken_commands(text: str) -> str:
    """The text with a blank in what a pipeline takes for a command: `::` at the head of a line, `##[`, `##vso[`."""
    return _COMMANDS.sub(r"\1 ", text)


def listed(names: Sequence[str], most: int) -> str:
    """The first `most` names, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
