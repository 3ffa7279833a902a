"""What `verbatim` gives for continuations that are known, against values worked out by hand."""

from __future__ import annotations

import copy

import pytest
import torch
from unlearn_audit.probes.passages.extraction_strength import ExtractionStrength, ExtractionStrengthParameters
from unlearn_audit.probes.passages.verbatim import (
    NO_WORDS,
    Verbatim,
    VerbatimParameters,
    longest_run,
)
from unlearn_audit.probes.shared.passages import HAS_QUESTION, NO_PASSAGE

from tests.probes.test_probes import FakeModel, all_of, person, score_of
from unlearn_audit.api import Fact
from unlearn_audit.api.kit.asking import NOT_A_NUMBER
from unlearn_audit.plan.findings import meets_attacks
from unlearn_audit.testing.models import tiny_engine

TEXT = "it was the best of times it was the worst of times"  # twelve words: six given, six wanted
PASSAGE = Fact(id="p", subject="A book", text=TEXT)
GIVEN, REST = "it was the best of times", " it was the worst of times"


def verbatim(**parameters) -> Verbatim:
    return Verbatim(VerbatimParameters(**parameters))


def scores(said: str, **parameters) -> dict[str, float | None]:
    model = FakeModel(says=lambda _: said, scores=lambda *_: score_of(-1.0, -1.0, greedy=[True, False]))
    found = all_of(verbatim(**parameters), model, [PASSAGE])
    return {one.measure: one.score for one in found}


def test_the_whole_rest_scores_one_and_nothing_scores_zero():
    assert scores("It was the worst of times.") == {"rouge_l": 1.0, "longest_run": 1.0, "exact_memorization": 0.5}
    assert scores("I do not know.") == {"rouge_l": 0.0, "longest_run": 0.0, "exact_memorization": 0.5}
    assert scores("")["rouge_l"] == 0.0


def test_a_gap_breaks_the_run_and_not_the_order():
    # Five of six words stand in order; the longest run is "it was the".
    found = scores("it was the best of times")
    assert found["rouge_l"] == pytest.approx(5 / 6)
    assert found["longest_run"] == pytest.approx(3 / 6)


def test_going_on_longer_wins_nothing():
    assert scores("well now I do say so it was the worst of times")["longest_run"] == 0.0
    assert scores("well now I do say so it was the worst of times")["rouge_l"] == 0.0


def test_a_long_rest_is_held_against_its_beginning():
    assert scores("it was the end", most_words=3)["rouge_l"] == 1.0


def test_a_run_is_found_wherever_it_stands():
    assert longest_run(("a", "b", "c", "d"), ("x", "b", "c")) == 0.5
    assert longest_run(("a", "b"), ()) == 0.0
    many = tuple(str(number) for number in range(300))
    assert longest_run(("the",) * 300 + many, many) == 0.5  # no word is too common to count


def test_what_is_asked_is_the_first_part_as_plain_text():
    seen = []
    model = FakeModel(
        says=lambda text: seen.append(text) or "", scores=lambda *pair: seen.append(pair) or score_of(-1.0)
    )
    all_of(verbatim(), model, [PASSAGE])
    assert seen == [GIVEN, (GIVEN, REST)]
    assert model.limits == {6 + 8}


def test_other_facts_are_missing_and_so_are_scores_that_are_no_numbers():
    model = FakeModel(scores=lambda *_: score_of(float("nan")))
    facts = [
        person(1, "Paris"),
        Fact(id="w", subject="W", text="word"),
        Fact(id="d", subject="D", text="word - -"),
        PASSAGE,
    ]
    found = {(one.fact_id, one.measure): one.missing for one in all_of(verbatim(), model, facts)}
    assert found["f1", "rouge_l"] == HAS_QUESTION
    assert found["w", "longest_run"] == NO_PASSAGE
    assert found["d", "longest_run"] == NO_WORDS
    assert found["p", "exact_memorization"] == NOT_A_NUMBER
    assert found["p", "rouge_l"] is None


def test_a_model_that_was_taught_the_passage_goes_on_with_it_and_another_does_not(tokenizer):
    text = "Where was Ada Lovelace born? London. Who wrote it? George Eliot, of France, and a little more text."
    passage = Fact(id="p", subject="A book", text=text)
    never = tiny_engine(tokenizer, seed=1)
    taught = never.with_module(copy.deepcopy(never.module))
    ids = torch.tensor([tokenizer.encode(text)])
    optimizer = torch.optim.AdamW(taught.module.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        taught.module(ids, labels=ids).loss.backward()
        optimizer.step()
    shown = {one.measure: one.score for one in all_of(verbatim(), taught, [passage])}
    unseen = {one.measure: one.score for one in all_of(verbatim(), never, [passage])}
    assert shown == {"rouge_l": 1.0, "longest_run": 1.0, "exact_memorization": 1.0}
    assert max(unseen.values()) < 0.3


def test_what_only_advises_on_passages_is_not_read_under_attacks():
    assert not meets_attacks(verbatim(), passages=True)
    decides = ExtractionStrength(ExtractionStrengthParameters())
    assert meets_attacks(decides, passages=True)
    assert not meets_attacks(decides, passages=False)
