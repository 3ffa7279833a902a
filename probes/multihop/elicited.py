"""What is asked of the original once: the neighbours of answers, other names of subjects, and every chain."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from unlearn_audit.api import Fact, Json, Model, Prompt
from unlearn_audit.api import knowledge_graph as graphs
from unlearn_audit.api.kit.answer_key import is_short, normalize
from unlearn_audit.api.kit.asking import is_askable

from .chains import Composer, Neighbour, answer_name, multihop_texts

_DEFAULT_FROM = 4
"""Different names from which an answer that more than half of them get is the model's default, and no answer."""


def elicited(
    original: Model, pool: Sequence[Fact], *, most: int, max_new_tokens: int
) -> tuple[dict[str, Json], dict[str, Json]]:
    """What the original says of answers and subjects, as `composer_of` reads it; and counts for the report."""
    steps, counts = elicited_neighbours(original, pool, most=most, max_new_tokens=max_new_tokens)
    names: dict[str, Json] = dict(elicited_names(original, pool, most=most, max_new_tokens=max_new_tokens))
    told: list[Json] = [[step.head, step.relation, step.tail, step.question] for step in steps]
    return {"steps": told, "names": names}, counts


def composer_of(pool: Sequence[Fact], statements: Mapping[str, str], prepared: Mapping[str, Json]) -> Composer:
    """Composes the chains of a pool with what was elicited, if anything was."""
    found = cast("Mapping[str, Any]", prepared)
    steps = [
        graphs.Step(head=head, relation=relation, tail=tail, question=question, origin=graphs.ELICITED)
        for head, relation, tail, question in found.get("steps", ())
    ]
    return Composer(pool, statements, elicited=steps, names=found.get("names"))


def elicited_neighbours(
    original: Model, pool: Sequence[Fact], *, most: int, max_new_tokens: int
) -> tuple[list[graphs.Step], dict[str, Json]]:
    """Steps from answers, and from what these lead to, that the original gives in every way of asking; and counts."""
    relations = multihop_texts().neighbours
    steps: list[graphs.Step] = []
    asked = 0
    entities = _drawn((answer_name(fact) for fact in pool if is_askable(fact)), most)
    for _ in range(2):
        wanted = [(entity, relation) for entity in entities for relation in relations]
        asked += len(wanted)
        for (entity, relation), tail in _consistent(original, wanted, relations, max_new_tokens).items():
            question = relations[relation].ask[0].format(entity=entity)
            steps.append(
                graphs.Step(head=entity, relation=relation, tail=tail, question=question, origin=graphs.ELICITED)
            )
        known = {graphs.node_of(entity) for entity in entities}
        entities = _drawn((step.tail for step in steps if graphs.node_of(step.tail) not in known), most)
    return steps, {"neighbours_kept": len(steps), "neighbours_dropped": asked - len(steps)}


def elicited_names(original: Model, pool: Sequence[Fact], *, most: int, max_new_tokens: int) -> dict[str, str]:
    """Normalized subject -> another name, the same in every way of asking, that tells none of its facts."""
    subjects = _drawn((fact.subject for fact in pool if is_askable(fact)), most)
    wanted = [(subject, "") for subject in subjects]
    found = _consistent(original, wanted, {"": multihop_texts().names}, max_new_tokens)
    values: dict[str, set[str]] = {}
    for fact in filter(is_askable, pool):
        values.setdefault(normalize(fact.subject), set()).add(normalize(answer_name(fact)))
    return {
        normalize(subject): name
        for (subject, _), name in found.items()
        if not set(normalize(name).split()) & set(normalize(subject).split())
        and not any(value in normalize(name) for value in values[normalize(subject)])
    }


def _consistent(
    original: Model, wanted: Sequence[tuple[str, str]], relations: dict[str, Neighbour], max_new_tokens: int
) -> dict[tuple[str, str], str]:
    """(Name, relation) -> a short answer that is the same in every way of asking.

    An answer that more than half of all names get, or one name to several relations, is a default or a refusal.
    """
    agreed: dict[tuple[str, str], str] = {}
    left = list(wanted)
    for way in range(max((len(relations[relation].ask) for _, relation in wanted), default=0)):
        # Who rambles or is contradicted once is not asked again.
        asked_now = [(entity, relation) for entity, relation in left if way < len(relations[relation].ask)]
        prompts = [Prompt(text=relations[relation].ask[way].format(entity=entity)) for entity, relation in asked_now]
        said = original.generate(prompts, max_new_tokens=max_new_tokens) if prompts else []
        for (entity, relation), answer in zip(asked_now, said, strict=True):
            text = answer.text.strip().strip(".!?;:, \n")
            before = agreed.setdefault((entity, relation), text)
            same = normalize(before) == normalize(text) and answer.finished
            if not same or not is_short(text) or graphs.node_of(text) == graphs.node_of(entity):
                del agreed[entity, relation]
                left.remove((entity, relation))
    asked = Counter(relation for _, relation in wanted)
    times = Counter((relation, normalize(text)) for (_, relation), text in agreed.items())
    twice = Counter((entity, normalize(text)) for (entity, _), text in agreed.items())
    return {
        (entity, relation): text
        for (entity, relation), text in agreed.items()
        if twice[entity, normalize(text)] == 1
        and (asked[relation] < _DEFAULT_FROM or 2 * times[relation, normalize(text)] <= asked[relation])
    }


def _drawn(names: Iterable[str], most: int) -> list[str]:
    """Different names, at most so many, drawn by a hash: the same ones in whatever order the facts stand."""
    by_node = {graphs.node_of(name): name for name in names if graphs.node_of(name)}
    ranked = sorted(by_node, key=lambda node: hashlib.sha256(f"neighbour\x1f{node}".encode()).digest())
    return [by_node[node] for node in ranked[:most]]
