"""Texts that are longer than what a model reads are left out of every comparison, and nothing else changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from unlearn_audit.probes.comparisons.concepts import Concepts, ConceptsParameters
from unlearn_audit.probes.comparisons.distribution import Distribution, DistributionParameters
from unlearn_audit.probes.comparisons.membership import Membership, MembershipParameters
from unlearn_audit.probes.comparisons.membership_gradient import MembershipGradient
from unlearn_audit.probes.comparisons.unlearning_depth import UnlearningDepth, UnlearningDepthParameters

from tests.models.test_unread import LONG, facts
from unlearn_audit.api import Fact, FactSet, GroupReading, Model, Profile, Role
from unlearn_audit.api.comparison import Compared, Comparison, ComparisonContext
from unlearn_audit.testing.models import tiny_engine

ROLES = {"original": Role.ORIGINAL, "a": Role.RETRAINED, "b": Role.RETRAINED, "unlearned": Role.UNLEARNED}
COMPARISONS: dict[str, Callable[[], Comparison]] = {
    "membership": lambda: Membership(MembershipParameters(prefix_facts=1)),
    "membership-gradient": lambda: MembershipGradient(MembershipParameters(prefix_facts=1)),
    "concepts": lambda: Concepts(ConceptsParameters(vectors=2)),
    "unlearning-depth": lambda: UnlearningDepth(UnlearningDepthParameters(depths=2, threshold=1e-9)),
    "distribution": lambda: Distribution(DistributionParameters(samples=2, max_new_tokens=4, resamples=100)),
}


@pytest.fixture(scope="module")
def model(tokenizer) -> Model:
    """Its learned positions end with an error behind the context of 256 tokens."""
    return tiny_engine(tokenizer, "gpt2")


def readings(comparison: Comparison, model: Model, forget: tuple[Fact, ...]) -> list[GroupReading]:
    """Of four roles with the same weights."""
    context = ComparisonContext(
        facts={FactSet.FORGET: forget, FactSet.HOLDOUT: facts(9, "H")}, profile=Profile.QUICK, seed=0
    )
    own = comparison.extract(model, context)
    compared = []
    for name, role in ROLES.items():
        others = {other: own for other in ROLES if other != name}
        crossed = comparison.cross(model, own, others, context) if comparison.crosses else {}
        compared.append(Compared(role=role, name=name, features={**own, **crossed}))
    return list(comparison.compare(compared, context))


def long(fact: Fact, part: str) -> Fact:
    return dataclasses.replace(fact, **{part: LONG})


@pytest.mark.parametrize("kind", COMPARISONS)
def test_long_questions_and_long_answers_are_left_out(model, kind):
    forget = facts(7, "A")
    asked = (long(forget[0], "question"), long(forget[1], "answer"), *forget[2:])
    found, without = (readings(COMPARISONS[kind](), model, some) for some in (asked, forget[2:]))
    assert [(one.measure, one.variant, one.between) for one in found] == [
        (one.measure, one.variant, one.between) for one in without
    ]
    if kind == "unlearning-depth":  # equal states cost nothing: no block encodes anything
        assert {one.missing for one in found} == {one.missing for one in without}
        return
    assert all(one.missing is None and np.isfinite(one.estimate) for one in found)
    # `distribution` draws its own answers; for `concepts`, what the last fact is compared with is the first one.
    left = {"concepts": 4, "distribution": 6}.get(kind, 5)
    assert {one.size for one in found} == {left}
    if kind.startswith("membership"):
        for one, other in zip(found, without, strict=True):
            assert one.estimate == pytest.approx(other.estimate, abs=1e-5)
            assert (one.about["unread"], other.about.get("unread")) == (2, None)


@pytest.mark.parametrize("kind", COMPARISONS)
def test_where_nothing_is_read_the_reason_is_given(model, kind):
    found = readings(COMPARISONS[kind](), model, tuple(long(fact, "question") for fact in facts(4, "A")))
    told = [one for one in found if not (one.measure == "similarity" and one.missing is None)]
    assert told and all(one.estimate is None and "read" in (one.missing or "") for one in told)


def test_states_that_one_of_the_models_lacks_cost_nothing_to_the_others(model):
    """The control reads less than the original: its facts are weighed without what it does not read."""
    comparison = UnlearningDepth(UnlearningDepthParameters(depths=2, threshold=1e-9))
    forget = facts(6, "A")
    context = ComparisonContext(facts={FactSet.FORGET: forget}, profile=Profile.QUICK, seed=0)
    own = comparison.extract(model, context)
    rng = np.random.default_rng(0)
    other = {**own, "states": own["states"] + rng.normal(0, 5, own["states"].shape).astype(np.float16)}
    read = np.arange(6) != 2
    short = {
        "states": other["states"][np.repeat(read, own["lengths"])],
        "lengths": np.where(read, own["lengths"], 0),
        "depths": own["depths"],
    }
    models = {"a": short, "unlearned": other}
    crossed = comparison.cross(model, own, models, context)
    compared = [
        Compared(role=Role.ORIGINAL, name="original", features={**own, **crossed}),
        Compared(role=Role.RETRAINED, name="a", features=short),
        Compared(role=Role.UNLEARNED, name="unlearned", features=other),
    ]
    depth = next(one for one in comparison.compare(compared, context) if one.between[0] == "unlearned")
    assert depth.missing is None and depth.size == round(5 * depth.about["encoded"])
    assert depth.estimate == pytest.approx(1.0)  # it is the control's own state wherever that is known
