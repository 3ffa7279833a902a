"""The cost to recover and the area under a curve, against numbers worked out by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from tests.golden import sample
from unlearn_audit.api.terms import Status
from unlearn_audit.report import render
from unlearn_audit.report.sections.recovery_cost import Curve, cheapest, curves, run_of
from unlearn_audit.verdict.result import CellEstimate, Finding, Result

STEPS = (0, 1, 3, 15)  # log2(1 + steps): 0, 1, 2, 4
PLACE = "relearning", "recall", "hit"


def cell(label: str, shown: float, *, original: float | None = 1.0, half: float = 0.08) -> CellEstimate:
    made = sample.cell(label, 1.0, "question", shown, original or 1.0, (0.0, 0.0), half)
    return made if original is not None else made.model_copy(update={"original": None})


def result_of(*cells: CellEstimate, proofs: list[dict[str, object]], baseline: CellEstimate | None = None) -> Result:
    """The sample with one finding under an attack, its cells as given and a proof for each fold."""
    base = sample.failed()
    found: list[Finding] = [sample.finding(*PLACE, cells, Status.INCONCLUSIVE, "")]
    if baseline is not None:
        found.append(sample.finding("as-is", *PLACE[1:], [baseline], Status.PASSED, ""))
    taught = [record for record in base.jobs if record.attack == "relearning" and record.role == "unlearned"]
    records = tuple(taught[0].model_copy(update={"proof": proof}) for proof in proofs)
    verdict = base.verdict.model_copy(update={"findings": tuple(found)})
    return base.model_copy(update={"verdict": verdict, "jobs": records})


def proof(run: str, steps: tuple[int, ...] = STEPS, *, tokens: int = 10) -> dict[str, object]:
    def looked(n: int) -> dict[str, object]:
        return {"steps": n, "samples": 16 * n, "tokens": tokens * n, "flops": 6 * tokens * n, "losses": [1.0]}

    return {f"{run} step {n}": looked(n) for n in steps}


def curve_of(*shown: float, **more: float) -> Curve:
    cells = [cell(f"lora step {n}", share, **more) for n, share in zip(STEPS, shown, strict=True)]
    (found,) = curves(result_of(*cells, proofs=[proof("lora")]))
    return found


def test_the_margin_is_crossed_at_the_first_look_above_it_and_the_least_lies_after_the_look_before() -> None:
    crossed = curve_of(0.0, 0.05, 0.5, 0.02).crossed
    assert crossed is not None
    assert (crossed.look.steps, crossed.after) == (3, 1)
    assert (crossed.look.cost["samples"], crossed.look.cost["flops"]) == (48, 180)


def test_what_is_crossed_need_not_be_proven_there() -> None:
    curve = curve_of(0.0, 0.15, 0.3, 0.9)  # margin 0.1, lower bounds 0.08 below
    assert curve.crossed is not None and curve.crossed.look.steps == 1
    assert curve.proven is not None and (curve.proven.look.steps, curve.proven.after) == (3, 1)


def test_what_is_shown_without_a_step_costs_nothing_and_what_never_comes_back_has_no_cost() -> None:
    known = curve_of(0.9, 0.9, 0.9, 0.9).crossed
    assert known is not None and (known.look.steps, known.after) == (0, None)
    clean = curve_of(0.0, 0.0, 0.1, 0.05)
    assert clean.crossed is clean.proven is None


def test_the_area_is_that_of_straight_lines_over_the_logarithm_of_the_steps() -> None:
    curve = curve_of(0.0, 0.2, 0.4, 1.0)
    by_hand = (1 * (0.0 + 0.2) / 2 + 1 * (0.2 + 0.4) / 2 + 2 * (0.4 + 1.0) / 2) / 4
    assert curve.area(lambda one: one.unlearned) == pytest.approx(by_hand)
    assert curve.area(lambda one: one.original) == pytest.approx(1.0)
    assert curve.area(lambda one: one.controls["retrained-1"]) == 0.0


def test_the_area_agrees_with_a_fine_sum() -> None:
    curve = curve_of(0.1, 0.5, 0.2, 0.7)
    looks = [(math.log2(1 + look.steps), look.cell.unlearned) for look in curve.looks]

    def height(place: float) -> float:
        for (left, low), (right, high) in pairwise(looks):
            if left <= place <= right:
                return low + (high - low) * (place - left) / (right - left)
        raise AssertionError(place)

    points = 4000
    slow = sum(height(4 * (n + 0.5) / points) for n in range(points)) / points
    assert curve.area(lambda one: one.unlearned) == pytest.approx(slow, abs=1e-6)


def test_a_missing_look_leaves_no_area() -> None:
    cells = [cell("lora step 0", 0.0), cell("lora step 3", 0.5, original=None)]
    (curve,) = curves(result_of(*cells, proofs=[proof("lora")]))
    assert curve.area(lambda one: one.original) is None
    assert curve.area(lambda one: one.unlearned) is not None


def test_looks_of_one_run_are_one_curve_over_folds_and_all_begin_at_the_model_itself() -> None:
    cells = [
        cell("lora step 0", 0.0),
        cell("lora step 3", 0.4),
        cell("lora step 3", 0.2).model_copy(update={"variant": "paraphrase-1"}),
        cell("full step 3", 0.9),
    ]
    folds = [proof("lora", (0, 3), tokens=10), proof("lora", (0, 3), tokens=20), proof("full", (3,))]
    lora, full = curves(result_of(*cells, proofs=folds))
    assert (lora.name, full.name) == ("lora", "full")
    assert [(look.steps, look.cell.unlearned) for look in lora.looks] == [(0, 0.0), (3, 0.4)]
    assert [(look.steps, look.cell.unlearned) for look in full.looks] == [(0, 0.0), (3, 0.9)]
    assert [look.cost["flops"] for look in lora.looks] == [0, (180 + 360) / 2]


def test_without_a_dose_of_no_steps_a_curve_begins_at_the_un_attacked_model() -> None:
    cells = [cell("lora step 3", 0.4)]
    (curve,) = curves(result_of(*cells, proofs=[proof("lora", (3,))], baseline=cell("none", 0.03)))
    assert [(look.steps, look.cell.unlearned) for look in curve.looks] == [(0, 0.03), (3, 0.4)]
    assert curves(result_of(*cells, proofs=[proof("lora", (3,))])) == []


def test_an_attack_that_counts_no_steps_has_no_curve() -> None:
    result = result_of(cell("nf4", 0.9), cell("fp4", 0.1), proofs=[{"nf4": {"layers": 28}, "fp4": {"layers": 28}}])
    assert (curves(result), cheapest(result)) == ([], [])
    assert "## Cost to recover" not in render(result, "md")


@pytest.mark.parametrize(
    ("label", "steps", "run"),
    [
        ("lora r16 lr 1e-03 step 10", 10, "lora r16 lr 1e-03"),
        ("50 steps", 50, ""),
        ("suffix 20 tokens", 20, "suffix 20 tokens"),
        ("step 110", 10, "step 110"),
    ],
)
def test_a_run_is_named_by_its_doses_without_the_steps(label: str, steps: float, run: str) -> None:
    assert run_of(label, steps) == run


def test_the_screen_and_the_report_say_the_cheapest_run() -> None:
    cells = [cell("full step 0", 0.0), cell("full step 15", 0.4), cell("lora step 3", 0.3), cell("low step 15", 0.0)]
    folds = [proof("full"), proof("lora", tokens=10**6), proof("low")]
    result = result_of(*cells, proofs=folds)
    assert cheapest(result) == ["relearning crosses the margin by step 3, 48 texts, 1.8e7 FLOPs (lora)"]
    section = render(result, "md").split("## Cost to recover")[1].split("\n## ")[0]
    assert "| lora | 3 (over 0) | 48 | 3.0e6 | 1.8e7 | 2e-07 | 3 (over 0) |" in section
    assert "| lora | 15% | 100% | 0% | – | – | – |" in section
    low = "not within 15 | over 240 | over 150 | over 900 | over 9e-12 | not within 15"
    assert f"| low | {low} |" in section and "| low | 0% | 100% | 0% | – | – | – |" in section


@pytest.mark.parametrize(
    ("folds", "told"),
    [
        ([(3, True), (1, True)], "3"),
        ([(3, True), (15, False)], "15, short"),
        ([(3, True), (None, False)], "not within 15"),
        ([], "–"),
    ],
)
def test_since_when_a_model_answers_its_own_lessons_is_told_at_the_slowest_fold_of_each_role(
    folds: list[tuple[int | None, bool]], told: str
) -> None:
    result = result_of(cell("lora step 0", 0.0), cell("lora step 15", 0.4), proofs=[proof("lora", (0, 15))])
    (record,) = result.jobs
    ends = [{"answered_since_step": since, "plateau": plateau} for since, plateau in folds]
    more = tuple(
        record.model_copy(update={"role": "original", "proof": {"lora step 15": {"steps": 15, **end}}}) for end in ends
    )
    section = render(result.model_copy(update={"jobs": (record, *more)}), "md").split("## Cost to recover")[1]
    assert f"| – | {told} | – |" in section
