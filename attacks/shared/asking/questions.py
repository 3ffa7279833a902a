"""Questions without their answers: what an adversary who does not know the facts can put to a model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from unlearn_audit.api import Fact, Prompt, derive_seed
from unlearn_audit.api.kit.asking import is_askable

from ..splits import half_passage


def questions_of(facts: Sequence[Fact], *, most: int) -> tuple[Prompt, ...]:
    """The questions of at most `most` facts, the same for every model; a passage's is the first half of its words."""
    return tuple(_question(fact) for fact in sampled(facts, most))


def wordings(fact: Fact) -> tuple[str, ...]:
    """Every way in which a fact is asked for; () where it has no question with an answer."""
    return (fact.question or "", *fact.paraphrases) if is_askable(fact) else ()


def anonymous_questions(
    facts: Sequence[Fact], names: Sequence[str], *, most: int
) -> tuple[tuple[Prompt, tuple[Prompt, ...]], ...]:
    """Questions that name their subject, each with the same question about no one in particular, once per name.

    A subject is named by its whole name, else by words of it that stand in no other subject's name.
    """
    owners = Counter(word for subject in {fact.subject for fact in facts} for word in set(subject.split()))
    found: dict[str, tuple[Prompt, tuple[Prompt, ...]]] = {}
    for fact in facts:
        prompt = _question(fact)
        own = [re.escape(word) for word in fact.subject.split() if owners[word] == 1]
        patterns = [rf"(?i:\b{re.escape(fact.subject)}\b)"]
        if own:
            patterns.append(rf"\b(?:{'|'.join(own)})(?:\s+(?:{'|'.join(own)}))*\b")
        parts = next((parts for each in patterns if len(parts := re.split(each, prompt.text)) > 1), None)
        if parts is not None:
            found[fact.id] = (prompt, tuple(Prompt(text=name.join(parts), chat=prompt.chat) for name in names))
    return tuple(found[fact.id] for fact in sampled([fact for fact in facts if fact.id in found], most))


def _question(fact: Fact) -> Prompt:
    return Prompt(text=fact.question) if fact.question else half_passage(fact).prompt


def sampled(facts: Sequence[Fact], most: int) -> tuple[Fact, ...]:
    """At most `most` facts, in their order: those whose ids have the least digests, the same for everyone.

    Taking every so-many-th would pick one relation alone where facts repeat in a pattern.
    """
    chosen = {fact.id for fact in sorted(facts, key=lambda fact: (derive_seed(0, fact.id), fact.id))[:most]}
    return tuple(fact for fact in facts if fact.id in chosen)
