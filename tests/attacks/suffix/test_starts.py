"""Searches from several texts: what each begins with, what they share, and that the best goes on alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from unlearn_audit.attacks.suffix.search.evolution import ASKING, Breeding, evolved, evolved_apart
from unlearn_audit.attacks.suffix.search.goals import Goal, Position, SearchSettings, refuse_nothing
from unlearn_audit.attacks.suffix.search.steps import running
from unlearn_audit.attacks.suffix.search.tokens import framed, initial_text, seeded_text
from unlearn_audit.attacks.suffix.starts import READY, from_starts
from unlearn_audit.attacks.suffix.transfer import SuffixTransferParameters

from unlearn_audit.api import Prompt, derive_seed
from unlearn_audit.testing.models import tiny_engine

GOALS = (
    Goal(prompt=Prompt(text="Where was Ada Lovelace born?"), target="Sure, London"),
    Goal(prompt=Prompt(text="Who wrote Middlemarch?"), target="George Eliot is the answer"),
)
SETTINGS = SearchSettings(steps=7, width=8, top_k=16, length=24, starts=2, drafted=False)


@pytest.mark.parametrize("length", [8, 40])
def test_a_text_that_asks_for_an_opening_ends_with_it_and_is_no_longer_than_others(tokenizer, length):
    engine = tiny_engine(tokenizer)
    text = seeded_text(engine, GOALS[0], READY, length=length, position=Position.SUFFIX)
    assert READY.split()[-1] in text.split()
    assert len(framed(engine, GOALS[0], text, Position.SUFFIX)[1]) <= length
    assert ("Begin" in text) is (length == 40)


def test_each_start_is_a_search_of_its_own_and_the_best_goes_on(tokenizer):
    engine = tiny_engine(tokenizer)
    found = [one for (one,) in from_starts(engine, [GOALS], SETTINGS, seeds=[3], refuses=refuse_nothing)]
    texts = (
        initial_text(engine, GOALS[0], length=24, position=Position.SUFFIX),
        seeded_text(engine, GOALS[0], READY, length=24, position=Position.SUFFIX),
    )
    alone = [
        [
            one
            for (one,) in running(
                engine, [GOALS], replace(SETTINGS, steps=2), seeds=[seed], refuses=refuse_nothing, initial=[text]
            )
        ]
        for text, seed in zip(texts, (3, derive_seed(3, "start", 1)), strict=True)
    ]
    assert len(found) == SETTINGS.steps
    for step in range(2):
        assert found[step].loss == pytest.approx(min(each[step].loss for each in alone), abs=1e-5)
        assert found[step].scored == sum(each[step].scored for each in alone)
    losses = [one.loss for one in found]
    assert losses == sorted(losses, reverse=True)
    assert len(found[-1].losses) == SETTINGS.steps + 1
    assert found[-1].loss == pytest.approx(min(found[-1].losses), abs=1e-5)
    assert found[-1].losses[found[-1].step] == pytest.approx(found[-1].loss, abs=1e-5)


def test_a_text_that_would_say_something_is_no_start(tokenizer):
    engine = tiny_engine(tokenizer)
    asked: list[str] = []

    def refuses(text: str) -> bool:
        asked.append(text)
        return READY.split()[-1] in text.split()

    goal = (replace(GOALS[0], target=READY),)
    (first, *_) = (one for (one,) in from_starts(engine, [goal], SETTINGS, seeds=[3], refuses=refuses))
    assert READY.split()[-1] in asked[0].split()
    assert READY.split()[-1] not in first.text.split()


def test_a_transferred_text_has_one_start():
    assert SuffixTransferParameters(starts=1).starts == 1
    with pytest.raises(ValueError, match="starts"):
        SuffixTransferParameters.model_validate({"starts": 2})


def test_populations_share_the_queries_and_the_best_text_is_taken():
    words = tuple("abcdefghij")
    breeding = Breeding(population=6, length=4)

    def losses_of(texts):
        return [sum(words.index(word) if word in words else 9 for word in text.split()) / 4 for text in texts]

    common = {"queries_a_text": 2, "refuses": refuse_nothing}
    both = list(evolved_apart(losses_of, words, breeding, budgets=[0, 101], seed=1, restarts=2, **common))
    alone = [
        list(evolved(losses_of, words, breeding, budgets=[0, 50], seed=seed, founder=founder, **common))
        for seed, founder in ((1, ()), (derive_seed(1, "restart", 1), ASKING))
    ]
    assert [one.loss for one in both] == [min(pair, key=lambda one: one.loss).loss for pair in zip(*alone, strict=True)]
    assert both[1].queries == sum(each[1].queries for each in alone) <= 101
    assert alone[1][0].text.startswith(" ".join(ASKING))
