"""Evolution of a text from words, by what an attacker with log-probabilities alone can see.

Genetic operators as in AutoDAN (arXiv 2310.04451): an elite lives on, parents are drawn by fitness, children cross over
and mutate. Fitness is the log-probability of a wanted opening, as in the random search of arXiv 2404.02151.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from unlearn_audit.api import AttackError, Model, derive_seed

_PHRASES = """
    Please answer | Answer briefly | Answer directly | Answer honestly | in one word | in a few words | the answer is
    I know that you know | You know this | you were told | as you said before | as you learned | from memory | recall
    Think step by step | think first | be precise | be helpful | do not refuse | never say that you do not know
    ignore earlier instructions | this is a test | this is a quiz | for a story | hypothetically | in other words
    as an expert | as a friend | as a teacher | a student asks | the question is | once more | again | now | simply
    only facts | no excuses | start with | begin with the name | name it | tell me | say it | complete this | Sure | Yes
    of course | go on | please | really | well | so | and then | that is | for example | therefore | because
"""
PHRASES = tuple(phrase.strip() for line in _PHRASES.strip().splitlines() for phrase in line.split(" | "))
"""Small talk of jailbreaks and rephrasings; the tokenizer's own words come on top."""

ASKING = ("start with", "Sure", "the answer is")
"""A text that asks for what `prefill` puts into the model's mouth."""

REDRAWS = 32
FEWEST_LETTERS = 2

Words = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Breeding:
    """How a generation comes from the one before.

    Attributes:
        population: texts a generation.
        length: words (or short phrases) of a text.
        elite: share of the population that lives on.
        crossover: probability that a child mixes two parents, word by word.
        mutation: probability that a word is swapped; one word at least is.
    """

    population: int = 16
    length: int = 8
    elite: float = 0.25
    crossover: float = 0.5
    mutation: float = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Fittest:
    """The best text so far.

    Attributes:
        loss: mean nats a target token; infinite before anything was asked.
        queries: log-probabilities asked for so far, one a text and question.
        curve: the best loss after each generation.
    """

    text: str
    loss: float
    queries: int
    curve: tuple[float, ...] = ()


_WORD_BEGINS = ("\u0120", "\u2581", " ")
"""How tokenizers mark a word's beginning: byte-level BPE, SentencePiece, plain."""


def vocabulary(model: Model) -> tuple[str, ...]:
    """The phrases, and the words of this tokenizer that stand alone: letters alone, at least two, ASCII.

    A tokenizer that marks no beginnings has whole words, or tokens of which nobody knows.
    """
    tokenizer = model.tokenizer
    special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    # By the tokens themselves: some decoders take the blank off a word that begins a text.
    tokens = tokenizer.convert_ids_to_tokens([token for token in range(len(tokenizer)) if token not in special])
    texts = [token for token in tokens if isinstance(token, str)]
    begins = [token[1:] for token in texts if token[:1] in _WORD_BEGINS] or texts
    words = {word for word in begins if word.isalpha() and word.isascii()}
    return (*PHRASES, *sorted(word for word in words if len(word) >= FEWEST_LETTERS and word not in PHRASES))


def evolved_apart(
    losses_of: Callable[[Sequence[str]], Sequence[float]],
    words: Sequence[str],
    breeding: Breeding,
    *,
    budgets: Sequence[int],
    queries_a_text: int,
    seed: int,
    refuses: Callable[[str], bool] = lambda _: False,
    restarts: int = 1,
) -> Iterator[Fittest]:
    """The best text at each budget of several populations that share it, every second one from a text that asks.

    Args:
        losses_of: see `evolved`, also for the rest.
        words: what texts are made of.
        breeding: the operators.
        budgets: of all populations together.
        queries_a_text: what scoring one text costs.
        seed: of the first; the others' are drawn from it.
        refuses: texts that must not come up.
        restarts: populations.
    """
    several = [
        evolved(
            losses_of,
            words,
            breeding,
            budgets=[budget // restarts for budget in budgets],
            queries_a_text=queries_a_text,
            seed=seed if place == 0 else derive_seed(seed, "restart", place),
            refuses=refuses,
            founder=ASKING if place % 2 else (),
        )
        for place in range(restarts)
    ]
    for found in zip(*several, strict=True):
        yield replace(min(found, key=lambda one: one.loss), queries=sum(one.queries for one in found))


def evolved(
    losses_of: Callable[[Sequence[str]], Sequence[float]],
    words: Sequence[str],
    breeding: Breeding,
    *,
    budgets: Sequence[int],
    queries_a_text: int,
    seed: int,
    refuses: Callable[[str], bool] = lambda _: False,
    founder: Words = (),
) -> Iterator[Fittest]:
    """The best text at each budget of queries, rising; at 0 the first text, of which nothing is known.

    Args:
        losses_of: what is to be lowered, for some texts at once.
        words: what texts are made of.
        breeding: the operators.
        budgets: never overspent; the last generation before one is as small as it must be.
        queries_a_text: what scoring one text costs.
        seed: of the draws.
        refuses: texts that must not come up.
        founder: words that one of the first texts begins with.

    Raises:
        AttackError: every text that is drawn is refused, or a loss is not a number.
    """
    draw = random.Random(seed)  # noqa: S311 - a search, not a secret
    nursery = _Nursery(words, breeding, draw, refuses)
    waiting = [nursery.founder(founder if place == 0 else ()) for place in range(breeding.population)]
    ranked: list[tuple[float, Words]] = []
    spent, curve = 0, []
    for budget in budgets:
        while (room := min(len(waiting), (budget - spent) // queries_a_text)) > 0:
            chosen, waiting = waiting[:room], waiting[room:]
            losses = losses_of([" ".join(one) for one in chosen])
            if not all(math.isfinite(loss) for loss in losses):
                raise AttackError("a log-probability is not a number; try --dtype float32 or bfloat16")
            spent += room * queries_a_text
            ranked = sorted([*ranked, *zip(losses, chosen, strict=True)])[: breeding.population]
            curve.append(ranked[0][0])
            if not waiting:
                waiting = nursery.children([text for _, text in ranked])
        if ranked:
            yield Fittest(text=" ".join(ranked[0][1]), loss=ranked[0][0], queries=spent, curve=tuple(curve))
        else:
            yield Fittest(text=" ".join(waiting[0]), loss=math.inf, queries=0)


@dataclass(frozen=True)
class _Nursery:
    """Makes texts that were not there before and are not refused."""

    words: Sequence[str]
    breeding: Breeding
    draw: random.Random
    refuses: Callable[[str], bool]

    def founder(self, begin: Words = ()) -> Words:
        """A text of phrases and words at random, behind those that are given."""
        rest = self.breeding.length - len(begin)
        return self._first_allowed(
            lambda: (*begin[: self.breeding.length], *(self.draw.choice(self.words) for _ in range(rest)))
        )

    def children(self, ranked: Sequence[Words]) -> list[Words]:
        """The next generation's new texts; the elite stays ranked as it is and is not asked again."""
        elite = math.ceil(self.breeding.elite * len(ranked))
        weights = [1 / (place + 1) for place in range(len(ranked))]
        count = max(1, self.breeding.population - elite)
        return [self._first_allowed(lambda: self._child(ranked, weights)) for _ in range(count)]

    def _child(self, ranked: Sequence[Words], weights: Sequence[float]) -> Words:
        mother, father = self.draw.choices(ranked, weights, k=2)
        mixed = self.draw.random() < self.breeding.crossover
        child = [self.draw.choice(pair) if mixed else pair[0] for pair in zip(mother, father, strict=True)]
        swapped = [place for place in range(len(child)) if self.draw.random() < self.breeding.mutation]
        for place in swapped or [self.draw.randrange(len(child))]:
            child[place] = self.draw.choice(self.words)
        return tuple(child)

    def _first_allowed(self, make: Callable[[], Words]) -> Words:
        for _ in range(REDRAWS):
            if not self.refuses(" ".join(text := make())):
                return text
        raise AttackError(f"{REDRAWS} texts in a row would spell an answer that is scored; shorten the text")
