"""The contract of a fact preset: its example becomes facts, the same ones each time, and another layout is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from unlearn_audit.api import Fact, FactPreset, FactSet, SpecError
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
    for config in made.configs:
        _check_benchmark(made, config)
    if made.configs and not made.open_config:
        _refuses(made.name, "a configuration that it does not have", lambda: made.parts("no such benchmark"))


def _check_benchmark(preset: FactPreset, config: str) -> None:
    """The parts of a configuration, on `example_parts`: facts in every set, and no subject in two."""
    parts, examples = preset.parts(config), preset.example_parts
    where = f"{preset.name}/{config}"
    for part in parts:
        promise(part.name in examples, f"{where}: `example_parts` has no rows for the part {part.name!r}")
        promise(bool(part.files) and bool(part.name), f"{where}: a part needs a name and the files it may stand in")
    rows = {part.name: copy.deepcopy(examples[part.name]) for part in parts}
    found = {name: [dict(row) for row in facts] for name, facts in preset.sets(config, rows).items()}
    again = {name: [dict(row) for row in facts] for name, facts in preset.sets(config, rows).items()}
    promise(found == again, f"{where} makes other facts the second time")
    promise(
        set(found) == {part.set for part in parts if part.set is not None},
        f"{where}: `sets` gives other sets than its parts have",
    )
    promise(FactSet.FORGET in found, f"{where} has no forget set")
    subjects: dict[str, FactSet] = {}
    for name, facts in found.items():
        for fact in facts:
            _check_fact(preset, fact)
        ids = [fact["id"] for fact in facts]
        promise(bool(ids), f"{where} makes no facts of its example for the {name} set")
        promise(len(set(ids)) == len(ids), f"{where} gives two facts of the {name} set one id")
        for who in {str(fact["subject"]) for fact in facts}:
            other = subjects.setdefault(who, name)
            twice = name is not other and FactSet.FORGET in (name, other)
            promise(not twice, f"{where} has one subject in the {other} set and in the {name} set")


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
    _refuses(preset.name, "rows of another layout", lambda: list(preset.facts(strange)))


def _refuses(name: str, what: str, act: Callable[[], object]) -> None:
    try:
        act()
    except SpecError as error:
        promise(_VALUE not in str(error), f"{name}: its error repeats a value, which may be the secret: {error}")
    except Exception as error:
        promise(False, f"{name}: {what} must be a SpecError; got {type(error).__name__}: {error}")
    else:
        promise(False, f"{name} takes {what} without a word; raise SpecError")
