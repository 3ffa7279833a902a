"""CKA and Procrustes distance against their definitions, and what rotation, scale and noise do to them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import procrustes as scipy_procrustes
from unlearn_audit.probes.comparisons.representation import (
    Representation,
    RepresentationParameters,
    cka,
    procrustes,
    products,
)

from unlearn_audit.api import Fact, FactSet, Profile, Role
from unlearn_audit.api.comparison import Compared, ComparisonContext
from unlearn_audit.testing.models import tiny_engine

FACTS = tuple(Fact(id=f"f{at}", subject=f"P{at}", question=f"Who is P{at}?", answer="Nobody") for at in range(9))
CONTEXT = ComparisonContext(facts={FactSet.FORGET: FACTS}, profile=Profile.QUICK, seed=0)


def states(rows: int = 20, width: int = 7, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, width)) + 3.0


def test_they_are_their_definitions():
    x, y = states(seed=1), states(seed=2)
    a, b = x - x.mean(0), y - y.mean(0)
    plain = np.linalg.norm(b.T @ a) ** 2 / (np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b))
    assert cka(products(x), products(y)) == pytest.approx(plain)
    nuclear = np.linalg.norm(b.T @ a, ord="nuc") / (np.linalg.norm(a) * np.linalg.norm(b))
    assert procrustes(products(x), products(y)) == pytest.approx(1 - nuclear)
    # SciPy scales the second set to fit best: its disparity is 1 - (1 - ours)^2.
    disparity = scipy_procrustes(x, y)[2]
    assert disparity == pytest.approx(1 - nuclear**2)


def test_a_rotation_and_a_scale_change_nothing_and_noise_does():
    x = states()
    turned = 2.5 * x @ np.linalg.qr(states(7, 7, seed=3))[0] + 1.0
    assert cka(products(x), products(turned)) == pytest.approx(1.0)
    assert procrustes(products(x), products(turned)) == pytest.approx(0.0, abs=1e-6)
    noisy = x + 2.0 * states(seed=4)
    assert cka(products(x), products(noisy)) < 0.8
    assert procrustes(products(x), products(noisy)) > 0.1
    assert (cka(products(x), products(0 * x)), procrustes(products(x), products(0 * x))) == (0.0, 1.0)


def test_every_pair_and_layer_is_read_without_a_null(tokenizer):
    taken = Representation(RepresentationParameters()).extract(tiny_engine(tokenizer), CONTEXT)
    assert taken["forget"].shape == (9, 3, 64)
    assert "retain" not in taken
    other = {"forget": (taken["forget"] + 1e-2 * np.random.default_rng(0).normal(size=(9, 3, 64))).astype(np.float16)}
    models = [
        Compared(role=Role.ORIGINAL, name="original", features=taken),
        Compared(role=Role.UNLEARNED, name="unlearned", features=other),
    ]
    found = list(Representation(RepresentationParameters(resamples=20)).compare(models, CONTEXT))
    assert [one.variant for one in found if one.measure == "cka"] == [f"forget, layer {at}" for at in range(3)]
    assert all(one.between == ("unlearned", "original") and one.null is None for one in found)
    assert all(0.0 <= one.lower <= one.upper <= 1.0 + 1e-9 for one in found)


def test_models_of_unlike_depth_are_missing_with_a_reason():
    models = [
        Compared(role=Role.ORIGINAL, name="original", features={"forget": np.zeros((4, 3, 2))}),
        Compared(role=Role.UNLEARNED, name="unlearned", features={"forget": np.zeros((4, 5, 2))}),
    ]
    (only,) = Representation(RepresentationParameters()).compare(models, CONTEXT)
    assert "5 and 3 layers" in only.missing
