"""Text from outside, made harmless: what models, plug-ins and users named may hold anything.

`clean` is for every format; the escaping of a format comes after it. Nothing that a report prints goes round it.
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
_WORD_JOINER = "\u2060"


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


# What starts an inline construct of CommonMark or of GitHub's dialect, wherever it stands.
_INLINE = re.compile(r"[\\`*_\[\]<>|~&$!]")
_LEADING = re.compile(r"^(\s*)(?:([-+=])|(\d+)([.)])(?=\s|$))")
_LINKS = re.compile(r"(?i)(:(?=//)|www(?=\.)|(?:mailto|xmpp)(?=:))")
_MENTIONS = re.compile(r"[@#]")


def escape_markdown(text: str) -> str:
    """Plain text in Markdown (CommonMark and GitHub's dialect), good inside a table cell too.

    A word joiner, which nobody sees, parts what would become a link, a mention or a reference to an issue: these are
    made from the finished text, where a backslash no longer helps.
    """
    text = _INLINE.sub(r"\\\g<0>", clean_part(text))
    text = _LEADING.sub(_escaped_start, text)
    text = _LINKS.sub(rf"\g<0>{_WORD_JOINER}", text)
    return _MENTIONS.sub(rf"\\\g<0>{_WORD_JOINER}", text)


def _escaped_start(match: re.Match[str]) -> str:
    space, sign, number, dot = match.groups()
    return f"{space}\\{sign}" if sign else f"{space}{number}\\{dot}"


def code_span(text: str) -> str:
    """An identifier as a code span, good inside a table cell too; backticks become apostrophes."""
    text = clean(text).replace("`", "'")
    # In a table a pipe parts cells even inside code, and `\|` is undone only there: a look-alike is right everywhere.
    return f"`{text.replace('|', '¦')}`" if text else "(no name)"
