"""The contract of a fact preset: its example becomes facts, the same ones each time, and another layout is refused."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from unlearn_audit.api import Fact, FactPreset, SpecError
from unlearn_audit.testing.promises import check_identity, promise

_FACT = TypeAdapter(Fact)
_VALUE = "Xyzzy-93"


def check_preset(preset: type[FactPreset]) -> None:
    """Whether a preset keeps the contract of `api.preset`, on the rows of its own `example`.

    Args:
        preset: the class.

    Raises:
        ContractError: a promise is broken; it says which.
    """
    check_identity(preset, FactPreset)
    paper = getattr(preset, "paper", None)
    promise(isinstance(paper, str), f"{preset.__qualname__}.paper must be an arXiv id or empty; it is {paper!r}")
    rows = getattr(preset, "example", ())
    promise(len(rows) > 0, f"{preset.__qualname__}.example must hold a few rows in the published layout")
    made, before = preset(), copy.deepcopy(rows)
    facts = [dict(row) for row in made.facts(rows)]
    promise(bool(facts), f"{made.name} makes no facts of its example")
    promise(list(rows) == list(before), f"{made.name} changes the rows that it is given")
    for fact in facts:
        _check_fact(made, fact)
    ids = [fact["id"] for fact in facts]
    promise(len(set(ids)) == len(ids), f"{made.name} gives two facts one id")
    again = [dict(row) for row in preset().facts(copy.deepcopy(rows))]
    promise(facts == again, f"{made.name} makes other facts the second time")
    _check_refusal(made, rows)


def _check_fact(preset: FactPreset, row: Mapping[str, Any]) -> None:
    try:
        fact = _FACT.validate_python(row)
    except ValidationError as error:
        promise(
            False, f"{preset.name}: {dict(row)} is not a fact: {error.errors()[0]['msg']} ({error.errors()[0]['loc']})"
        )
        raise
    whole = bool(fact.text) or (bool((fact.question or "").strip()) and bool((fact.answer or "").strip()))
    promise(whole, f"{preset.name}: fact {fact.id!r} needs a question and an answer, or a text")
    promise(bool(fact.id.strip()) and bool(fact.subject.strip()), f"{preset.name}: a fact needs an id and a subject")


def _check_refusal(preset: FactPreset, rows: Sequence[Mapping[str, object]]) -> None:
    """Rows of another layout are a SpecError, which does not repeat what they say."""
    strange = [{"no_such_column": _VALUE} for _ in rows]
    try:
        list(preset.facts(strange))
    except SpecError as error:
        promise(_VALUE not in str(error), f"{preset.name}: its error repeats a value, which may be the secret: {error}")
    except Exception as error:
        promise(
            False, f"{preset.name}: rows of another layout must be a SpecError; got {type(error).__name__}: {error}"
        )
    else:
        promise(False, f"{preset.name} takes rows of another layout without a word; raise SpecError")
