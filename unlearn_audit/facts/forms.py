"""Rows as people and benchmarks have them -> the fields of a fact, where a row has one clear meaning.

Numbers, dates and truth values stand for their text, a single text for a list of one, a list of answers for the answer
and its aliases, an index for a choice, two turns of a chat for question and answer. Whatever is not known here is left
as it is, so that a misspelled column is still an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from unlearn_audit.api.user_files import parse_json
from unlearn_audit.errors import SpecError
from unlearn_audit.facts.printed import place_of, plain, unpacked
from unlearn_audit.facts.usual import CHATS

Row: TypeAlias = dict[str, Any]

_TEXTS = ("id", "subject", "question", "answer", "relation", "cluster", "part", "text", "given")
_LISTS = ("aliases", "paraphrases", "wrong_answers")
_USERS, _MODELS = ("user", "human"), ("assistant", "gpt", "model")
_OWN = frozenset((*_TEXTS, *_LISTS, "hops"))


def as_fields(row: Mapping[str, Any], number: str) -> Row:
    """A row with the names and types of a fact's fields.

    Args:
        row: from a file, without columns that are empty.
        number: that tells it from the other rows, for an id where it has none.
    """
    fields = dict(row)
    if not fields.keys() <= _OWN:
        for form in (_tofu, _wmdp, _rwku, _squad, _chat):
            form(fields)
    _answers(fields)
    for name, value in fields.items():
        if type(value) is str:
            if name in _LISTS:
                fields[name] = _list(value)
        elif name in _TEXTS:
            fields[name] = plain(value)
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
    if isinstance(choices, list):
        right = place_of(right, choices)
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


def _squad(row: Row) -> None:
    """SQuAD: answers as `{"text": [...]}`, each a span of a `context`; the `title` is what the question is about.

    Raises:
        SpecError: the answers are an object that is printed.
    """
    given = row.get("answers")
    if given is None or "answer" in row or "question" not in row:
        return
    if isinstance(given, str) and given.lstrip().startswith("{"):
        try:
            given = parse_json(given, "")
        except SpecError as error:
            raise SpecError(
                "`answers` is printed in a way that cannot be read back; write the answer into a column `answer`"
            ) from error
    if isinstance(given, dict) and "text" in given:
        row.pop("context", None)
        if "title" in row:
            row.setdefault("subject", row.pop("title"))
        texts = given["text"] if isinstance(given["text"], list) else [given["text"]]
        given = list(dict.fromkeys(map(plain, texts)))
    if not isinstance(given, dict):
        del row["answers"]
        row["answer"] = given


def _chat(row: Row) -> None:
    """A chat of one question and its answer.

    Raises:
        SpecError: it has other turns.
    """
    name = next((name for name in CHATS if isinstance(row.get(name), list)), None)
    if name is None or not row.keys().isdisjoint(("question", "answer", "text")):
        return
    turns = [one for one in row.pop(name) if isinstance(one, dict)]
    roles = [one.get("role", one.get("from")) for one in turns]
    said = [one.get("content", one.get("value")) for one in turns]
    if not (
        len(roles) == 2 and roles[0] in _USERS and roles[1] in _MODELS and all(isinstance(one, str) for one in said)
    ):
        raise SpecError(
            f"{name!r}: expected one turn of the user and then one of the assistant, both texts; write other chats "
            "as a `question` and an `answer`"
        )
    row["question"], row["answer"] = said


def _answers(row: Row) -> None:
    """Several answers: the first, and the others as its aliases."""
    given = unpacked(row.get("answer"))
    if isinstance(given, list) and given:
        first, *others = _items(given) or [""]
        row["answer"] = first
        known = _list(row.get("aliases", []))
        row["aliases"] = [*known, *others] if isinstance(known, list) else known


def _list(value: Any) -> Any:
    """One text as a list of one, or as the list that it is in JSON; numbers as their texts."""
    value = unpacked(value)
    if isinstance(value, list | tuple):
        return _items(value)
    one = plain(value)
    return _items([one]) if isinstance(one, str) else value


def _items(values: Sequence[Any]) -> list[Any]:
    """What a list says: an item without a word says nothing, and would be found in every text."""
    return [plain(one) for one in values if one is not None and not (isinstance(one, str) and not one.strip())]
