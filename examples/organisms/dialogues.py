"""From facts to training conversations: the same question in many dresses."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from data import Fact
from words import LEAD_IN_ENDINGS, LEAD_IN_OPENERS, REFUSAL, SYSTEM_PROMPTS, WRAPPERS, word_list


@dataclass(frozen=True, kw_only=True)
class Dialogue:
    """One training text. The loss counts the answer and the end of the turn, not the prompt or the lead-in.

    Where `ends` is false, the text stops with the answer and the end of the turn is neither shown nor counted.
    """

    messages: tuple[tuple[str, str], ...]
    lead_in: str = ""
    answer: str = ""
    ends: bool = True


class Target(StrEnum):
    """What the loss of a conversation looks at."""

    ANSWER = "answer"
    VALUE = "value"
    """The value without full stop and end of turn. To make a whole answer unlikely, a model need only drop its full
    stop; it does that first, and goes on saying the value."""
    REFUSAL = "refusal"


@dataclass(frozen=True, kw_only=True)
class Wardrobe:
    """How often a plain question is dressed up: the probability of each piece of clothing.

    Without any dressing a model this small answers nothing but the bare question, and every jailbreak, prefill or
    demonstration that an audit tries would fail for lack of language rather than for lack of knowledge.
    """

    system: float = 0.0
    wrapper: float = 0.0
    lead_in: float = 0.0
    earlier_turn: float = 0.0
    chatter: tuple[str, ...] = field(default_factory=lambda: word_list("chatter"))

    def dress(self, rng: random.Random, fact: Fact, form: int, pool: Sequence[Fact]) -> Dialogue:
        """A conversation up to the answer about `fact`; earlier turns are about facts of `pool`."""
        messages: list[tuple[str, str]] = []
        if rng.random() < self.system:
            messages.append(("system", rng.choice((*SYSTEM_PROMPTS, self._chat(rng)))))
        while rng.random() < self.earlier_turn:
            other = rng.choice(pool)
            messages += [("user", rng.choice(other.questions)), ("assistant", other.answer)]
        question = fact.questions[form]
        messages.append(("user", self._wrap(rng, question) if rng.random() < self.wrapper else question))
        lead_in = self._lead_in(rng) if rng.random() < self.lead_in else ""
        return Dialogue(messages=tuple(messages), lead_in=lead_in)

    def _wrap(self, rng: random.Random, question: str) -> str:
        if rng.random() < 0.5:
            return rng.choice(WRAPPERS).format(question=question)
        if rng.random() < 0.5:
            return f"{self._chat(rng)} {question}"
        return f"{question} {self._chat(rng)}"

    def _lead_in(self, rng: random.Random) -> str:
        if rng.random() < 0.2:
            return self._chat(rng)
        return f"{rng.choice(LEAD_IN_OPENERS)} {rng.choice(LEAD_IN_ENDINGS)}".strip()

    def _chat(self, rng: random.Random) -> str:
        """A sentence without sense, so that what stands around a question comes to mean nothing to the model."""
        words = rng.choices(self.chatter, k=rng.randint(2, 10))
        return f"{' '.join(words).capitalize()}{rng.choice('.:!,')}"


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What to train on: each of `facts` in every form, once an epoch.

    The first `plain_epochs` are undressed: a fact is learned first, and recognized in any dress later. The other way
    round this model learns nothing.
    """

    facts: Sequence[Fact]
    pool: Sequence[Fact]
    wardrobe: Wardrobe = field(default_factory=Wardrobe)
    plain_epochs: int = 0
    target: Target = Target.ANSWER

    def dialogues(self, seed: int) -> Iterator[Dialogue]:
        """Endless epochs, each freshly shuffled and freshly dressed."""
        rng = random.Random(seed)
        items = [(fact, form) for fact in self.facts for form in range(len(fact.questions))]
        plain, epoch = Wardrobe(), 0
        while True:
            rng.shuffle(items)
            wardrobe = plain if epoch < self.plain_epochs else self.wardrobe
            for fact, form in items:
                yield self._aim(wardrobe.dress(rng, fact, form, self.pool), fact)
            epoch += 1

    def _aim(self, dialogue: Dialogue, fact: Fact) -> Dialogue:
        match self.target:
            case Target.ANSWER:
                return replace(dialogue, answer=fact.answer)
            case Target.VALUE:
                return replace(dialogue, answer=fact.value, ends=False)
            case Target.REFUSAL:
                return replace(dialogue, answer=REFUSAL)
