"""Clean text inside a format: escaped so that it stays text."""

from __future__ import annotations

import re

from unlearn_audit.api.kit.printable import clean, clean_part

_WORD_JOINER = "\u2060"

# What starts an inline construct of CommonMark or of GitHub's dialect, wherever it stands.
_INLINE = re.compile(r"[\\`*_\[\]<>|~&$!]")
_LEADING = re.compile(r"^(\s*)(?:([-+=])|(\d+)([.)])(?=\s|$))")
_LINKS = re.compile(r"(?i)(:(?=//)|www(?=\.)|(?:mailto|xmpp)(?=:))")
_MENTIONS = re.compile(r"[@#]")


def escape_markdown(text: str) -> str:
    """Plain text in Markdown (CommonMark and GitHub's dialect), good inside a table cell too.

    An invisible word joiner splits what would become a link, a mention or a reference to an issue: these are
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
