"""Names that columns usually have: what they are taken for where a file has no mapping, and which names are known."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields

from unlearn_audit.api import Fact
from unlearn_audit.api.problems import did_you_mean
from unlearn_audit.errors import SpecError

FIELDS = [field.name for field in fields(Fact)]

_PAIRS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("input", "output"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("q", "a"),
)
"""How others call question and answer."""
_ASKED = frozenset(asked for asked, _ in _PAIRS)
_SAID = frozenset(said for _, said in _PAIRS)
_DECIDED = ("question", "answer", "text", "given")
CHATS = ("messages", "conversations")
"""How the turns of a chat are called."""
_PUBLISHED = ("query", "choices", "gt", "answers", "context", *CHATS)
_KNOWN = frozenset((*FIELDS, *_ASKED, *_SAID, *_PUBLISHED))
_TABLES = (".csv", ".tsv")


def is_asked(column: str) -> bool:
    """Whether a column usually holds questions or texts."""
    return _plain(column) in _ASKED | {"question", "query", "text"}


def taken_for(columns: Collection[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """Column -> the field that it is taken for, where it has another name and nothing else can be meant.

    A field's own name counts in any case. The names of a usual pair count where it is the only one, and the row has no
    column that is called as we call it.

    Args:
        columns: of one row.
        mapping: field -> column, as the user gave it; what it names is not looked at.
    """
    used = set(mapping.values())
    plain = {column: _plain(column) for column in columns if column not in used}
    names = list(plain.values())
    found = {
        column: name
        for column, name in plain.items()
        if name in FIELDS and name != column and name not in columns and names.count(name) == 1
    }
    if not {*columns, *found.values(), *mapping}.isdisjoint(_DECIDED):
        return found
    asked, said = ([column for column, name in plain.items() if name in known] for known in (_ASKED, _SAID))
    if len(asked) == len(said) == 1 and (plain[asked[0]], plain[said[0]]) in _PAIRS:
        found |= {asked[0]: "question", said[0]: "answer"}
    return found


def meant(column: str) -> str:
    """What to say after the name of an unknown column: the field that it may be."""
    name = _plain(column)
    field = "question" if name in _ASKED else "answer" if name in _SAID else None
    return did_you_mean(column, FIELDS) if field is None else f"; did you mean {field!r}? ({_choices()})"


def check_header(columns: Iterable[str], source: str, known: Iterable[str] = ()) -> None:
    """Refuses a table none of whose columns has a known name: its first row is a row, and its cells may be secret.

    Args:
        columns: of the first row.
        source: where it is from; only a table of text can be without a header.
        known: names that are known besides the usual ones.

    Raises:
        SpecError: there is no known name; without the cells.
    """
    names = {_plain(name) for name in known} | _KNOWN
    if source.lower().endswith(_TABLES) and not any(_plain(column) in names for column in columns):
        raise SpecError(
            f"{source}, line 1: expected the names of the columns, got none that is known; begin the file with a line "
            "like `question,answer`, or name the columns with --column"
        )


def told(taken: Mapping[str, str]) -> str:
    """Which columns were taken for what, in words."""
    return ", ".join(f"{column!r} for {field}" for column, field in taken.items())


def _choices() -> str:
    return f"known: {', '.join(sorted(FIELDS))}"


def _plain(column: str) -> str:
    return column.strip().casefold()
