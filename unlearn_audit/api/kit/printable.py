"""Text from outside, made printable: what models, plug-ins and users named may hold anything.

`clean` is for every format; the escaping of a format comes after it. Nothing that a report prints bypasses it.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST = 2_000
"""Characters of any one text that a report prints; `result.json` has the whole of it."""

# CSI, OSC (ended by BEL or ST) and the two-character escapes of ECMA-48: what a terminal would obey.
_TERMINAL_CODES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_](?:[^\x07\x1b]*(?:\x07|\x1b\\))?|\x1b[ -/]*[0-~]")
_SPACES = re.compile(r"\s+")
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
