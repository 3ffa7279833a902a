"""Likelihood of answers in both directions: hand-derived values, and models that agree, differ or say nothing."""

from __future__ import annotations

from itertools import product
from math import log

import numpy as np
import pytest
from unlearn_audit.probes.comparisons.distribution import Distribution, DistributionParameters, by_subject

from tests.science.organisms import bundled, first_subjects
from unlearn_audit.api import FactSet, Profile, Role
from unlearn_audit.api.comparison import Compared, ComparisonContext

CONTEXT = ComparisonContext(facts={FactSet.FORGET: first_subjects(FactSet.FORGET, 6)}, profile=Profile.QUICK, seed=3)
ROLES = {
    "original": Role.ORIGINAL,
    "control-1": Role.RETRAINED,
    "control-2": Role.RETRAINED,
    "unlearned": Role.UNLEARNED,
}


def told(tables, rows=40):
    """Models that each know a distribution over two answers, with samples in their exact shares."""
    models = []
    for name, own in tables.items():
        drawn = {other: [0] * round(4 * p) + [1] * round(4 * (1 - p)) for other, p in tables.items()}
        log_p = {other: np.array([[log(own if y == 0 else 1 - own) for y in drawn[other]]] * rows) for other in tables}
        features = {f"forget of {other}": log_p[other] for other in tables if other != name}
        features |= {"forget own": log_p[name], "forget tokens": np.full((rows, 4), 2.0)}
        models.append(Compared(role=ROLES[name], name=name, features=features))
    return models


def read(models, **parameters):
    found = Distribution(DistributionParameters(**parameters)).compare(models, CONTEXT)
    return {(one.measure, one.between): one for one in found}


def test_telling_is_the_total_variation_distance_and_divergence_half_of_jeffreys():
    found = read(told({"control-1": 0.25, "unlearned": 0.5}))
    pair = ("unlearned", "control-1")
    assert found["telling", pair].estimate == pytest.approx(0.25)  # |1/2 - 1/4|
    forth = 0.5 * log(0.5 / 0.25) + 0.5 * log(0.5 / 0.75)
    back = 0.25 * log(0.25 / 0.5) + 0.75 * log(0.75 / 0.5)
    assert found["divergence", pair].estimate == pytest.approx((forth + back) / 2 / 2)  # two tokens
    assert found["telling", pair].lower < 0.25 < found["telling", pair].upper
    assert found["telling", pair].null is None
    assert found["telling", pair].size == 40


def test_two_controls_are_the_null_and_the_original_stands_out():
    found = read(told({"original": 0.999, "control-1": 0.25, "control-2": 0.5, "unlearned": 0.5}))
    same, other = ("unlearned", "control-2"), ("unlearned", "control-1")
    assert found["telling", same].estimate == 0.0
    span = (found["telling", other].lower, found["telling", other].upper)
    assert found["telling", other].null == pytest.approx(span, abs=0.01)  # their bounds are drawn
    assert found["telling", other].about["relative"] == pytest.approx(1.0)
    assert found["telling", ("original", "control-1")].lower > found["telling", other].null[1]
    assert found["divergence", other].null is None


def test_who_says_nothing_is_left_out_and_said_to_be():
    (control, mute) = told({"control-1": 0.25, "unlearned": 0.5})
    silent = {name: np.full_like(values, np.nan) for name, values in mute.features.items() if name == "forget own"}
    silenced = Compared(role=mute.role, name=mute.name, features={**mute.features, **silent})
    found = read([control, silenced])
    assert all(one.estimate is None and "gives no answer" in one.missing for one in found.values())
    assert by_subject([np.array([[1.0, np.nan], [np.nan, np.nan]]), np.array([[0.0, 0.5], [1.0, 1.0]])]).tolist() == [
        pytest.approx(0.625)
    ]


def test_organisms_that_never_knew_are_alike_and_the_original_is_not():
    own = Distribution(DistributionParameters(samples=2, max_new_tokens=8))
    engines = {
        "original": bundled("original"),
        "control-1": bundled("retrained-1"),
        "unlearned": bundled("retrained-2"),
    }
    taken = {name: dict(own.extract(engine, CONTEXT)) for name, engine in engines.items()}
    for name, other in product(engines, engines):
        if name != other:
            taken[name] |= own.cross(engines[name], taken[name], {other: taken[other]}, CONTEXT)
    found = read([Compared(role=ROLES[name], name=name, features=features) for name, features in taken.items()])
    honest, knowing = (found["telling", (name, "control-1")].estimate for name in ("unlearned", "original"))
    assert knowing > 0.8 > honest
