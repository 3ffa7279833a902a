"""Membership scores against hand-derived values and a slow obvious version; models that know and that do not."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest
import torch
from unlearn_audit.probes.comparisons.membership import Membership, MembershipParameters, _lowest, _privleak
from unlearn_audit.probes.comparisons.membership_gradient import MembershipGradient
from unlearn_audit.probes.comparisons.tools.gradient_norms import gradient_norms
from unlearn_audit.probes.comparisons.tools.token_statistics import token_statistics

from tests.science.organisms import bundled, first_subjects
from unlearn_audit.api import Fact, FactSet, Profile, Prompt, Role
from unlearn_audit.api.comparison import Compared, ComparisonContext, auc, mean_estimate, share_above
from unlearn_audit.testing.models import tiny_engine

PAIRS = [(Prompt(text="Where was Ada born?"), "London"), (Prompt(text="Who?"), "George Eliot, in a long answer")]


def facts(name: str, count: int) -> tuple[Fact, ...]:
    return tuple(
        Fact(id=f"{name}{at}", subject=f"{name} {at}", question=f"Where was {name} {at} born?", answer=f"Town {at}")
        for at in range(count)
    )


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_statistics_of_tokens_are_the_plain_ones(tokenizer, architecture):
    engine = tiny_engine(tokenizer, architecture)
    for (prompt, answer), found in zip(PAIRS, token_statistics(engine, PAIRS), strict=True):
        row = engine.render(prompt, answer)
        with torch.inference_mode():
            logits = engine.module(torch.tensor([row.token_ids])).logits[0].double()
        for number, place in enumerate(at for at, own in enumerate(row.is_answer) if own):
            log_p = torch.log_softmax(logits[place - 1], -1)
            mean = float((log_p.exp() * log_p).sum())
            spread = math.sqrt(float((log_p.exp() * (log_p - mean) ** 2).sum()))
            assert found.log_probs[number] == pytest.approx(float(log_p[row.token_ids[place]]), abs=1e-4)
            assert found.means[number] == pytest.approx(mean, abs=1e-4)
            assert found.deviations[number] == pytest.approx(spread, abs=1e-4)
    scored = engine.score(PAIRS)
    assert [one.log_probs.sum() for one in token_statistics(engine, PAIRS)] == pytest.approx(
        [one.log_likelihood for one in scored], abs=1e-4
    )


def test_min_k_reads_the_lowest_share_and_one_token_at_least():
    assert _lowest(np.array([-1.0, -5.0, -3.0, -2.0, -4.0]), 0.4) == pytest.approx(-4.5)
    assert _lowest(np.array([-1.0, -5.0]), 0.2) == -5.0


def test_scores_are_those_of_the_papers(tokenizer):
    engine = tiny_engine(tokenizer)
    context = ComparisonContext(
        facts={FactSet.FORGET: facts("f", 3), FactSet.HOLDOUT: facts("h", 7)}, profile=Profile.QUICK, seed=0
    )
    probe = Membership(MembershipParameters())
    features = probe.extract(engine, context)
    assert {len(values) for values in features.values()} == {3 + 7 - 5}  # five holdout facts are the prefix
    answer = "Town 0"
    (plain,) = token_statistics(engine, [(Prompt(text="Where was f 0 born?"), answer)])
    assert features["loss"][0] == pytest.approx(plain.log_probs.mean())
    assert features["zlib"][0] == pytest.approx(plain.log_probs.sum() / len(zlib.compress(answer.encode())))
    assert features["min-k++"][0] == pytest.approx(plain.standardized.min())
    told = "\n".join(f"Where was h {at} born? Town {at}" for at in range(5))
    (behind,) = token_statistics(engine, [(Prompt(text=f"{told}\nWhere was f 0 born?"), answer)])
    # Both negative: a text that loses likelihood behind the prefix, as members do, has more than 1.
    assert features["recall-prefix"][0] == pytest.approx(behind.log_probs.sum() / plain.log_probs.sum())


def compared(role: Role, name: str, known: float) -> Compared:
    noise = np.random.default_rng(0).normal(size=80)
    return Compared(role=role, name=name, features={"loss": noise + np.repeat([known, 0.0], 40)})


def test_members_stand_out_and_never_seen_ones_do_not():
    context = ComparisonContext(
        facts={FactSet.FORGET: facts("f", 40), FactSet.HOLDOUT: facts("h", 45)}, profile=Profile.QUICK, seed=0
    )
    models = [
        compared(Role.ORIGINAL, "original", 4.0),
        compared(Role.RETRAINED, "retrained", 0.0),
        compared(Role.UNLEARNED, "unlearned", -4.0),
    ]
    found = {
        (one.between[0], one.measure, one.variant): one
        for one in Membership(MembershipParameters()).compare(models, context)
    }
    over, under = found["original", "auc", "loss"], found["unlearned", "auc", "loss"]
    assert over.lower > 0.9 > over.null[1]
    assert under.upper < 0.1 < under.null[0]  # two-sided: far below chance is a trace
    assert over.p_value < 0.01 and under.p_value < 0.01
    assert found["original", "tpr", "loss"].estimate > 0.8
    assert found["unlearned", "tpr", "loss"].estimate == 0.0
    assert under.about["privleak"] > 0.5 > -0.5 > over.about["privleak"]
    assert found["unlearned", "auc", "loss-calibrated"].null is None
    curves = over.about["roc"]
    assert list(curves) == ["original", "retrained"] and "roc" not in found["original", "tpr", "loss"].about
    assert curves["original"]["tpr"][0] == pytest.approx(found["original", "tpr", "loss"].estimate)


def test_privleak_has_no_value_without_a_control():
    own = auc(np.array([1.0, 2.0]), np.array([0.0, 3.0]))
    assert _privleak(own, []) == {}
    # Their AUC is that of non-members: own 0.5, control 0.5, and then nothing leaks.
    assert _privleak(own, [own]) == {"privleak": 0.0}


def test_the_share_above_is_an_exact_binomial():
    others = np.arange(100.0)
    found = share_above(np.array([98.5, 99.5, 5.0, 6.0]), others, rate=0.01)
    assert found.estimate == 0.5  # the cut is 98: one of a hundred others lies above
    assert (found.lower, found.upper) == pytest.approx((0.0976, 0.9024), abs=1e-3)  # Clopper and Pearson, 2 of 4
    ties = share_above(np.ones(5), np.ones(20), rate=0.01)
    assert ties.estimate == 0.0


def test_the_mean_has_bounds_and_a_two_sided_test():
    ones = mean_estimate(np.ones(20), null=0.5)
    assert ones.lower == pytest.approx(0.05 ** (1 / 20), abs=0.01)
    assert ones.upper == 1.0
    assert ones.p_value < 0.001
    assert mean_estimate(np.zeros(20), null=0.5).p_value < 0.001
    assert mean_estimate(np.tile([0.0, 1.0], 20), null=0.5).p_value > 0.5


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_a_gradient_norm_is_that_of_the_text_alone(tokenizer, architecture):
    engine = tiny_engine(tokenizer, architecture)
    before = {name: value.clone() for name, value in engine.module.state_dict().items()}
    flags = [parameter.requires_grad for parameter in engine.module.parameters()]
    with torch.inference_mode():
        found = gradient_norms(engine, PAIRS)
    for (prompt, answer), norm in zip(PAIRS, found, strict=True):
        row = engine.render(prompt, answer)
        embedded = engine.module.get_input_embeddings()(torch.tensor([row.token_ids])).detach().requires_grad_()
        log_p = engine.module(inputs_embeds=embedded).logits[0].log_softmax(-1)
        places = [place for place, own in enumerate(row.is_answer) if own]
        loss = -sum(log_p[place - 1, row.token_ids[place]] for place in places) / len(places)
        loss.backward()
        assert norm == pytest.approx(float(embedded.grad.norm()), rel=1e-3)
    assert [parameter.requires_grad for parameter in engine.module.parameters()] == flags
    assert all(torch.equal(before[name], value) for name, value in engine.module.state_dict().items())
    assert not engine.module.get_input_embeddings()._forward_hooks


def test_a_gradient_that_is_no_number_makes_the_reading_missing():
    context = ComparisonContext(
        facts={FactSet.FORGET: facts("f", 40), FactSet.HOLDOUT: facts("h", 45)}, profile=Profile.QUICK, seed=0
    )
    broken = Compared(role=Role.UNLEARNED, name="unlearned", features={"loss": np.append(np.ones(79), math.inf)})
    models = [compared(Role.ORIGINAL, "original", 4.0), compared(Role.RETRAINED, "retrained", 0.0), broken]
    found = list(MembershipGradient(MembershipParameters()).compare(models, context))
    missing = {one.between[0]: one.missing for one in found if one.variant == "loss"}
    assert missing == {"original": None, "unlearned": "the score is not a number for unlearned"}


@pytest.mark.science
def test_the_original_lies_flat_where_it_was_trained_and_a_model_that_never_was_does_not():
    context = ComparisonContext(
        facts={name: first_subjects(name, 40) for name in (FactSet.FORGET, FactSet.HOLDOUT)},
        profile=Profile.QUICK,
        seed=0,
    )
    probe = MembershipGradient(MembershipParameters())
    models = [
        Compared(role=role, name=name, features=probe.extract(bundled(name), context))
        for role, name in ((Role.ORIGINAL, "original"), (Role.RETRAINED, "retrained-1"), (Role.UNLEARNED, "refusal"))
    ]
    found = {(one.between[0], one.measure, one.variant): one for one in probe.compare(models, context)}
    original, refusal = (found[name, "auc", "gradient-norm"] for name in ("original", "refusal"))
    assert original.lower > original.null[1]
    assert refusal.null[0] < refusal.estimate < refusal.null[1]
