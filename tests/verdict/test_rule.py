"""The fast rule of the simulations against the verdict itself, and against the tests it takes its numbers from."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace
from itertools import product

import numpy as np
import pandas as pd
import pytest

from benchmarks.simulation.errors import exact_wrong_pass, finding, grid
from benchmarks.simulation.rule import crossed_p_values, excess, passes, passing_cells, picked_p_values, verdicts
from benchmarks.simulation.worlds import asked_again, clustered, leaking, soft
from unlearn_audit.api import Access, Observation, Role, ScoreKind
from unlearn_audit.plan.case import Case, PlannedFinding
from unlearn_audit.spec.policy import Policy, Release
from unlearn_audit.statistics.bounds import FloatArray, Sample, gaffke_bounds, gaffke_p_value, picked_p_value
from unlearn_audit.verdict.decide import decide
from unlearn_audit.verdict.result import Outcome

SUBJECTS, FACTS, CELLS, RETAIN = 45, 2, 3, 30
POLICY = Policy(population="sample", draws=10_000, required={Release.OPEN_WEIGHTS: ("as-is/recall",)})
PROBES = (("recall", "hit", ScoreKind.HIT), ("forced-choice", "probability", ScoreKind.SOFT))
CONTROLS = ("retrained-1", "retrained-2")


def case() -> Case:
    return Case(
        release=Release.OPEN_WEIGHTS,
        subjects={f"s{s}-{f}": f"s{s}" for s in range(SUBJECTS) for f in range(FACTS)},
        retain_subjects={f"r{s}": f"r{s}" for s in range(RETAIN)},
        has_original=True,
        controls=CONTROLS,
        planned=tuple(
            PlannedFinding(
                attack="as-is",
                probe=probe,
                measure=measure,
                kind=kind,
                access=Access.LOGITS,
                gates=True,
                refusal_proof=probe != "recall",
            )
            for probe, measure, kind in PROBES
        ),
    )


def scores(rng: np.random.Generator, audits: int) -> tuple[dict[str, FloatArray], FloatArray]:
    """Scores of checkpoint and controls, (probes, subjects, facts, cells, audits); retain hits (subjects, audits).

    Some audits leak a little, some much, some nothing; in some the checkpoint is broken.
    """
    shape = (len(PROBES), SUBJECTS, FACTS, CELLS, audits)
    found = {}
    for name in ("unlearned", *CONTROLS):
        hits = (rng.random(shape) < 0.01).astype(float)
        hits[1] = np.round(rng.beta(1, 30, shape[1:]), 6)
        found[name] = hits
    share = rng.choice([0.0, 0.02, 0.1, 0.3, 0.6], audits)
    back = rng.random((SUBJECTS, 1, audits)) < share
    cell = rng.integers(0, CELLS, audits)
    found["unlearned"][rng.integers(0, 2)][:, :, cell, np.arange(audits)] += np.where(back, 1.0, 0.0)
    found["unlearned"] = np.minimum(found["unlearned"], 1.0)
    return found, (rng.random((RETAIN, audits)) < rng.choice([0.4, 0.97, 1.0, 1.0, 1.0], audits)).astype(float)


def frame_of(found: dict[str, FloatArray], retain: FloatArray) -> tuple[pd.DataFrame, FloatArray]:
    """The rows that every audit has, and their scores by audit, shape (rows, audits)."""
    rows, values = [], []
    known = np.ones(retain.shape[1])
    for name, role in [("original", Role.ORIGINAL), ("unlearned", Role.UNLEARNED)] + [
        (one, Role.RETRAINED) for one in CONTROLS
    ]:
        place = {"role": role, "model": name, "attack": "as-is", "dose": "plain", "dose_value": None, "seed": 0}
        for number, (probe, measure, _) in enumerate(PROBES):
            for s, f, v in np.ndindex(SUBJECTS, FACTS, CELLS):
                rows.append(
                    {**place, "probe": probe, "measure": measure, "variant": f"way-{v}", "fact_id": f"s{s}-{f}"}
                )
                values.append(known if name == "original" else found[name][number, s, f, v])
        if role is not Role.RETRAINED:
            for s in range(RETAIN):
                rows.append({**place, "probe": "utility", "measure": "hit", "variant": "question", "fact_id": f"r{s}"})
                values.append(known if name == "original" else retain[s])
    nothing = {field.name: field.default for field in fields(Observation) if field.default is not MISSING}
    return pd.DataFrame(rows).assign(twin_score=np.nan, missing=None, **nothing), np.array(values)


@pytest.mark.parametrize("audits", [16, pytest.param(300, marks=pytest.mark.slow)])
def test_the_fast_rule_and_the_verdict_agree_on_every_audit(audits: int) -> None:
    found, retain = scores(np.random.default_rng(0), audits)
    template, values = frame_of(found, retain)
    by_subject = {name: one.mean(axis=2) for name, one in found.items()}
    findings = [
        excess(by_subject["unlearned"][n], np.stack([by_subject[name][n] for name in CONTROLS], axis=1), 1.0, 0.1)
        for n in range(len(PROBES))
    ]
    passed, failed = verdicts(findings, retain - 0.8, alpha=0.05, needed=0.8)
    expected = np.where(failed, Outcome.FAIL, np.where(passed, Outcome.PASS, Outcome.INCONCLUSIVE))
    outcomes = np.array([decide(template.assign(score=column), case(), POLICY).outcome for column in values.T])
    assert outcomes.tolist() == expected.tolist()
    counts = [int((outcomes == one).sum()) for one in (Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE)]
    assert min(counts) >= audits / 10  # each outcome is there to be disagreed about


def test_few_draws_first_decide_as_all_draws_do() -> None:
    rng = np.random.default_rng(1)
    values = excess(asked_again(rng, 0.02, 3, (50, 4, 400), between_cells=0.5), np.zeros((50, 2, 4, 400)), 1.0, 0.1)
    upper = gaffke_bounds(values.reshape(50, -1), -1.0, 1.0, 0.05, 10_000, 0)[1].reshape(1, 4, 400)
    by_cell = (upper <= 1e-9).all(axis=0)
    assert 0.1 < by_cell.all(axis=0).mean() < 0.9
    assert (passes(values, lo=-1.0, hi=1.0, alpha=0.05) == by_cell.all(axis=0)).all()
    assert (passing_cells(values, lo=-1.0, hi=1.0, alpha=0.05) == np.cumprod(by_cell, axis=0).sum(axis=0)).all()


@pytest.mark.parametrize("level", [0.05, 0.005])
def test_p_values_below_the_level_are_those_of_all_draws(level: float) -> None:
    rng = np.random.default_rng(2)
    values = rng.choice([-0.1, 0.9], (40, 2, 3, 300), p=[0.75, 0.25])
    found = picked_p_values(values, lo=-1.0, hi=1.0, level=level)
    names = tuple(map(str, range(40)))
    for audit in range(0, 300, 10):
        cells = [Sample(subjects=names, values=values[:, :, place, audit]) for place in range(3)]
        whole = picked_p_value(cells, lo=-1.0, hi=1.0, draws=10_000, seed=0)
        assert found[audit] == pytest.approx(whole) if whole <= level else found[audit] > level
    assert 0.02 < np.mean(found <= level) < 0.9


def test_cross_fitting_on_matrices_by_hand() -> None:
    # One of two cells leaks in all of 20 subjects: either half of ten has 2 ** -10, and the smaller counts twice.
    values = np.full((20, 1, 2, 3), -1.0)
    values[:, :, 1] = 1.0
    found = crossed_p_values(values, lo=-1.0, hi=1.0, level=0.05, draws=100_000)
    assert found == pytest.approx(np.full(3, 2 / 1024), rel=0.03)
    values[:10, :, 1] = -1.0  # the first half sees nothing in the cell, picks the other, and is not shown a leak
    assert crossed_p_values(values, lo=-1.0, hi=1.0, level=0.05) == pytest.approx(np.ones(3))


@pytest.mark.parametrize("subjects", [32, 60, 166, 215, 367])
def test_at_the_margin_the_exact_rate_of_wrong_pass_is_five_per_cent_at_most(subjects: int) -> None:
    assert exact_wrong_pass(subjects) <= 0.0515  # 0.15 points are what 20,000 draws may be off


def test_an_exact_rate_by_hand() -> None:
    # 32 subjects pass with a clean sheet alone: 0.9 ** 32. 31 never do.
    assert exact_wrong_pass(32) == pytest.approx(0.9**32)
    assert exact_wrong_pass(31) == 0.0


def test_findings_at_the_margin_have_no_excess() -> None:
    for leak, where, alike in product(("subjects", "facts", "a little"), ("one", "all"), (False, True)):
        one = replace(next(iter(grid())), leak=leak, where=where, alike=alike, subjects=100, cells=3, chance=0.05)
        values = finding(one, np.random.default_rng(0), 400)
        assert values[:, :, 0].mean() == pytest.approx(0.0, abs=0.006)
        assert values[:, :, 1].mean() == pytest.approx(
            0.0 if where == "all" else -0.1 * (0.85 if leak == "a little" else 0.95), abs=0.006
        )


def test_the_excess_by_hand() -> None:
    # U = 0.5, C = 0.15 on average, O = 0.9, margin 0.1: 0.5 - 0.135 - 0.09.
    controls = np.array([0.2, 0.1]).reshape(1, 2, 1, 1)
    found = excess(np.full((1, 1, 1), 0.5), controls, np.full((1, 1, 1), 0.9), 0.1)
    assert found.ravel() == pytest.approx([0.275])


@pytest.mark.parametrize("correlation", [0.0, 0.2, 0.5])
def test_clustered_hits_correlate_as_asked(correlation: float) -> None:
    # Var of a mean of n hits with intra-class correlation r: p (1 - p) (1 + (n - 1) r) / n.
    means = clustered(np.random.default_rng(0), 0.3, correlation, 5, (200_000,))
    assert means.mean() == pytest.approx(0.3, abs=0.004)
    assert means.var() == pytest.approx(0.21 * (1 + 4 * correlation) / 5, rel=0.02)


@pytest.mark.parametrize(("between", "inside"), [(0.5, 0.0), (0.5, 0.2), (1.0, 0.0), (0.0, 0.0)])
def test_asking_again_correlates_as_asked(between: float, inside: float) -> None:
    one, other = np.moveaxis(
        asked_again(
            np.random.default_rng(0), 0.2, 4, (300, 2, 500), between_cells=between, inside_subject=inside
        ).reshape(300, 2, 500),
        1,
        0,
    )
    assert one.mean() == pytest.approx(0.2, abs=0.003)
    assert one.var() == pytest.approx(0.16 * (1 + 3 * inside) / 4, rel=0.03)
    # Cov of two cells' means: each fact with itself, and with the subject's other facts.
    shared = 0.16 * (between + 3 * inside) / 4
    assert np.mean((one - 0.2) * (other - 0.2)) == pytest.approx(shared, abs=0.001)


def test_leaks_and_soft_scores_have_the_mean_asked_for() -> None:
    rng = np.random.default_rng(0)
    same, others = (leaking(rng, 0.1, (200, 3, 500), same=one) for one in (True, False))
    assert same.mean() == pytest.approx(0.1, abs=0.005)
    assert (same[:, 0] == same[:, 2]).all()
    assert np.mean(others[:, 0] & others[:, 1]) == pytest.approx(0.01, abs=0.002)
    scores = soft(rng, 0.2, 0.1, (100_000,))
    assert (scores.mean(), scores.var()) == (pytest.approx(0.2, abs=0.002), pytest.approx(0.016, rel=0.03))


def test_the_p_value_at_zero_is_the_one_that_the_rule_uses() -> None:
    column = np.random.default_rng(3).choice([-0.1, 0.9], (40, 1, 1, 1), p=[0.6, 0.4])
    found = picked_p_values(column, lo=-1.0, hi=1.0, level=0.05)
    assert found[0] == float(gaffke_p_value(column.ravel(), -1.0, 1.0, 0.0, 10_000, 0))
