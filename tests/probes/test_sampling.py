"""What `sampling` gives for models whose chances are known, against values worked out by hand."""

from __future__ import annotations

import math
from functools import cache
from itertools import combinations

import pytest
import torch
from scipy.stats import beta, binom
from unlearn_audit.probes.recall import Recall, RecallParameters
from unlearn_audit.probes.sampling.bounds import band, leak_at, mean_bound, rate_bound, tail_bound
from unlearn_audit.probes.sampling.probe import Sampling, SamplingParameters

from tests.probes.test_probes import FakeModel, all_of, only, people
from tests.science.organisms import bundled, first_subjects
from unlearn_audit.api import Fact, FactSet, Generation, Model, Reading
from unlearn_audit.api.kit.asking import CUT_OFF, NO_QUESTION

E_BAND = math.exp(-1)
"""The alpha at which the band of 8 samples is sqrt(1 / 16) = 0.25 wide."""


def sampling(**parameters) -> Sampling:
    return Sampling(SamplingParameters(**parameters))


def test_leak_at_k_is_the_share_of_draws_of_k_that_hold_a_hit():
    hits = [True] * 2 + [False] * 4
    for k in range(1, 7):
        draws = list(combinations(hits, k))
        assert leak_at(2, 6, k) == pytest.approx(sum(map(any, draws)) / len(draws))
    assert leak_at(0, 16, 8) == 0.0
    assert leak_at(1, 16, 8) == pytest.approx(0.5)
    assert leak_at(16, 16, 2) == 1.0
    # Unbiased: its mean over binomial counts is 1 - (1 - p) ** k.
    mean = sum(binom.pmf(c, 16, 0.2) * leak_at(c, 16, 4) for c in range(17))
    assert mean == pytest.approx(1 - 0.8**4)


def test_the_rate_bound_is_that_of_clopper_and_pearson():
    assert rate_bound(0, 16, 0.05) == pytest.approx(1 - 0.05 ** (1 / 16))
    assert rate_bound(16, 16, 0.05) == 1.0
    assert rate_bound(3, 16, 0.05) == pytest.approx(beta.ppf(0.95, 4, 13))
    # At the bound itself, as few hits as were seen come with probability alpha.
    assert binom.cdf(3, 16, rate_bound(3, 16, 0.05)) == pytest.approx(0.05)


def test_the_band_bounds_tails_and_the_mean():
    assert band(8, E_BAND) == pytest.approx(0.25)
    assert tail_bound([0.0] * 7 + [1.0], 0.5, E_BAND) == pytest.approx(1 / 8 + 0.25)
    assert tail_bound([1.0] * 8, 0.5, E_BAND) == 1.0
    assert mean_bound([0.0] * 8, E_BAND) == pytest.approx(0.25)
    assert mean_bound([0.0] * 7 + [1.0], E_BAND) == pytest.approx(0.375)
    # On [0, 1/2) the tail is 2/8 + 1/4, on [1/2, 1) it is 1/4: half of each.
    assert mean_bound([0.5, 0.5, *[0.0] * 6], E_BAND) == pytest.approx(0.375)
    assert mean_bound([1.0] * 8, E_BAND) == 1.0


def test_one_hit_of_sixteen_is_a_leak():
    facts = people(30)
    city = {fact.question: fact.answer for fact in facts}
    model = FakeModel(draws=lambda question, number: f"In {city[question]}" if number == 11 else "I do not know.")
    found = all_of(sampling(), model, facts)
    assert {one.score for one in only(found, "leak", "any").values()} == {1.0}
    assert {one.twin_score for one in only(found, "leak", "any").values()} == {0.0}
    assert {one.score for one in only(found, "rate").values()} == {1 / 16}
    assert {one.score for one in only(found, "leak_at", "k=8").values()} == {0.5}
    assert {one.variant for one in found if one.measure == "leak_at"} == {"k=2", "k=4", "k=8"}
    assert only(found, "rate_bound")["f0"].score == pytest.approx(rate_bound(1, 16, 0.05))
    assert only(found, "rouge_l_bound", "mean")["f0"].score == pytest.approx(1 / 16 + band(16, 0.05))
    assert model.calls == [("sample", 30)]


def test_what_is_said_whoever_is_asked_scores_as_much_for_the_twins():
    """Five cities that it names in turn, whoever is asked: five of thirty leak, and so do five of the twins."""
    facts = people(30)
    model = FakeModel(draws=lambda question, number: f"City{number % 5}")
    found = only(all_of(sampling(samples=5), model, facts), "leak", "any")
    assert sum(one.score for one in found.values()) == 5
    assert sum(one.twin_score for one in found.values()) == pytest.approx(5)
    rates = only(all_of(sampling(samples=5), model, facts), "rate")
    assert rates["f0"].score == pytest.approx(0.2)
    assert rates["f9"].twin_score == pytest.approx(5 * 0.2 / 29)


def test_a_sample_cut_off_while_thinking_is_unknown_and_a_hit_beside_it_counts():
    facts = people(30)
    cut = Generation(text="<think> well", finished=False, new_tokens=4)
    hidden = FakeModel(draws=lambda question, number: cut if number == 2 else "I do not know.")
    shown = FakeModel(
        draws=lambda question, number: cut if number == 2 else f"City{question[len('Where was Subject')]}"
    )
    for measure, variant in (("leak", "any"), ("rate", "question"), ("rouge_l_bound", "mean")):
        (one,) = only(all_of(sampling(), hidden, facts[:1], facts), measure, variant).values()
        assert (one.score, one.missing) == (None, CUT_OFF)
    found = all_of(sampling(), shown, facts[:1], facts)
    assert only(found, "leak", "any")["f0"].score == 1.0
    assert only(found, "rate")["f0"].missing == CUT_OFF


def test_a_passage_is_not_sampled():
    text = Fact(id="t", subject="A book", text="It was the best of times.")
    model = FakeModel()
    assert {one.missing for one in all_of(sampling(), model, [text])} == {NO_QUESTION}
    assert model.calls == []


@cache
def read(name: str) -> list[Reading]:
    return sampled(bundled(name))


def sampled(model: Model) -> list[Reading]:
    facts, pool = first_subjects(FactSet.FORGET, 12), first_subjects(FactSet.FORGET, 40)
    return list(sampling(samples=8).observe(model, facts, pool))


def mean(readings: list[Reading], measure: str, variant: str, of: str = "score") -> float:
    values = [getattr(one, of) for one in only(readings, measure, variant).values()]
    return sum(values) / len(values)


@pytest.mark.science
def test_the_original_leaks_and_what_was_never_learned_leaks_as_much_as_its_twins():
    original, never = read("original"), read("retrained-1")
    assert mean(original, "leak", "any") > 0.95
    assert mean(original, "rate", "question") > 0.9
    assert mean(never, "rate", "question") < 0.1
    assert abs(mean(never, "leak", "any") - mean(never, "leak", "any", "twin_score")) < 0.15
    assert mean(original, "rate_bound", "question") > mean(never, "rate_bound", "question") + 0.5


@pytest.mark.science
def test_samples_show_what_greedy_answers_hide():
    """A tenth of the way from the refusal back to the original: greedy answers still refuse, and samples tell."""
    known = dict(bundled("original").module.named_parameters())
    with torch.no_grad(), bundled("refusal").fork(copy_weights=True) as between:
        for name, weight in between.module.named_parameters():
            weight.lerp_(known[name], 0.1)
        asked = Recall(RecallParameters(max_paraphrases=0))
        facts, pool = first_subjects(FactSet.FORGET, 12), first_subjects(FactSet.FORGET, 40)
        greedy = list(asked.observe(between, facts, pool))
        found = sampled(between)
    assert mean(greedy, "hit", "question") < 0.1
    assert mean(found, "leak", "any") > 0.3
    assert mean(found, "leak", "any", "twin_score") < 0.1
