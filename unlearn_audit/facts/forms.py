"""Rows as people and benchmarks have them -> the fields of a fact, where a row has one clear meaning.

Numbers stand for their text, a single text for a list of one, a list of answers for the answer and its aliases, an
index for a choice. Whatever is not known here is left as it is, so that a misspelled column is still an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from unlearn_audit.facts.printed import unpacked

Row: TypeAlias = dict[str, Any]

_TEXTS = ("id", "subject", "question", "answer", "relation", "cluster", "part", "text", "given")
_LISTS = ("aliases", "paraphrases", "wrong_answers")
_OWN = frozenset((*_TEXTS, *_LISTS, "hops"))


def as_fields(row: Mapping[str, Any], number: str) -> Row:
    """A row with the names and types of a fact's fields.

    Args:
        row: from a file, without columns that are empty.
        number: that tells it from the other rows, for an id where it has none.
    """
    fields = dict(row)
    if not fields.keys() <= _OWN:
        for form in (_tofu, _wmdp, _rwku):
            form(fields)
    _answers(fields)
    for name, value in fields.items():
        if type(value) is str:
            if name in _LISTS:
                fields[name] = _list(value)
        elif name in _TEXTS:
            fields[name] = _text(value)
        elif name in _LISTS:
            fields[name] = _list(value)
    fields.setdefault("id", f"row-{number}")
    return fields


def _tofu(row: Row) -> None:
    """TOFU's perturbed files: another wording of the question, and wrong answers; another of the answer is no key."""
    if "paraphrased_question" in row:
        row.setdefault("paraphrases", row.pop("paraphrased_question"))
    if "perturbed_answer" in row:
        row.setdefault("wrong_answers", row.pop("perturbed_answer"))
        row.pop("paraphrased_answer", None)


def _wmdp(row: Row) -> None:
    """WMDP: the right one of several choices, by its index."""
    choices, right = unpacked(row.get("choices")), row.get("answer")
    if isinstance(choices, list) and isinstance(right, str) and right.strip().isdecimal():  # of a CSV file
        right = int(right)
    if not isinstance(choices, list) or not isinstance(right, int) or isinstance(right, bool):
        return
    if 0 <= right < len(choices):
        del row["choices"]
        row["answer"] = choices[right]
        row.setdefault("wrong_answers", [one for place, one in enumerate(choices) if place != right])


def _rwku(row: Row) -> None:
    """RWKU: questions are `query`, of a `level` and a `type`."""
    if "query" in row and "question" not in row:
        row["question"] = row.pop("query")
        for name in ("level", "type"):
            row.pop(name, None)


def _answers(row: Row) -> None:
    """Several answers: the first, and the others as its aliases."""
    given = unpacked(row.get("answer"))
    if isinstance(given, list) and given:
        first, *others = _items(given) or [""]
        row["answer"] = first
        known = _list(row.get("aliases", []))
        row["aliases"] = [*known, *others] if isinstance(known, list) else known


def _text(value: Any) -> Any:
    """A number as its text; anything else as it is, for the check of types to refuse."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if plain else value


def _list(value: Any) -> Any:
    """One text as a list of one, or as the list that it is in JSON; numbers as their texts."""
    value = unpacked(value)
    if isinstance(value, list | tuple):
        return _items(value)
    one = _text(value)
    return _items([one]) if isinstance(one, str) else value


def _items(values: Sequence[Any]) -> list[Any]:
    """What a list says: an item without a word says nothing, and would be found in every text."""
    return [_text(one) for one in values if one is not None and not (isinstance(one, str) and not one.strip())]
