"""The bundled organisms, for tests of attacks that need a model which knows something."""

from __future__ import annotations

from functools import cache

from unlearn_audit.api import Fact, FactSet
from unlearn_audit.demo import ASSETS
from unlearn_audit.facts.load import load_facts
from unlearn_audit.models.engine import Engine
from unlearn_audit.models.loading import load
from unlearn_audit.models.references import resolve
from unlearn_audit.spec.spec import ModelOptions


@cache
def bundled(name: str) -> Engine:
    """A bundled organism on the CPU; not to be written into."""
    return load(resolve(str(ASSETS / name)), ModelOptions(device="cpu"))


@cache
def first_subjects(name: FactSet, count: int) -> tuple[Fact, ...]:
    """All facts about the first `count` subjects of a bundled set."""
    facts = load_facts(str(ASSETS / "facts" / f"{name}.jsonl"), name).facts
    chosen = list(dict.fromkeys(fact.subject for fact in facts))[:count]
    return tuple(fact for fact in facts if fact.subject in chosen)
