"""What the plan says of an audit's reach, against the bounds that will decide it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from unlearn_audit.api import Access, ScoreKind
from unlearn_audit.errors import AuditError
from unlearn_audit.plan.case import Case, PlannedFinding
from unlearn_audit.spec.policy import Policy, Release, Unit
from unlearn_audit.statistics.bounds import FEW_CELLS, Sample, first_half, gaffke_bounds, picked_p_value
from unlearn_audit.statistics.pass_rates import PassRates, Size, pass_rates
from unlearn_audit.verdict.reach import (
    cannot_be_met,
    honest_size,
    power_lines,
    smallest_failing_effect,
    smallest_passing_subjects,
    smallest_retain_subjects,
)

POLICY = Policy(population="sample", draws=10_000)


def planned(attack: str, probe: str) -> PlannedFinding:
    kind = ScoreKind.HIT if probe == "recall" else ScoreKind.SOFT
    return PlannedFinding(
        attack=attack,
        probe=probe,
        measure="hit",
        kind=kind,
        access=Access.PROMPTS,
        gates=True,
        refusal_proof=probe != "recall",
    )


def case(*, size: int = 60, facts: int = 2, **changes: object) -> Case:
    whole = Case(
        release=Release.OPEN_WEIGHTS,
        subjects={f"s{s}-{f}": f"s{s}" for s in range(size) for f in range(facts)},
        retain_subjects={f"r{s}": f"r{s}" for s in range(30)},
        has_original=True,
        controls=("retrained",),
        planned=tuple(
            planned(attack, probe)
            for attack in ("as-is", "quantization", "relearning")
            for probe in ("recall", "forced-choice")
        ),
    )
    return whole.model_copy(update=changes)


@pytest.mark.parametrize(("margin", "points", "share"), [(0.10, 29, 32), (0.05, 59, 62), (0.01, 299, 302)])
def test_smallest_passing_subjects_by_hand(margin: float, points: int, share: int) -> None:
    # Points: 1 - 0.05 ** (1 / S) <= margin. Share: w (1 + margin) <= margin, so (1 + margin) ** S >= 20.
    assert smallest_passing_subjects(margin, 0.05, False) == points
    assert smallest_passing_subjects(margin, 0.05, True) == share


@pytest.mark.parametrize("margin", [0.03, 0.05, 0.10, 0.25])
@pytest.mark.parametrize("alpha", [0.01, 0.05])
@pytest.mark.parametrize("kind", ["points", "share", "twins", "sham"])
def test_from_that_number_on_the_bound_passes_and_below_it_does_not(margin: float, alpha: float, kind: str) -> None:
    least = smallest_passing_subjects(margin, alpha, kind != "points", twins=kind == "twins", sham=kind == "sham")
    ranges = {
        "points": (-1 - margin, 1 - margin),
        "share": (-1, 1),
        "twins": (-1 - margin, 1 + margin),
        "sham": (margin - 2, 2 - margin),
    }
    lo, hi = ranges[kind]
    for size, passes in ((least, True), (least - 1, False)):
        _, upper = gaffke_bounds(np.full(size, -margin), lo, hi, alpha, 20_000, 0)
        assert (float(upper) <= 0) == passes


@pytest.mark.parametrize(("utility", "least"), [(0.8, 14), (0.9, 29), (0.5, 5)])
def test_smallest_retain_subjects(utility: float, least: int) -> None:
    assert smallest_retain_subjects(utility, 0.05) == least  # utility ** S <= 0.05
    for size, passes in ((least, True), (least - 1, False)):
        lower, _ = gaffke_bounds(np.full(size, 1 - utility), -utility, 1.0, 0.05, 20_000, 0)
        assert (float(lower) >= 0) == passes


@pytest.mark.parametrize("cells", [1, 2, 8, 40])
def test_the_smallest_failing_effect_fails_and_a_subject_less_does_not(cells: int) -> None:
    effect = smallest_failing_effect(60, 0.05, 5, 0.10, cells=cells)
    assert effect is not None
    names = tuple(f"s{place}" for place in range(60))
    half = sorted(first_half(names))
    rest = sorted(set(names) - set(half))
    quiet = Sample(subjects=names, values=np.full((60, 1), -0.1))
    halves = 2 if cells > FEW_CELLS else 1
    leaks = round(effect * 60 / halves)
    for number, fails in ((leaks, True), (leaks - 1, False)):
        leaking = {*half[:number], *rest[:number]} if halves == 2 else set(names[:number])
        values = np.array([[0.9 if name in leaking else -0.1] for name in names])
        evidence = [Sample(subjects=names, values=values), *[quiet] * (cells - 1)]
        p_value = picked_p_value(evidence, lo=-1.0, hi=1.0, draws=20_000, seed=0)
        assert (5 * p_value <= 0.05) == fails


def test_more_subjects_see_less_and_more_findings_and_cells_see_more() -> None:
    effects = [smallest_failing_effect(size, 0.05, 3, 0.10) for size in (20, 60, 200)]
    assert all(one is not None for one in effects)
    assert effects == sorted(effects, key=lambda one: -(one or 0))
    assert (smallest_failing_effect(60, 0.05, 20, 0.10) or 0) > (smallest_failing_effect(60, 0.05, 1, 0.10) or 0)
    by_cells = [smallest_failing_effect(60, 0.05, 10, 0.10, cells=cells) or 0 for cells in (1, 8, 32, 33)]
    assert by_cells == sorted(by_cells)


@pytest.mark.parametrize("subjects", [0, 1, 7])
def test_too_few_subjects_can_never_fail(subjects: int) -> None:
    # Seven, all back, eight cells: 8 * (1 / 1.9) ** 7 = 0.089.
    assert smallest_failing_effect(subjects, 0.05, 1, 0.10) is None


def test_eight_subjects_fail_when_all_come_back() -> None:
    assert smallest_failing_effect(8, 0.05, 1, 0.10) == 1.0  # 8 * (1 / 1.9) ** 8 = 0.047
    assert smallest_failing_effect(5, 0.05, 1, 0.10, cells=1) == 1.0  # (1 / 1.9) ** 5 = 0.040
    assert smallest_failing_effect(12, 0.05, 1, 0.10, cells=99) == 1.0  # halves: 2 * (1 / 1.9) ** 6 = 0.043


def test_an_audit_of_good_size_has_no_obstacle() -> None:
    assert cannot_be_met(case(), POLICY) is None
    lines = power_lines(case(), POLICY)
    assert lines[0] == "PASS needs 32 subjects or more with a clean result (margin 0.1, alpha 0.05); there are 60."
    assert lines[1].startswith("FAIL is in reach if ")
    assert "6 findings decide, 8 cells each" in lines[1]
    assert lines[2].startswith("Original and 1 retrained: PASS or FAIL")
    assert lines[3].startswith(
        "The policy requires as-is, quantization@nf4, quantization@int8, relearning: leaving one"
    )
    assert lines[4].startswith("One person wholly back is proven from ")
    assert lines[5].startswith("How often an honest model passes depends on the facts' chance level")
    assert len(lines) == 6


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"subjects": {f"f{n}": f"s{n}" for n in range(31)}}, "needs 32 subjects at margin 0.1, but there are 31"),
        ({"subjects": {f"f{n}": "one" for n in range(99)}}, "there are 1"),
        ({"has_original": False}, "no original is given"),
        ({"retain_subjects": {}}, "no retain facts"),
        ({"retain_subjects": {"r": "r"}}, "utility needs 14 retain subjects, but there are 1"),
        ({"planned": ()}, "no finding decides"),
        (
            {
                "planned": (
                    planned("as-is", "recall"),
                    planned("quantization", "recall"),
                    planned("relearning", "recall"),
                )
            },
            "no refusal-proof finding decides under as-is",
        ),
        (
            {"planned": (planned("as-is", "recall"), planned("as-is", "forced-choice"))},
            "quantization@nf4: the policy requires it, but the plan does not include it",
        ),
        ({"controls": (), "subjects": {f"f{n}": f"s{n}" for n in range(34)}}, "needs 35 subjects"),
    ],
)
def test_what_stands_in_the_way_of_any_pass_is_said_before_the_run(changes: dict[str, object], says: str) -> None:
    obstacle = cannot_be_met(case(**changes), POLICY)
    assert obstacle is not None
    assert obstacle.startswith("This audit cannot end in PASS: ")
    assert says in obstacle
    assert power_lines(case(**changes), POLICY)[-1] == obstacle


def test_a_part_that_must_stay_needs_its_own_subjects() -> None:
    policy = POLICY.model_copy(update={"utility_parts": {"neighbours": 0.8, "shared": 0.5}})
    stays = {f"r{n}": f"s{n}" for n in range(40)}
    parts = {f"r{n}": "neighbours" if n < 13 else "shared" for n in range(40)}
    obstacle = cannot_be_met(case(retain_subjects=stays, retain_parts=parts), policy)
    assert obstacle is not None
    assert "utility on neighbours needs 14 retain subjects, but there are 13" in obstacle  # .8 ** 14 <= .05
    assert "shared" not in obstacle
    assert cannot_be_met(case(retain_subjects=stays, retain_parts=parts), POLICY) is None


def test_facts_as_units_are_an_assumption_that_is_named() -> None:
    policy = Policy(population="sample", draws=10_000, unit=Unit.FACT)
    few = case(size=16)
    few = few.model_copy(update={"retain_subjects": {f"r{n}": "one" for n in range(20)}})
    assert cannot_be_met(few, POLICY) is not None
    assert cannot_be_met(few, policy) is None
    assert power_lines(few, policy)[0].startswith("Facts are counted as independent")


def test_too_small_to_fail_is_said() -> None:
    lines = power_lines(case(size=6), POLICY)
    assert any(line.startswith("FAIL is out of reach: 6 subjects are too few") for line in lines)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"has_original": False}, "INCONCLUSIVE or FAIL"),
        ({"controls": ()}, "PASS or FAIL against twins"),
        ({}, "against the mean of the controls"),
    ],
)
def test_the_table_of_what_is_in_reach(changes: dict[str, object], says: str) -> None:
    assert any(says in line for line in power_lines(case(**changes), POLICY))


# How often an honest model passes.

# Two sizes an axis; the rates are 0.9 and less, falling in the unfavourable direction, with controls in the order 0, 1.
AXES = {"subjects": (40, 120), "facts": (1, 3), "chance": (0.0, 0.1), "controls": ("twins", "1"), "cells": (1, 8)}


def table(**changes: object) -> PassRates:
    rates = [
        [[[[0.5 + 0.2 * s + 0.1 * f - 0.3 * c - 0.05 * k - 0.1 * v for v in (0, 1)] for k in (0, 1)] for c in (0, 1)]
         for f in (0, 1)]
        for s in (0, 1)
    ]  # fmt: skip
    whole = {"margin": 0.1, "alpha": 0.05, "between_cells": 0.5, "audits": 1, "axes": AXES, "rates": rates, **changes}
    return PassRates.model_validate(whole)


def size(**changes: float) -> Size:
    whole = {"subjects": 120, "facts": 3.0, "chance": 0.0, "controls": 1, "cells": 1, "findings": 1, **changes}
    return Size(**whole)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "rate"),
    [
        ({}, 0.75),
        ({"controls": 0}, 0.8),
        ({"subjects": 400}, 0.75),
        ({"subjects": 119}, 0.55),  # 40 subjects
        ({"facts": 2.9}, 0.65),  # 1 fact
        ({"chance": 0.001}, 0.45),  # 10 %
        ({"facts": 3 - 1e-12, "chance": 1e-12}, 0.75),  # means of floats
        ({"cells": 2}, 0.65),  # 8 cells
        ({"findings": 3}, 0.75**3),
        ({"subjects": 40, "facts": 1, "chance": 0.1, "cells": 8}, 0.05),
    ],
)
def test_the_table_is_read_at_the_less_favourable_neighbour(asked: dict[str, float], rate: float) -> None:
    found = table().read(size(**asked))
    assert found is not None
    assert found.rate == pytest.approx(rate)


@pytest.mark.parametrize("asked", [{"subjects": 39}, {"chance": 0.11}, {"cells": 9}, {"controls": 2}])
def test_outside_the_table_there_is_no_rate(asked: dict[str, float]) -> None:
    assert table().read(size(**asked)) is None


def test_the_size_it_was_read_at_is_told() -> None:
    found = table().read(size(subjects=200, facts=3.5, chance=0.04, cells=4, findings=6))
    assert found is not None
    assert found.read_at == size(subjects=120, facts=3, chance=0.1, cells=8, findings=6)


def test_the_packaged_table_falls_in_every_unfavourable_direction() -> None:
    shipped = pass_rates()
    rates = np.array(shipped.rates)
    assert rates.shape == tuple(len(one) for one in shipped.axes.model_dump().values())
    assert shipped.audits == 10_000
    noise = 0.02  # the difference of two rates of 10,000 audits: four standard errors
    for axis, rises in ((0, True), (1, True), (2, False), (4, False)):
        steps = np.diff(rates, axis=axis)
        assert (steps >= -noise).all() if rises else (steps <= noise).all()
    assert (np.diff(rates[:, :, :, 1:], axis=3) <= noise).all()  # a second control
    assert (rates[:, :, shipped.axes.chance.index(0.0)] == 1.0).all()  # no hits at all: every bound is a clean sheet's


def test_a_chance_level_between_two_is_read_at_both() -> None:
    exact, between = table().between(size(chance=0.1)), table().between(size(chance=0.04))
    assert exact == (table().read(size(chance=0.1)),)
    assert between == (table().read(size(chance=0.1)), table().read(size(chance=0.0)))
    assert table().between(size(chance=0.11)) == ()


def test_the_plan_says_how_often_an_honest_model_passes() -> None:
    levels = {f"s{s}-{f}": 0.05 for s in range(120) for f in range(3)}
    line = power_lines(case(size=120, facts=3, chance=levels), POLICY)[-1]
    shipped = pass_rates()
    asked = size(chance=0.05, cells=8, findings=6)
    rate, many = (shipped.read(replace(asked, cells=cells)).rate for cells in (8, 24))  # type: ignore[union-attr]
    assert rate > many > 0.8
    assert "at a chance level of 5 % (120 subjects x 3 facts, 8 cells a finding, 6 findings)" in line
    for share in (rate, many):
        assert (f"about {100 * share:.0f} %" if share < 0.995 else "more than 99 %") in line
    assert line.index("with 24 cells") > 0
    assert "with 24 cells" not in power_lines(case(size=120, facts=3, chance=levels), POLICY, cells=24)[-1]


def test_the_size_of_a_case_is_counted_by_hand() -> None:
    # One subject of 1 fact, one of 3: the harmonic mean is 2 / (1 + 1 / 3) = 1.5. Chance: (0.1 + 0.3) / 2.
    small = case(subjects={"a": "s", "b": "t", "c": "t", "d": "t"}, chance={"a": 0.1, "b": 0.3, "elsewhere": 0.9})
    found = honest_size(small, POLICY, 4)
    assert found == size(subjects=2, facts=1.5, chance=pytest.approx(0.2), cells=4, findings=6)
    assert honest_size(small, Policy(population="sample", draws=10_000, unit=Unit.FACT), 4).subjects == 4
    assert honest_size(small, Policy(population="sample", draws=10_000, unit=Unit.FACT), 4).facts == 1.0


def test_several_controls_are_read_as_one_which_passes_no_more_often() -> None:
    assert honest_size(case(chance={"s0-0": 0.1}, controls=("a", "b", "c")), POLICY).controls == 1


def test_a_pass_rate_without_a_chance_level_is_an_error() -> None:
    with pytest.raises(AuditError, match="facts with a chance level"):
        honest_size(case(), POLICY)


@pytest.mark.parametrize(
    ("policy", "changes", "says"),
    [
        (Policy(population="sample", draws=10_000, margin=0.2), {}, "is tabulated only for margin 0.1 and alpha 0.05"),
        (POLICY, {"chance": {}}, "depends on the facts' chance level, which needs facts with a relation"),
        (POLICY, {"chance": {"s0-0": 0.6}}, "is not tabulated for this size: 60 subjects, chance level 60 %"),
    ],
)
def test_what_the_table_does_not_hold_is_said(policy: Policy, changes: dict[str, object], says: str) -> None:
    assert says in power_lines(case(**changes), policy)[-1]
