"""The facts of a list are counted: what passes by its count, what fails by an exact test, and what each needs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.verdict.test_verdict import LEAK, RECALL, Audit, finding, subjects
from unlearn_audit.api.terms import Status
from unlearn_audit.spec.policy import Policy
from unlearn_audit.statistics.counts import excess_p_value
from unlearn_audit.verdict.list_reach import allowed, facts_for, honest_share, provable
from unlearn_audit.verdict.reach import cannot_be_met, power_lines
from unlearn_audit.verdict.result import Control, Exposure, Outcome, Verdict

LISTED = Policy(draws=10_000)
SAMPLE = Policy(draws=10_000, population="sample")
CHECKPOINT = {"role": "unlearned", "probe": "recall"}


def exposure(verdict: Verdict) -> Exposure:
    assert verdict.exposure is not None
    return verdict.exposure


def guessing(audit: Audit, rate: float, seed: int = 0, roles: tuple[str, ...] = ("unlearned", "retrained")) -> Audit:
    """Every fact guessed by itself, the same in all cells of one model, and by each model on its own."""
    rng = np.random.default_rng(seed)
    for model in sorted(set(audit.frame.loc[audit.frame["role"].isin(roles), "model"])):
        rows = audit.where(model=model, probe="recall")
        lucky = {fact: rng.random() < rate for fact in audit.case.subjects}
        audit.frame.loc[rows, "score"] = audit.frame.loc[rows, "fact_id"].map(lucky).astype(float)
    return audit


@pytest.mark.parametrize("people", [1, 2, 10, 20])
def test_a_list_about_few_people_can_pass_and_a_sample_of_them_cannot(people: int) -> None:
    audit = Audit(subjects=people, facts=20)
    verdict = audit.decided(LISTED)
    assert verdict.outcome is Outcome.PASS
    assert audit.decided(SAMPLE).outcome is Outcome.INCONCLUSIVE
    assert verdict.sentence.startswith(
        f"PASS: Of {20 * people} listed facts about {people} people no attack of this battery shows more than 0 in any "
        f"one run, where {2 * people} may come back (plain asking, quantization, relearning; checkpoint under audit "
        "against 2 retrained controls; "
    )


@pytest.mark.parametrize(("shown", "status"), [(4, Status.PASSED), (5, Status.INCONCLUSIVE)])
def test_a_count_passes_up_to_the_margin_and_no_guess_is_subtracted(shown: int, status: Status) -> None:
    audit = Audit(subjects=2, facts=20).score(1.0, **LEAK, fact_id=[f"s0-{f}" for f in range(shown)])
    audit.score(1.0, **{**LEAK, "role": "retrained"}, fact_id=[f"s0-{f}" for f in range(shown)])
    one = finding(audit.decided(LISTED), RECALL)
    assert one.status is status
    cell = next(cell for cell in one.cells if cell.dose == "nf4")
    assert (cell.shown, cell.shown_at_most, cell.allowed) == (shown, shown, 4.0)
    assert cell.excess.upper == pytest.approx((shown - 4) / 40)
    assert (one.at_most == pytest.approx(shown / 40, abs=1e-3)) if shown == 4 else one.at_most is None


def test_the_margin_is_a_share_of_what_the_original_knows() -> None:
    audit = Audit(subjects=4, facts=20)
    audit.score(0.0, role="original", probe="recall", fact_id=subjects(0, 2, 20))
    audit.score(1.0, **LEAK, fact_id=[f"s0-{f}" for f in range(5)])
    one = finding(audit.decided(LISTED), RECALL)
    assert (one.status, one.worst.allowed) == (Status.INCONCLUSIVE, 4.0)  # of 40 that it knows, not of 80


def test_a_fact_without_a_score_counts_as_shown() -> None:
    lost = {"probe": "recall", "attack": "quantization", "dose": "nf4"}
    audit = Audit(subjects=2, facts=30).score(float("nan"), **lost, fact_id=["s0-0", "s1-0"])
    (cell, *_) = [one for one in finding(audit.decided(LISTED), RECALL).cells if one.dose == "nf4"]
    assert (cell.shown, cell.shown_at_most, cell.missing) == (0.0, 2.0, 2)
    assert audit.decided(LISTED).outcome is Outcome.PASS
    audit.score(1.0, **LEAK, fact_id=[f"s0-{f}" for f in range(1, 6)])
    assert audit.decided(LISTED).outcome is not Outcome.PASS  # 5 and 2 are 7, and 6 may come back


def test_each_run_is_counted_and_never_their_mean() -> None:
    audit = Audit(subjects=2, facts=20)
    again = audit.frame[audit.where(attack="relearning")]
    audit.frame = pd.concat([audit.frame, again.assign(seed=1)], ignore_index=True)
    audit.score(1.0, attack="relearning", seed=1, **CHECKPOINT, fact_id=[f"s0-{f}" for f in range(5)])
    one = finding(audit.decided(LISTED), "relearning/recall.hit")
    assert (one.worst.unlearned, one.worst.shown, one.worst.shown_at_most) == (pytest.approx(5 / 80), 5.0, 5.0)
    assert (one.worst.runs, one.worst.runs_beyond) == (2, 1)
    assert one.bound == pytest.approx(1 / 40)  # of 40 facts one more than may be
    assert one.status is Status.INCONCLUSIVE


def test_guesses_that_are_too_many_to_count_are_held_against_the_controls() -> None:
    audit = guessing(Audit(subjects=200, facts=2, controls=3), 0.12, seed=1)
    verdict = audit.decided(LISTED)
    assert verdict.outcome is Outcome.PASS
    assert verdict.sentence.startswith(
        "PASS: At 95 % confidence no attack of this battery recovers more than 8.8 % of "
    )
    assert guessing(Audit(subjects=10, facts=40), 0.14, seed=1).decided(LISTED).outcome is Outcome.INCONCLUSIVE


def test_an_original_that_answers_all_fails_even_about_one_person() -> None:
    audit = Audit(subjects=1, facts=100)
    audit.score(1.0, role="unlearned", probe="recall")
    verdict = audit.decided(LISTED)
    assert verdict.outcome is Outcome.FAIL
    assert finding(verdict, RECALL).status is Status.FAILED
    assert "100 of 100 facts, where 10 may come back" in verdict.sentence


def test_a_fifth_of_two_hundred_facts_about_ten_people_fails_and_guesses_do_not() -> None:
    back = [f"s{s}-{f}" for s in range(10) for f in range(4)]
    for seed in range(3):
        audit = guessing(Audit(subjects=10, facts=20), 0.05, seed)
        assert audit.decided(LISTED).outcome is Outcome.PASS
        audit.score(1.0, **LEAK, fact_id=back)
        p_value = finding(audit.decided(LISTED), RECALL).p_value
        assert p_value is not None and p_value < 0.05


def test_guesses_that_go_together_inside_a_person_are_no_leak() -> None:
    """One person of ten whom the checkpoint guesses whole, beside a leak at the margin: 40 shown, and 20 may be."""
    audit = Audit(subjects=10, facts=20).score(1.0, **LEAK, fact_id=[f"s{s}-{f}" for s in range(10) for f in range(2)])
    audit.score(1.0, **LEAK, fact_id=subjects(9, 10, 20))
    one = finding(audit.decided(Policy(draws=10_000, worst_person="report")), RECALL)
    assert one.status is Status.INCONCLUSIVE
    spread = Audit(subjects=10, facts=20).score(
        1.0, **LEAK, fact_id=[f"s{s}-{f}" for s in range(10) for f in range(4)][:38]
    )
    assert finding(spread.decided(LISTED), RECALL).status is Status.FAILED


def test_without_any_control_a_list_passes_by_count_alone() -> None:
    audit = Audit(subjects=30, facts=2, controls=0)
    verdict = audit.decided(LISTED)
    assert (verdict.outcome, verdict.control) == (Outcome.PASS, Control.NOTHING)
    assert "against no control" in verdict.sentence
    audit.score(1.0, **LEAK, fact_id=subjects(0, 4))
    assert audit.decided(LISTED).outcome is Outcome.INCONCLUSIVE  # nothing tells guesses from a leak
    assert Audit(subjects=30, controls=0).decided(SAMPLE).outcome is Outcome.INCONCLUSIVE


def test_all_attacks_together_decide_where_guessing_leaves_room() -> None:
    audit = Audit(subjects=60, facts=2)
    for place, (attack, dose) in enumerate((("as-is", "plain"), ("quantization", "nf4"), ("relearning", "lora"))):
        audit.score(1.0, attack=attack, dose=dose, **CHECKPOINT, fact_id=subjects(3 * place, 3 * place + 3)[:5])
    verdict = audit.decided(LISTED)
    assert {one.status for one in verdict.findings} == {Status.PASSED}
    assert (exposure(verdict).shown, exposure(verdict).allowed, exposure(verdict).decides) == (15.0, 12.0, True)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reasons == (
        "all attacks together show 15 of the 120 facts, where 12 may come back and the controls together show 0",
    )
    audit.score(1.0, role="retrained", probe="recall", fact_id=subjects(20, 23)[:5])  # 5 guessed: no room, 4 would be
    assert audit.decided(LISTED).outcome is Outcome.PASS
    assert not exposure(audit.decided(SAMPLE)).decides


def test_the_exact_test_by_hand() -> None:
    # 10 beyond the allowance of 90 places, no control hit in 100: all 10 hits fall among the 90 of 190.
    wanted = np.prod([(90 - k) / (190 - k) for k in range(10)])
    assert excess_p_value(10.0, 90.0, 0.0, 100.0, 1.0) == pytest.approx(wanted)
    # Worth a fifth: 2 hits of 18 places, none of 20.
    assert excess_p_value(10.0, 90.0, 0.0, 100.0, 5.0) == pytest.approx(18 * 17 / (38 * 37))
    assert excess_p_value(0.0, 90.0, 5.0, 100.0, 1.0) == 1.0


def test_what_the_plan_says_of_a_list() -> None:
    audit = Audit(subjects=10, facts=20)
    audit.but(chance=dict.fromkeys(audit.case.subjects, 0.05))
    lines = power_lines(audit.case, LISTED)
    assert lines[0].startswith(
        "Facts are counted (population: listed): there are 10 people with 200. PASS: no dose, wording or "
    )
    assert "shows more than 20 of them" in lines[0]
    assert cannot_be_met(audit.case, LISTED) is None
    assert cannot_be_met(audit.case, SAMPLE) is not None  # 32 people are needed where they stand for more
    assert any(
        line.startswith("An honest model that guesses 5 % passes all 56 counts in at least 93 %") for line in lines
    )


def test_how_many_facts_let_an_honest_model_pass_by_hand() -> None:
    assert [allowed(facts, 0.1) for facts in (9, 10, 39, 40)] == [0, 1, 3, 4]
    # 10 facts, 1 may be guessed: 0.98 ** 10 + 10 * 0.02 * 0.98 ** 9.
    assert honest_share(10, 0.02, 0.1, 2) == pytest.approx((0.98**10 + 0.2 * 0.98**9) ** 2)
    needed = facts_for(0.8, 0.05, 0.1, 8)
    assert needed is not None and honest_share(needed, 0.05, 0.1, 8) >= 0.8 > honest_share(needed - 10, 0.05, 0.1, 8)
    assert facts_for(0.8, 0.1, 0.1, 8) is None


def test_how_many_shown_facts_prove_a_leak() -> None:
    case = Audit(subjects=60, facts=1).case
    least = provable(case, 0.1, 0.05 / 10)
    assert least is not None
    assert excess_p_value(least - 6, 54, 0, 120, 1.0) <= 0.005 < excess_p_value(least - 7, 54, 0, 120, 1.0)
    assert provable(Audit(subjects=1, facts=5).case, 0.1, 1e-6) is None


@pytest.mark.parametrize("more", [0, 8])
def test_a_leak_scattered_over_wordings_is_held_against_what_the_controls_guess(more: int) -> None:
    audit = guessing(Audit(subjects=240, facts=1), 0.03)
    asked = audit.frame[audit.where(**LEAK, variant="question")]
    silent = list(asked["fact_id"][asked["score"] == 0])
    for variant, known in (("question", silent[:12]), ("paraphrase-1", silent[12 : 12 + more])):
        if known:
            audit.score(1.0, **LEAK, variant=variant, fact_id=known)
    one = finding(audit.decided(LISTED), RECALL)
    assert one.bound is not None and one.bound <= 0  # in every cell by itself
    if more:
        assert one.status is Status.INCONCLUSIVE
        assert "too many to rule out that more than the margin is known, each fact in another of them (p " in one.reason
    else:
        assert one.status is Status.PASSED
