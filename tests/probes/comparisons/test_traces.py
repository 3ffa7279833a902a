"""Telling two models apart: equal ones cannot be, marked ones are, and the null is the control's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from unlearn_audit.probes.comparisons.tools.benign_tuning import benignly_tuned
from unlearn_audit.probes.comparisons.traces import Traces, TracesParameters, told_apart

from unlearn_audit.api import Fact, FactSet, Profile, Prompt, Role
from unlearn_audit.api.comparison import Compared, ComparisonContext
from unlearn_audit.testing.models import tiny_engine

RETAIN = tuple(
    Fact(id=f"r{at}", subject=f"Person {at}", question=f"Where was Person {at} born?", answer="There")
    for at in range(12)
)
CONTEXT = ComparisonContext(facts={FactSet.RETAIN: RETAIN}, profile=Profile.QUICK, seed=0)


@pytest.mark.parametrize("text", [True, False])
def test_equal_models_are_at_chance_and_marked_ones_are_named(text):
    rows = np.random.default_rng(0).poisson(1.0, size=(40, 6)).astype(float)
    assert told_apart(rows, rows.copy(), text=text, folds=5, seed=0).tolist() == [0.5] * 40
    marked = rows + np.array([0, 0, 0, 0, 0, 9.0])
    assert told_apart(marked, rows, text=text, folds=5, seed=0).mean() > 0.9


def test_models_that_differ_by_chance_alone_are_near_chance():
    draws = np.random.default_rng(1)
    shares = told_apart(draws.normal(size=(200, 4)), draws.normal(size=(200, 4)), text=False, folds=5, seed=0)
    assert abs(shares.mean() - 0.5) < 0.1


def compared(role: Role, name: str, shift: float) -> Compared:
    draws = np.random.default_rng(0)
    rows = draws.normal(size=(60, 3)) + shift
    return Compared(role=role, name=name, features={"text": np.zeros((60, 4)), "activations": rows})


@pytest.mark.parametrize(("control", "has_null"), [(0.3, True), (50.0, False)])
def test_the_null_is_the_controls_and_one_that_allows_everything_is_none(control, has_null):
    models = [
        compared(Role.ORIGINAL, "original", 0.0),
        compared(Role.RETRAINED, "retrained", control),
        compared(Role.UNLEARNED, "unlearned", 9.0),
    ]
    text, inside = Traces(TracesParameters()).compare(models, CONTEXT)
    assert (text.estimate, text.p_value) == (0.5, 1.0)
    assert inside.estimate > 0.95
    assert (inside.null is not None) is has_null
    if inside.null is not None:
        assert inside.null[0] == 0.5
        assert inside.lower > inside.null[1]


def test_features_are_numbers_of_every_prompt(tokenizer):
    found = Traces(TracesParameters(answer_tokens=4, words=32)).extract(tiny_engine(tokenizer), CONTEXT)
    assert found["text"].shape == (12, 32)
    assert found["activations"].shape == (12, 64)
    assert found["text"].dtype == np.uint16


def test_models_of_unlike_width_are_not_compared_inside():
    models = [compared(Role.ORIGINAL, "original", 0.0), compared(Role.UNLEARNED, "unlearned", 0.0)]
    wide = {**models[1].features, "activations": np.zeros((60, 5))}
    models[1] = Compared(role=Role.UNLEARNED, name="unlearned", features=wide)
    text, inside = Traces(TracesParameters()).compare(models, CONTEXT)
    assert text.missing is None
    assert "different shapes" in inside.missing


def test_a_benign_fine_tune_is_a_null_and_one_told_apart_is_none():
    models = [compared(Role.ORIGINAL, "original", 0.0), compared(Role.UNLEARNED, "unlearned", 9.0)]
    tuned = compared(Role.ORIGINAL, "", 0.2).features
    gentle = {f"benign {kind}": rows for kind, rows in tuned.items()}
    harsh = {f"benign {kind}": rows + 50.0 for kind, rows in tuned.items()}
    for benign, has_null in ((gentle, True), (harsh, False)):
        original = Compared(role=Role.ORIGINAL, name="original", features={**models[0].features, **benign})
        _, inside = Traces(TracesParameters()).compare([original, models[1]], CONTEXT)
        assert (inside.null is not None) is has_null
        assert ("a benign fine-tune" in inside.null_from) and "accuracy of a benign fine-tune" in inside.about


def test_the_fine_tune_learns_and_leaves_the_model_as_it_was(tokenizer):
    engine = tiny_engine(tokenizer)
    before = {name: value.clone() for name, value in engine.module.state_dict().items()}
    pairs = [(Prompt(text=fact.question), fact.answer) for fact in RETAIN]
    plain = [score.log_likelihood for score in engine.score(pairs)]
    with benignly_tuned(engine, pairs, steps=10, learning_rate=1e-2, seed=0) as tuned:
        learned = [score.log_likelihood for score in tuned.score(pairs)]
    assert sum(learned) > sum(plain) + len(pairs)
    assert all(torch.equal(before[name], value) for name, value in engine.module.state_dict().items())
    assert [score.log_likelihood for score in engine.score(pairs)] == plain
