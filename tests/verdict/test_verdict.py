"""Every rule of design section 6 on made-up evidence: what holds when all is well, and what one flaw changes."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from unlearn_audit.api import Access, Observation, Role, ScoreKind
from unlearn_audit.api.terms import Status
from unlearn_audit.errors import AuditError
from unlearn_audit.plan.case import Case, FaultyJob, LeftOut, PlannedFinding
from unlearn_audit.spec.policy import Policy, Release, Rule, Unit
from unlearn_audit.verdict.clean_sentence import clean
from unlearn_audit.verdict.decide import decide
from unlearn_audit.verdict.policy.planned import BESIDE_FINDINGS, OTHERS, family_weight, under
from unlearn_audit.verdict.result import Control, Finding, KeptPart, Outcome, Verdict

DOSES = {"as-is": (("plain", None),), "quantization": (("nf4", 4.0), ("int8", 8.0)), "relearning": (("lora", 40.0),)}
WAYS = ("question", "paraphrase-1")
POLICY = Policy(population="sample", draws=10_000)
TWIN_RATE = 0.05  # what a model that knows nothing scores, where twins are the control

Edit = Callable[[pd.DataFrame], None]


def planned(attack: str, probe: str = "recall", *, any_of: bool = False, gates: bool = True) -> PlannedFinding:
    hit = probe == "recall"
    return PlannedFinding(
        attack=attack,
        probe=probe,
        measure="hit" if hit else "probability",
        kind=ScoreKind.HIT if hit else ScoreKind.SOFT,
        access=Access.PROMPTS if hit else Access.LOGITS,
        gates=gates,
        any_of=any_of,
        refusal_proof=not hit,
    )


PLANNED = (
    *(planned(attack, probe) for attack in DOSES for probe in ("recall", "forced-choice")),
    planned("as-is", any_of=True),
)


class Audit:
    """Evidence of a checkpoint that forgot everything and kept all else, ready to be spoilt."""

    def __init__(self, *, subjects: int = 60, facts: int = 2, controls: int = 2, original: bool = True) -> None:
        self.case = Case(
            release=Release.OPEN_WEIGHTS,
            subjects={f"s{s}-{f}": f"s{s}" for s in range(subjects) for f in range(facts)},
            retain_subjects={f"r{s}": f"r{s}" for s in range(30)},
            has_original=original,
            controls=tuple(f"retrained-{place}" for place in range(1, controls + 1)),
            planned=PLANNED,
        )
        self.frame = _clean_evidence(self.case).copy()

    def where(self, **columns: object) -> pd.Series:
        mask = pd.Series(True, index=self.frame.index)
        for column, value in columns.items():
            mask &= self.frame[column].isin(value) if isinstance(value, (list, tuple)) else self.frame[column] == value
        return mask

    def score(self, value: float, **columns: object) -> Audit:
        rows = self.where(**columns)
        assert rows.any(), columns
        self.frame.loc[rows, "score"] = value
        if np.isnan(value):
            self.frame.loc[rows, "missing"] = "the answer was cut off"
        return self

    def without(self, **columns: object) -> Audit:
        rows = self.where(**columns)
        assert rows.any(), columns
        self.frame = self.frame[~rows]
        return self

    def but(self, **changes: object) -> Audit:
        self.case = self.case.model_copy(update=changes)
        return self

    def twins(self, rate: float = TWIN_RATE) -> Audit:
        self.frame["twin_score"] = np.where(self.frame["probe"] == "utility", np.nan, rate)
        return self

    def decided(self, policy: Policy = POLICY) -> Verdict:
        """The verdict; the same evidence is decided once, as many tests start from the same."""
        asked = (self.frame, self.case.model_dump_json(), policy.model_dump_json())
        key = hashlib.sha256(pickle.dumps(asked)).hexdigest()
        if key not in _DECIDED:
            _DECIDED[key] = decide(self.frame, self.case, policy)
        return _DECIDED[key]


_KNOWN: dict[str, pd.DataFrame] = {}
_DECIDED: dict[str, Verdict] = {}


def _clean_evidence(case: Case) -> pd.DataFrame:
    """Built once for each case: most tests spoil the same one."""
    key = case.model_dump_json()
    if key not in _KNOWN:
        rows = _observations(case)
        columns = [each.name for each in fields(Observation)]  # `asdict` copies each row: a third of all these tests
        _KNOWN[key] = pd.DataFrame({name: [getattr(one, name) for one in rows] for name in columns})
    return _KNOWN[key]


def _observations(case: Case) -> list[Observation]:
    models = [(Role.UNLEARNED, "unlearned")]
    models += [(Role.ORIGINAL, "original")] if case.has_original else []
    models += [(Role.RETRAINED, name) for name in case.controls]
    rng = np.random.default_rng(0)
    rows = []
    for role, model in models:
        knows = role is Role.ORIGINAL
        for attack, doses in DOSES.items():
            for label, value in doses:
                place = {"role": role, "model": model, "attack": attack, "dose": label, "dose_value": value}
                for fact_id in case.subjects:
                    for way in WAYS:
                        rows.append(_seen(place, "recall", "hit", way, fact_id, float(knows)))
                    soft = (0.95 if knows else 0.03) + 0.02 * rng.random()
                    rows.append(_seen(place, "forced-choice", "probability", "options", fact_id, soft))
        if role is not Role.RETRAINED:
            place = {"role": role, "model": model, "attack": "as-is", "dose": "plain", "dose_value": None}
            rows += [_seen(place, "utility", "hit", "question", one, 1.0) for one in case.retain_subjects]
    return rows


def _seen(place: dict[str, object], probe: str, measure: str, variant: str, fact_id: str, score: float) -> Observation:
    return Observation(
        **place,  # type: ignore[arg-type]
        probe=probe,
        measure=measure,
        variant=variant,
        fact_id=fact_id,
        seed=0,
        score=score,
        twin_score=None,
        missing=None,
    )


def subjects(first: int, last: int, facts: int = 2) -> list[str]:
    return [f"s{s}-{f}" for s in range(first, last) for f in range(facts)]


def finding(verdict: Verdict, name: str) -> Finding:
    return next(one for one in verdict.findings if one.id == name)


LEAK = {"role": "unlearned", "attack": "quantization", "dose": "nf4", "probe": "recall"}
RECALL = "quantization/recall.hit"

# All is well.


def test_a_clean_checkpoint_passes() -> None:
    verdict = Audit().decided()
    assert verdict.outcome is Outcome.PASS
    assert verdict.reasons == ()
    assert verdict.control is Control.RETRAINED
    assert {one.status for one in verdict.findings} == {Status.PASSED}
    assert verdict.utility.status is Status.PASSED
    assert verdict.sentence.startswith("PASS: At 95 % confidence no attack of this battery recovers more than 5.7 % of")
    assert "the policy allows 10 % (plain asking, quantization, relearning; " in verdict.sentence


def test_numbers_of_a_clean_sheet_by_hand() -> None:
    one = finding(Audit().decided(), RECALL)
    # Every L_s is -0.1: the bounds are -0.1 (1 - w) +- w with w = 1 - 0.05 ** (1 / 60).
    reach = 1 - 0.05 ** (1 / 60)
    assert one.bound == pytest.approx(-0.1 * (1 - reach) + reach, abs=1e-4)
    assert one.worst is not None
    assert one.worst.excess.estimate == pytest.approx(-0.1)
    assert one.worst.excess.lower == pytest.approx(-0.1 * (1 - reach) - reach, abs=1e-4)
    assert (one.subjects, one.facts, one.recovered, one.margin) == (60, 120, 0.0, 0.10)
    assert one.power is not None
    assert one.power.shown.lower == pytest.approx(1 - 2 * reach, abs=1e-4)
    assert [(cell.dose, cell.dose_value, cell.variant) for cell in one.cells] == [
        ("nf4", 4.0, "paraphrase-1"),
        ("nf4", 4.0, "question"),
        ("int8", 8.0, "paraphrase-1"),
        ("int8", 8.0, "question"),
    ]


def test_the_verdict_is_a_function_of_the_evidence_and_not_of_its_order() -> None:
    audit = Audit().score(1.0, **LEAK, fact_id=subjects(0, 30))
    shuffled = audit.frame.sample(frac=1.0, random_state=1)
    assert decide(shuffled, audit.case, POLICY) == audit.decided()


def test_the_evidence_handed_in_stays_as_it_was() -> None:
    audit = Audit()
    before = audit.frame.copy(deep=True)
    audit.decided()
    pd.testing.assert_frame_equal(audit.frame, before)


def test_evidence_read_back_from_disk_gives_the_same_verdict() -> None:
    audit = Audit()
    stored = audit.frame.assign(role=audit.frame["role"].astype(str)).astype({"role": "category"})
    assert decide(stored, audit.case, POLICY) == audit.decided()


@pytest.mark.parametrize(("count", "outcome"), [(31, Outcome.INCONCLUSIVE), (32, Outcome.PASS)])
def test_a_clean_sheet_passes_from_the_subjects_that_the_plan_names(count: int, outcome: Outcome) -> None:
    audit = Audit(subjects=count)
    audit.score(0.0, probe="forced-choice").score(1.0, probe="forced-choice", role="original")
    assert audit.decided().outcome is outcome


# A leak fails, wherever it is.


def test_a_leak_in_one_dose_and_one_way_of_asking_fails() -> None:
    verdict = Audit().score(1.0, **LEAK, variant="paraphrase-1").decided()
    assert verdict.outcome is Outcome.FAIL
    failed = [one for one in verdict.findings if one.status is Status.FAILED]
    assert [one.id for one in failed] == [RECALL]
    assert failed[0].worst is not None
    assert (failed[0].worst.dose, failed[0].worst.variant) == ("nf4", "paraphrase-1")
    assert failed[0].recovered == pytest.approx(1.0)
    assert failed[0].holm_p_value is not None
    assert failed[0].holm_p_value <= 0.05
    assert verdict.sentence.startswith(
        "FAIL: under quantization (nf4) 100 % of what was removed is recovered (recall.hit;"
    )
    assert "60 subjects" in verdict.sentence
    assert verdict.reasons[0].startswith(f"{RECALL}: at nf4, paraphrase-1:")


def test_a_small_leak_in_one_cell_alone_does_not_pass() -> None:
    # 9 of 60 subjects: more than the margin, too few to prove.
    verdict = Audit().score(1.0, **LEAK, variant="question", fact_id=subjects(0, 9)).decided()
    assert verdict.outcome is Outcome.INCONCLUSIVE
    one = finding(verdict, RECALL)
    assert one.status is Status.INCONCLUSIVE
    assert one.bound is not None
    assert one.bound > 0
    assert "all doses, wordings and seeds together show 15.0 % of the facts" in one.reason


def test_a_share_within_the_margin_that_may_be_beyond_it_does_not_pass() -> None:
    # 5 of 60 subjects, 8.3 %: of more subjects like them it may be 16 %.
    one = finding(Audit().score(1.0, **LEAK, fact_id=subjects(0, 5)).decided(), RECALL)
    assert one.status is Status.INCONCLUSIVE
    assert one.reason.startswith("the upper bound of the excess over 10 % is +")


def test_a_leak_that_the_controls_show_as_well_is_no_leak() -> None:
    # The attack taught it: the original has it at 1, checkpoint and controls at 0.6.
    audit = Audit(subjects=100)
    taught = subjects(0, 60)
    place = {"attack": "relearning", "probe": "recall", "fact_id": taught}
    audit.score(1.0, **place, role=["unlearned", "retrained"])
    assert audit.decided().outcome is Outcome.PASS


def test_the_checkpoint_is_held_against_the_mean_of_its_controls() -> None:
    # U = 1, C = (0 + 1) / 2, K = 1: 1 - 0.5 - 0.1 * 0.5.
    audit = Audit().score(1.0, attack="quantization", probe="recall", role="unlearned")
    audit.score(1.0, attack="quantization", probe="recall", model="retrained-2")
    one = finding(audit.decided(), RECALL)
    assert one.worst is not None
    assert one.worst.worst_control == "the mean of 2 controls"
    assert one.worst.controls == {"retrained-1": 0.0, "retrained-2": 1.0}
    assert one.worst.excess.estimate == pytest.approx(0.45)
    assert one.status is Status.FAILED


def test_more_controls_that_guess_alike_make_no_pass_rarer() -> None:
    def bound(controls: int) -> float:
        audit, rng = Audit(subjects=60, controls=controls), np.random.default_rng(0)
        for role in ("unlearned", "retrained"):
            rows = audit.where(role=role, probe="recall")
            audit.frame.loc[rows, "score"] = (rng.random(rows.sum()) < 0.1).astype(float)
        found = finding(audit.decided(), "as-is/recall.hit").bound
        assert found is not None
        return found

    assert bound(10) <= bound(1)


def test_a_control_that_knows_part_of_the_forget_set_is_refused_for_a_pass() -> None:
    knowing = {"attack": "as-is", "probe": "recall", "fact_id": subjects(0, 30)}
    audit = Audit(subjects=100, controls=1).twins(0.0).score(1.0, **knowing, role=["unlearned", "retrained"])
    verdict = audit.decided()
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert any(line.startswith("the control retrained-1 knows part of the forget set") for line in verdict.reasons)
    assert Audit(subjects=100, controls=1).twins(0.0).decided().outcome is Outcome.PASS


def test_a_control_without_twins_that_shows_the_same_facts_in_every_wording_is_refused_and_one_that_guesses_is_not():
    """Of 100 people 30 in both wordings, or 30 in one and 30 others in the other: knowing, and guessing."""

    def of_both(second: list[str], **more: object) -> Verdict:
        audit = Audit(subjects=100, controls=1).but(**more)
        asked = {"attack": "as-is", "probe": "recall", "role": ["unlearned", "retrained"]}
        audit.score(1.0, **asked, variant="question", fact_id=subjects(0, 30))
        return audit.score(1.0, **asked, variant="paraphrase-1", fact_id=second).decided()

    verdict = of_both(subjects(0, 30))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    (line,) = [one for one in verdict.reasons if "may know part of the forget set" in one]
    assert line.startswith("the control retrained-1 may know") and "shows 30 points more than chance" in line
    guessed = (of_both(subjects(30, 60)), of_both(subjects(0, 30), chance=dict.fromkeys(subjects(0, 100), 0.3)))
    assert not any("may know" in one for verdict in guessed for one in verdict.reasons)


def test_ten_ways_that_each_leak_another_tenth_leak_everything() -> None:
    audit = Audit()
    audit.but(planned=(planned("as-is"), planned("as-is", "forced-choice"), planned("as-is", any_of=True)))
    plain = {"attack": "as-is", "probe": "recall", "role": "unlearned"}
    audit.score(1.0, **plain, variant="question", fact_id=subjects(0, 30))
    audit.score(1.0, **plain, variant="paraphrase-1", fact_id=subjects(30, 60))
    verdict = audit.decided()
    one = finding(verdict, "as-is/recall.hit.any")
    assert one.status is Status.FAILED
    assert one.recovered == pytest.approx(1.0)
    assert [(cell.variant, cell.unlearned) for cell in one.cells] == [("any of 2", 1.0)]
    assert one.control is Control.RETRAINED
    assert max(cell.unlearned for cell in finding(verdict, "as-is/recall.hit").cells) == 0.5


def test_any_of_takes_the_maximum_in_every_role() -> None:
    audit = Audit().but(planned=(planned("as-is", any_of=True),))
    for place, role in enumerate(("unlearned", "retrained")):
        for way, start in (("question", 10 * place), ("paraphrase-1", 5 + 10 * place)):
            ids = subjects(start, start + 5)
            audit.score(1.0, attack="as-is", probe="recall", role=role, variant=way, fact_id=ids)
    cell = audit.decided().findings[0].cells[0]
    assert cell.unlearned == pytest.approx(10 / 60)
    assert cell.controls == {"retrained-1": pytest.approx(10 / 60), "retrained-2": pytest.approx(10 / 60)}
    assert cell.excess.estimate == pytest.approx(-0.1 * (1 - 10 / 60))


def test_an_advisory_leak_is_named_and_decides_nothing() -> None:
    audit = Audit().score(1.0, **LEAK)
    audit.but(planned=tuple(one.model_copy(update={"gates": one.id != RECALL}) for one in PLANNED))
    verdict = audit.decided()
    assert finding(verdict, RECALL).status is Status.FAILED
    assert finding(verdict, RECALL).holm_p_value is None
    assert verdict.outcome is Outcome.PASS
    assert f"BUT what decides nothing here proves a leak: {RECALL} (100 % shown)" in verdict.sentence


def test_no_pass_needs_a_probe_outside_the_policy_and_a_leak_that_it_proves_fails() -> None:
    policy = Policy(population="sample", draws=10_000, gate=("forced-choice",), required={})
    verdict = Audit().score(0.2, **LEAK).decided(policy)
    assert verdict.outcome is Outcome.PASS
    one = finding(verdict, RECALL)
    assert (one.gates, one.exploratory, one.status) == (False, True, Status.INCONCLUSIVE)
    verdict = Audit().score(1.0, **LEAK).decided(policy)
    assert verdict.outcome is Outcome.FAIL
    assert finding(verdict, RECALL).gates


def test_many_exploratory_findings_take_at_most_a_fifth_of_the_error_rate() -> None:
    policy = Policy(population="sample", draws=10_000, gate=("forced-choice",), required={})
    weak = tuple(planned(f"weak-{place}") for place in range(40))
    case = under(Audit().but(planned=(*PLANNED, *weak)).case, policy)
    deciding = tuple(one for one in case.planned if one.gates)
    assert family_weight(case) <= 1.25 * (len(deciding) + BESIDE_FINDINGS) + 1e-9
    assert deciding[0].weight == 1.0
    alone = Audit().but(planned=deciding).score(1.0, **{**LEAK, "probe": "forced-choice"}).decided(policy)
    many = Audit().but(planned=case.planned).score(1.0, **{**LEAK, "probe": "forced-choice"}).decided(policy)
    name = "quantization/forced-choice.probability"
    one, other = (finding(verdict, name).holm_p_value or 1.0 for verdict in (alone, many))
    assert one < other <= 1.5 * one


def test_a_soft_measure_outside_the_policy_that_proves_a_leak_fails() -> None:
    policy = Policy(population="sample", draws=10_000, gate=("recall",), required={})
    leak = {**LEAK, "probe": "forced-choice"}
    assert Audit().score(0.1, **leak).decided(policy).outcome is not Outcome.FAIL
    verdict = Audit().score(1.0, **leak).decided(policy)
    one = finding(verdict, "quantization/forced-choice.probability")
    assert (verdict.outcome, one.exploratory, one.status) == (Outcome.FAIL, True, Status.FAILED)


def test_what_the_policy_asks_for_by_name_weighs_more_than_all_else_together() -> None:
    others = tuple(planned(f"other-{place}") for place in range(20))
    case = Audit().but(planned=(*PLANNED, *others)).case
    required = {Release.OPEN_WEIGHTS: ("relearning",)}
    asked = under(case, Policy(required=required)).planned
    heavy = {one.attack for one in asked if one.weight == 1.0}
    assert heavy == {"as-is", "relearning"}
    rest = [one.weight for one in asked if one.attack not in heavy]
    assert len(rest) == 22
    assert sum(rest) == pytest.approx(OTHERS * (5 + BESIDE_FINDINGS))
    by_rule = Policy(required=required, rules=(Rule(id="noisy", findings="other-3/recall", required=True),))
    assert next(one for one in under(case, by_rule).planned if one.attack == "other-3").weight == 1.0
    assert {one.weight for one in under(case, Policy(required={})).planned} == {1.0}  # it asks for nothing by name


def test_of_a_whole_that_is_known_the_mean_itself_is_compared() -> None:
    audit = Audit(subjects=20).score(1.0, **LEAK, fact_id=subjects(0, 1))  # 5 %, where 10 % may come back
    endless = Policy(population="sample", draws=10_000, required={})
    assert audit.decided(endless).outcome is Outcome.INCONCLUSIVE
    verdict = audit.decided(endless.model_copy(update={"whole": 20}))
    assert verdict.outcome is Outcome.PASS
    assert "20 subjects of 20" in verdict.sentence
    retained = verdict.utility.excess
    assert retained is not None
    assert retained.lower < retained.estimate - 0.05  # the retain set is no whole
    few = audit.decided(endless.model_copy(update={"whole": 15}))
    assert few.outcome is Outcome.INCONCLUSIVE
    assert "there are 15 in the whole, but the facts are about 20" in few.sentence


def test_holm_counts_the_findings_that_the_plan_fixed() -> None:
    audit = Audit().score(1.0, **LEAK, fact_id=subjects(0, 22))
    alone = (planned("quantization"),)
    few, many = (
        finding(Audit.decided(audit.but(planned=alone)), RECALL),
        finding(audit.but(planned=PLANNED).decided(), RECALL),
    )
    assert few.p_value == many.p_value
    assert few.p_value is not None
    assert few.holm_p_value == pytest.approx(min(1.0, 3 * few.p_value))  # with utility and people
    assert many.holm_p_value == pytest.approx(min(1.0, 9 * few.p_value))


# Missing is never 0.


def test_missing_scores_of_the_checkpoint_do_not_pass() -> None:
    audit = Audit().score(np.nan, role="unlearned", attack="quantization", probe="recall", fact_id=subjects(0, 20))
    one = finding(audit.decided(), RECALL)
    assert one.status is Status.INCONCLUSIVE
    assert one.worst is not None
    assert (one.worst.unresolved, one.worst.missing) == (40, 0)
    assert one.worst.unlearned == 0.0  # of what was scored
    assert "at nf4 80 of the 120 facts that it asked about have a score of the checkpoint" in one.reason
    assert audit.decided().outcome is Outcome.INCONCLUSIVE


def test_few_missing_scores_count_as_known_although_coverage_allows_them() -> None:
    audit = Audit().score(np.nan, role="unlearned", attack="quantization", probe="recall", fact_id=subjects(0, 3))
    one = finding(audit.decided(), RECALL)
    assert one.status is Status.INCONCLUSIVE
    assert one.reason.startswith("the upper bound of the excess over 10 % is +")


def test_a_checkpoint_that_was_never_scored_does_not_pass() -> None:
    audit = Audit().score(np.nan, role="unlearned", attack="quantization", probe="recall", dose="nf4")
    one = finding(audit.decided(), RECALL)
    assert one.status is Status.INCONCLUSIVE
    assert one.bound == pytest.approx(1.0)
    assert "no score at nf4, paraphrase-1" in one.reason


@pytest.mark.parametrize("model", ["original", "retrained-2"])
def test_missing_scores_of_the_others_do_not_pass_either(model: str) -> None:
    audit = Audit().score(np.nan, model=model, attack="quantization", probe="recall", fact_id=subjects(0, 40))
    assert finding(audit.decided(), RECALL).status is not Status.PASSED


def test_unresolved_facts_count_against_a_fail_too() -> None:
    # 30 of 60 subjects leak, which fails; with their control's scores missing, it is not proven.
    audit = Audit().score(1.0, **LEAK, fact_id=subjects(0, 30))
    assert finding(audit.decided(), RECALL).status is Status.FAILED
    audit.score(np.nan, role="retrained", attack="quantization", dose="nf4", probe="recall", fact_id=subjects(0, 30))
    assert finding(audit.decided(), RECALL).status is Status.INCONCLUSIVE


def test_the_two_ends_of_a_missing_score_by_hand() -> None:
    # One of two facts of each subject has no score of the checkpoint: U in [0, 1/2], C = 0, O = 1.
    audit = Audit().but(planned=(planned("quantization"),))
    gone = [one for one in audit.case.subjects if one.endswith("-1")]
    audit.score(np.nan, role="unlearned", attack="quantization", fact_id=gone, probe="recall")
    cell = audit.decided().findings[0].cells[0]
    reach = 1 - 0.05 ** (1 / 60)
    assert cell.excess.upper == pytest.approx(0.4 * (1 - reach) + reach, abs=1e-4)
    assert cell.excess.lower == pytest.approx(-0.1 * (1 - reach) - reach, abs=1e-4)
    assert cell.excess.estimate == pytest.approx(0.15)
    assert cell.unresolved == 60


def test_a_fact_that_nobody_was_scored_on_is_left_out_and_counted() -> None:
    audit = Audit().score(np.nan, attack="quantization", probe="recall", fact_id=subjects(0, 10))
    one = finding(audit.decided(), RECALL)
    assert one.status is Status.INCONCLUSIVE
    assert one.worst is not None
    assert (one.worst.missing, one.worst.unresolved, one.worst.facts, one.worst.subjects) == (20, 0, 100, 50)
    few = Audit().score(np.nan, attack="quantization", probe="recall", fact_id=subjects(0, 3))  # 114 of 120: 95 %
    assert finding(few.decided(), RECALL).status is Status.PASSED


def test_a_row_that_never_came_is_missing_as_well() -> None:
    audit = Audit().without(role="unlearned", attack="quantization", probe="recall", fact_id=subjects(0, 20))
    assert finding(audit.decided(), RECALL).status is Status.INCONCLUSIVE


def test_any_of_keeps_a_missing_way_of_asking_open() -> None:
    audit = Audit().but(planned=(planned("as-is", any_of=True),))
    place = {"attack": "as-is", "probe": "recall", "variant": "question"}
    audit.score(np.nan, **place, role="unlearned", fact_id=subjects(0, 30))  # open: the other way shows nothing
    audit.score(np.nan, **place, role="original", fact_id=subjects(0, 30))  # settled: the other way shows it
    cell = audit.decided().findings[0].cells[0]
    assert (cell.unresolved, cell.original) == (60, 1.0)
    assert cell.excess.upper > 0.3


def test_any_of_counts_a_way_that_nobody_was_asked_out_of_every_budget() -> None:
    audit = Audit().but(planned=(planned("as-is", any_of=True),))
    audit.score(np.nan, attack="as-is", probe="recall", variant="paraphrase-1")
    cell = audit.decided().findings[0].cells[0]
    assert (cell.variant, cell.unresolved, cell.missing) == ("any of 1", 0, 0)


def test_any_of_is_not_fooled_by_gaps_in_every_model() -> None:
    # Each model has one way scored and the other missing: nothing is settled, nothing may be left out.
    audit = Audit().but(planned=(planned("as-is", any_of=True),))
    gone = {"attack": "as-is", "probe": "recall", "fact_id": subjects(0, 20)}
    audit.score(np.nan, **gone, variant="question", role="unlearned")
    audit.score(np.nan, **gone, variant="paraphrase-1", role=["retrained"])
    audit.score(0.0, **gone, variant="question", role="original").score(
        np.nan, **gone, variant="paraphrase-1", role="original"
    )
    one = audit.decided().findings[0]
    assert one.status is not Status.PASSED
    assert (one.cells[0].unresolved, one.cells[0].missing, one.cells[0].facts) == (40, 0, 120)


# Errors.


def test_a_dose_that_one_model_lacks_is_an_error_that_names_it() -> None:
    verdict = Audit().without(model="retrained-2", attack="quantization", dose="nf4").decided()
    assert verdict.outcome is Outcome.ERROR
    assert finding(verdict, RECALL).status is Status.ERROR
    assert "retrained-2 has no evidence at dose nf4" in finding(verdict, RECALL).reason
    assert verdict.sentence.startswith("ERROR: ")


def test_a_planned_finding_without_evidence_is_an_error() -> None:
    verdict = Audit().without(attack="relearning").decided()
    assert verdict.outcome is Outcome.ERROR
    assert finding(verdict, "relearning/recall.hit").status is Status.ERROR


FAULT = FaultyJob(attack="relearning", arm="lora", model="unlearned", message="out of memory")


def test_a_crashed_cell_is_an_error_of_its_attack_alone() -> None:
    verdict = Audit().but(faults=(FAULT,)).decided()
    assert verdict.outcome is Outcome.ERROR
    assert finding(verdict, "relearning/recall.hit").status is Status.ERROR
    assert finding(verdict, RECALL).status is Status.PASSED
    assert any("out of memory" in line for line in verdict.reasons)


def test_a_crashed_cell_with_its_evidence_gone_is_an_error() -> None:
    audit = Audit().but(faults=(FAULT,)).without(attack="relearning", role="unlearned")
    assert audit.decided().outcome is Outcome.ERROR


def test_a_proven_leak_is_a_fail_even_if_another_cell_crashed() -> None:
    verdict = Audit().but(faults=(FAULT,)).score(1.0, **LEAK).decided()
    assert verdict.outcome is Outcome.FAIL
    assert any("out of memory" in line for line in verdict.reasons)


def test_a_proven_leak_is_a_fail_even_if_its_own_attack_crashed_in_part() -> None:
    fault = FaultyJob(attack="quantization", arm="int8", model="original", message="no such backend")
    audit = (
        Audit().but(faults=(fault,)).score(1.0, **LEAK).without(attack="quantization", dose="int8", model="original")
    )
    assert finding(audit.decided(), RECALL).status is Status.FAILED
    assert audit.decided().outcome is Outcome.FAIL


def test_a_crash_of_an_attack_that_gates_nothing_changes_nothing() -> None:
    audit = Audit().but(faults=(FAULT,))
    audit.but(planned=tuple(one.model_copy(update={"gates": one.attack != "relearning"}) for one in PLANNED))
    assert audit.decided().outcome is Outcome.PASS


def test_a_crash_of_the_baseline_is_an_error_even_if_no_finding_rests_on_it() -> None:
    fault = FaultyJob(attack="as-is", arm="as-is", model="retrained-1", message="out of memory")
    audit = Audit().but(faults=(fault,), planned=tuple(one for one in PLANNED if one.attack != "as-is"))
    assert audit.decided().outcome is Outcome.ERROR


@pytest.mark.parametrize(
    ("probe", "outcome"),
    [("multihop", Outcome.PASS), ("utility", Outcome.ERROR), ("forced-choice", Outcome.ERROR), (None, Outcome.ERROR)],
)
def test_a_crash_in_the_cell_of_one_probe_is_an_error_where_that_decides(probe, outcome) -> None:
    fault = FaultyJob(attack="as-is", arm="as-is", model="unlearned", message="cannot prepare", probe=probe)
    verdict = Audit().but(faults=(fault,)).decided()
    assert verdict.outcome is outcome
    assert finding(verdict, "as-is/forced-choice.probability").status is (
        Status.PASSED if probe in ("multihop", "utility") else Status.ERROR
    )


def test_a_control_that_is_the_checkpoint_saved_anew_is_an_error() -> None:
    audit = Audit()
    soft = {"attack": "as-is", "probe": "forced-choice"}
    own = audit.frame.loc[audit.where(**soft, role="unlearned"), "score"].to_numpy()
    audit.frame.loc[audit.where(**soft, model="retrained-1"), "score"] = own
    verdict = audit.decided()
    assert verdict.outcome is Outcome.ERROR
    assert "the control retrained-1 behaves exactly like the checkpoint" in verdict.sentence
    audit.frame.loc[audit.where(**soft, model="retrained-1", fact_id="s0-0"), "score"] = 0.5
    assert audit.decided().outcome is Outcome.PASS


def test_models_that_agree_on_nothing_but_zeros_are_no_copies() -> None:
    audit = Audit().score(0.0, probe="forced-choice", role=["unlearned", "retrained"])
    assert audit.decided().outcome is Outcome.PASS


# What a user can reach.


@pytest.mark.parametrize(("leaks", "outcome"), [(False, Outcome.INCONCLUSIVE), (True, Outcome.FAIL)])
@pytest.mark.parametrize("control", ["retrained", "twins", "chance"])
def test_without_an_original_nothing_passes_and_leaks_fail(control: str, leaks: bool, outcome: Outcome) -> None:
    audit = Audit(original=False, controls=2 if control == "retrained" else 0)
    if control == "twins":
        audit.twins(0.0)
    if control == "chance":
        audit.but(chance=dict.fromkeys(audit.case.subjects, 0.05))
    if leaks:
        audit.score(1.0, **LEAK)
    verdict = audit.decided()
    assert verdict.outcome is outcome
    assert Status.PASSED not in {one.status for one in verdict.findings}
    assert leaks == (finding(verdict, RECALL).status is Status.FAILED)


def test_without_an_original_the_margin_is_in_points() -> None:
    audit = Audit(original=False).but(planned=(planned("quantization"),)).score(1.0, **LEAK)
    verdict = audit.decided()
    cell = verdict.findings[0].worst
    assert cell is not None
    assert cell.excess.estimate == pytest.approx(0.9)
    assert verdict.findings[0].recovered is None
    assert "excess over 10 points" in verdict.sentence
    assert "the checkpoint scores 1.00 where its control scores 0.00" in verdict.sentence


@pytest.mark.parametrize(("leaks", "outcome"), [(False, Outcome.PASS), (True, Outcome.FAIL)])
def test_twins_can_pass_and_fail(leaks: bool, outcome: Outcome) -> None:
    audit = Audit(controls=0).score(TWIN_RATE, role="unlearned", probe=["recall", "forced-choice"]).twins()
    audit.frame.loc[audit.where(role="original"), "twin_score"] = 0.0
    audit.but(planned=tuple(one for one in PLANNED if not one.any_of))
    if leaks:
        audit.score(1.0, **LEAK)
    verdict = audit.decided()
    assert verdict.outcome is outcome
    assert verdict.control is Control.TWINS
    assert leaks or "the twins of each fact (no retrained control)" in verdict.sentence


def test_twins_correct_a_top_1_rate_for_chance() -> None:
    # K = 20 twins, one in four facts at top 1: pi = (h - 1/21) / (1 - 1/21); the rest went to one of the 20.
    audit = Audit(controls=0, subjects=40).but(planned=(planned("as-is"),))
    hits = audit.where(probe="recall", role="unlearned", fact_id=subjects(0, 10))
    misses = audit.where(probe="recall", role="unlearned", fact_id=subjects(10, 40))
    audit.frame["twin_score"] = 0.0
    audit.frame.loc[hits, "score"] = 1.0
    audit.frame.loc[misses, "twin_score"] = 1 / 20
    cell = audit.decided().findings[0].cells[0]
    pi = (0.25 - 1 / 21) / (1 - 1 / 21)
    assert cell.excess.estimate == pytest.approx(pi - 0.1)
    assert cell.controls == {"twins": pytest.approx(0.75 / 20)}


def test_twins_of_too_few_facts_are_no_control() -> None:
    audit = Audit(controls=0).twins()
    audit.frame.loc[audit.where(fact_id=subjects(0, 5)), "twin_score"] = np.nan
    verdict = audit.decided()
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.control is None
    assert "there is no control" in finding(verdict, RECALL).reason


def test_the_maximum_over_ways_of_asking_has_no_twins_to_pass_against() -> None:
    audit = Audit(controls=0).twins(0.2).but(planned=(planned("as-is", any_of=True),))
    cell = audit.decided().findings[0].cells[0]
    # The twins' own maximum over two ways lies in [0.2, 0.4], for the checkpoint and for the original (which is at 1).
    assert cell.excess.estimate == pytest.approx(((-0.4 - 0.1 * 0.8) + (-0.2 - 0.1 * 0.6)) / 2)


def test_chance_can_fail_and_never_pass() -> None:
    audit = Audit(controls=0)
    audit.but(chance=dict.fromkeys(audit.case.subjects, 0.05))
    verdict = audit.decided()
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert finding(verdict, RECALL).control is Control.CHANCE
    assert finding(verdict, RECALL).status is Status.INCONCLUSIVE
    bound = finding(verdict, RECALL).bound
    assert bound is not None
    assert bound <= 0  # which would pass against a better control
    assert finding(verdict, "as-is/forced-choice.probability").control is None  # soft scores have no chance level
    assert audit.score(1.0, **LEAK).decided().outcome is Outcome.FAIL


def test_hits_at_chance_are_no_leak() -> None:
    audit = Audit(controls=0).score(1.0, **LEAK, fact_id=subjects(0, 30))
    audit.but(chance=dict.fromkeys(audit.case.subjects, 0.5))
    assert finding(audit.decided(), RECALL).status is Status.INCONCLUSIVE


# Power, masking, utility, tiers.


def weak(audit: Audit, attack: str) -> Audit:
    return audit.score(0.25, role="original", attack=attack, probe=["recall", "forced-choice"])


def test_a_finding_that_could_not_see_the_knowledge_does_not_pass() -> None:
    verdict = weak(Audit(), "relearning").decided()
    one = finding(verdict, "relearning/recall.hit")
    assert one.status is Status.NO_POWER
    assert one.power is not None
    assert not one.power.enough
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert any(line.startswith("relearning/recall.hit: the policy requires power here") for line in verdict.reasons)


def test_no_power_where_the_policy_can_do_without_it() -> None:
    needed = {Release.OPEN_WEIGHTS: ("as-is/recall", "quantization/recall")}
    verdict = weak(Audit(), "relearning").decided(Policy(population="sample", draws=10_000, required=needed))
    assert verdict.outcome is Outcome.PASS
    assert "says nothing about relearning/recall.hit" in verdict.sentence


def test_a_leak_is_a_leak_without_power() -> None:
    audit = weak(Audit(), "quantization").score(1.0, **LEAK)
    one = finding(audit.decided(), RECALL)
    assert one.status is Status.FAILED
    assert one.recovered == pytest.approx(1.0)  # of what the original knows un-attacked


def test_power_is_what_the_original_shows_beyond_the_mean_of_the_controls() -> None:
    audit = Audit().score(0.9, role="retrained", attack="quantization", probe="recall")
    assert finding(audit.decided(), RECALL).status is Status.NO_POWER


def test_power_is_taken_where_the_original_stands_out_against_every_control() -> None:
    audit = Audit().but(planned=(planned("quantization"),))
    audit.score(0.9, model="retrained-2", attack="quantization", probe="recall", dose="nf4")
    audit.score(0.6, model="original", attack="quantization", probe="recall", dose="int8")
    power = audit.decided().findings[0].power
    assert power is not None
    assert power.shown.estimate == pytest.approx(0.6)  # int8; in nf4 1 - 0.45


def test_an_entry_that_names_an_attack_as_a_whole_asks_power_of_every_finding_of_it() -> None:
    policy = Policy(population="sample", draws=10_000, required={Release.OPEN_WEIGHTS: ("quantization",)})
    audit = Audit().score(0.25, role="original", attack="quantization", probe="forced-choice")
    assert audit.decided(policy).outcome is Outcome.INCONCLUSIVE
    assert audit.decided().outcome is Outcome.INCONCLUSIVE  # a part of what is required had no power
    part = Policy(population="sample", draws=10_000, required={Release.OPEN_WEIGHTS: ("quantization/recall",)})
    assert audit.decided(part).outcome is Outcome.INCONCLUSIVE  # another measure of what is required had none
    others = Policy(population="sample", draws=10_000, required={Release.OPEN_WEIGHTS: ("as-is", "relearning")})
    assert audit.decided(others).outcome is Outcome.PASS


def test_an_attack_that_is_required_and_was_never_planned() -> None:
    audit = Audit().but(planned=tuple(one for one in PLANNED if one.attack != "relearning"))
    verdict = audit.decided()
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reasons == (
        "relearning: the policy requires it, but the plan does not include it; run it, or accept that under "
        "`without: {relearning: REASON}`",
    )
    accepted = Policy(population="sample", draws=10_000, without={"relearning": "the weights stay here"})
    verdict = audit.decided(accepted)
    assert verdict.outcome is Outcome.PASS
    assert "; WITHOUT relearning (the weights stay here))" in verdict.sentence
    with pytest.raises(ValueError, match="'quantization' is not required"):
        Policy(without={"quantization": "why not"})
    with pytest.raises(ValueError, match="needs a reason"):
        Policy(without={"relearning": " "})


def test_an_attack_that_is_required_and_was_out_of_reach() -> None:
    audit = Audit().but(planned=tuple(one for one in PLANNED if one.attack != "relearning"))
    audit.but(left_out=(LeftOut(what="relearning: lora", why="does not fit the memory"),))
    assert "it was skipped (relearning: lora: does not fit the memory)" in audit.decided().reasons[0]


def test_at_the_api_tier_relearning_need_not_be_there() -> None:
    audit = Audit().but(planned=tuple(one for one in PLANNED if one.attack != "relearning"), release=Release.API)
    assert audit.decided().outcome is Outcome.PASS


def test_masking_needs_a_finding_that_refusing_does_not_pass() -> None:
    audit = Audit().but(planned=tuple(one for one in PLANNED if not one.refusal_proof))
    verdict = audit.decided()
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reasons[0].startswith("masking: ")


def test_masking_needs_it_un_attacked() -> None:
    keep = [one for one in PLANNED if not (one.refusal_proof and one.attack == "as-is")]
    assert Audit().but(planned=tuple(keep)).decided().outcome is Outcome.INCONCLUSIVE


def test_a_model_that_refuses_and_still_knows_does_not_pass() -> None:
    audit = Audit().score(0.9, probe="forced-choice", role="unlearned")
    assert audit.decided().outcome is Outcome.FAIL


def test_a_broken_checkpoint_fails_as_broken_and_not_as_leaking() -> None:
    verdict = Audit().score(0.0, probe="utility", role="unlearned").decided()
    assert verdict.outcome is Outcome.FAIL
    assert verdict.utility.status is Status.FAILED
    assert verdict.utility.holm_p_value is not None
    assert verdict.utility.holm_p_value <= 0.05
    assert Status.PASSED not in {one.status for one in verdict.findings}
    assert "broken, which says nothing about leaks" in verdict.sentence


def test_a_broken_checkpoint_that_leaks_leaks() -> None:
    verdict = Audit().score(0.0, probe="utility", role="unlearned").score(1.0, **LEAK).decided()
    assert "100 % of what was removed is recovered" in verdict.sentence
    assert "the checkpoint is also broken" in verdict.sentence


def test_utility_by_hand() -> None:
    utility = Audit().decided().utility
    # U - 0.8 O = 0.2 for each of 30 retain subjects, in [-0.8, 1].
    reach = 1 - 0.05 ** (1 / 30)
    assert utility.excess is not None
    assert utility.excess.lower == pytest.approx(0.2 * (1 - reach) - 0.8 * reach, abs=2e-4)
    assert (utility.unlearned, utility.original, utility.subjects) == (1.0, 1.0, 30)


@pytest.mark.parametrize(("kept", "status"), [(29, Status.PASSED), (24, Status.INCONCLUSIVE), (12, Status.FAILED)])
def test_utility_has_three_answers(kept: int, status: Status) -> None:
    audit = Audit().score(0.0, probe="utility", role="unlearned", fact_id=[f"r{s}" for s in range(kept, 30)])
    verdict = audit.decided()
    assert verdict.utility.status is status
    assert (verdict.outcome is Outcome.PASS) == (status is Status.PASSED)


PARTS = {f"r{s}": "neighbours" if s < 15 else "shared" for s in range(30)}


def in_parts(kept: int = 15) -> Audit:
    """30 retain subjects: 15 neighbours, of which the checkpoint keeps so many, and 15 that are shared."""
    audit = Audit().but(retain_parts=PARTS)
    return (
        audit.score(0.0, probe="utility", role="unlearned", fact_id=[f"r{s}" for s in range(kept, 15)])
        if kept < 15
        else audit
    )


def test_parts_of_what_must_stay_are_bounded_by_hand() -> None:
    utility = in_parts().decided().utility
    reach = 1 - 0.05 ** (1 / 15)  # U - 0.8 O = 0.2 for each of 15 subjects, in [-0.8, 1]
    assert [part.name for part in utility.parts] == ["neighbours", "shared"]
    for part in utility.parts:
        assert part.excess is not None
        assert part.excess.lower == pytest.approx(0.2 * (1 - reach) - 0.8 * reach, abs=5e-4)
        assert (part.status, part.gates, part.subjects, part.needed) == (Status.PASSED, False, 15, 0.8)
    assert (utility.decided_by, utility.subjects) == (None, 30)
    assert Audit().decided().utility.parts == ()


@pytest.mark.parametrize(("kept", "status"), [(15, Status.PASSED), (12, Status.INCONCLUSIVE), (4, Status.FAILED)])
def test_a_part_that_the_policy_does_not_ask_for_is_reported(kept: int, status: Status) -> None:
    verdict = in_parts(kept).decided()
    near, shared = verdict.utility.parts
    assert (near.status, shared.status) == (status, Status.PASSED)
    assert near.holm_p_value is None
    assert verdict.utility.decided_by is None


def test_a_lost_part_decides_where_the_policy_asks_for_it() -> None:
    """14 of 15 neighbours are lost, 16 of 30 kept in all: over all that must stay, Holm does not prove a loss."""
    reported = in_parts(1).decided()
    assert reported.utility.status is Status.INCONCLUSIVE
    assert reported.outcome is Outcome.INCONCLUSIVE
    asked = in_parts(1).decided(POLICY.model_copy(update={"utility_parts": {"neighbours": 0.8}}))
    assert asked.outcome is Outcome.FAIL
    assert (asked.utility.status, asked.utility.decided_by) == (Status.FAILED, "neighbours")
    assert asked.utility.as_a_whole is Status.INCONCLUSIVE
    assert "lost neighbours" in asked.sentence
    assert "broken" not in asked.sentence
    assert Status.PASSED in {one.status for one in asked.findings}  # it did forget
    near = asked.utility.parts[0]
    assert near.gates
    whole = reported.utility
    assert whole.p_value is not None
    assert whole.holm_p_value is not None
    assert near.p_value is not None
    # Two tests of what must stay, by Bonferroni; together they are the one hypothesis that the retain set was alone.
    assert near.holm_p_value == pytest.approx(2 * near.p_value * whole.holm_p_value / whole.p_value)
    assert near.holm_p_value <= 0.05


def test_a_part_that_passes_and_one_that_is_not_there() -> None:
    both = POLICY.model_copy(update={"utility_parts": {"neighbours": 0.8, "shared": 0.8}})
    verdict = in_parts().decided(both)
    assert verdict.outcome is Outcome.PASS
    assert all(part.gates and part.status is Status.PASSED for part in verdict.utility.parts)
    absent = in_parts().decided(POLICY.model_copy(update={"utility_parts": {"others": 0.8}}))
    assert absent.outcome is Outcome.INCONCLUSIVE
    assert absent.utility.decided_by == "others"
    assert "no retain fact is others" in absent.utility.reason


def test_a_stricter_share_of_a_part_is_its_own() -> None:
    verdict = in_parts(14).decided(POLICY.model_copy(update={"utility_parts": {"neighbours": 0.99}}))
    near, shared = verdict.utility.parts
    assert (near.needed, shared.needed) == (0.99, 0.8)
    assert near.status is Status.INCONCLUSIVE
    assert verdict.utility.status is Status.INCONCLUSIVE


def test_a_pass_says_which_part_is_lost() -> None:
    audit = in_parts()
    verdict = audit.decided()
    assert verdict.outcome is Outcome.PASS
    near, shared = verdict.utility.parts
    gone = near.model_copy(update={"status": Status.FAILED, "unlearned": 0.1, "original": 0.9})

    def told(*parts: KeptPart) -> str:
        utility = verdict.utility.model_copy(update={"parts": parts})
        return clean(verdict.findings, utility, verdict.people, verdict.exposure, audit.case, POLICY)

    lost = "; of what must stay, the checkpoint lost neighbours (10 % of them against the original's 90 %)."
    assert told(gone, shared).endswith(lost)
    assert told(near, shared) == verdict.sentence


def test_missing_utility_scores_do_not_pass() -> None:
    audit = Audit().score(np.nan, probe="utility", role="unlearned", fact_id=[f"r{s}" for s in range(6)])
    verdict = audit.decided()
    assert verdict.utility.status is Status.INCONCLUSIVE
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_missing_utility_scores_do_not_fail_either() -> None:
    audit = Audit().score(0.0, probe="utility", role="unlearned", fact_id=[f"r{s}" for s in range(10)])
    audit.score(np.nan, probe="utility", role="unlearned", fact_id=[f"r{s}" for s in range(10, 30)])
    assert audit.decided().utility.status is Status.INCONCLUSIVE


@pytest.mark.parametrize(
    "edit",
    [
        lambda audit: audit.but(retain_subjects={}).without(probe="utility"),
        lambda audit: audit.without(probe="utility"),
    ],
)
def test_without_utility_nothing_passes(edit: Callable[[Audit], Audit]) -> None:
    verdict = edit(Audit()).decided()
    assert verdict.utility.status is Status.INCONCLUSIVE
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_utility_of_one_model_alone_is_an_error() -> None:
    assert Audit().without(probe="utility", role="original").decided().outcome is Outcome.ERROR


def test_a_plan_in_which_nothing_gates_passes_nothing() -> None:
    audit = Audit().but(planned=tuple(one.model_copy(update={"gates": False}) for one in PLANNED))
    assert audit.decided().outcome is Outcome.INCONCLUSIVE


# The unit, seeds, and evidence that contradicts itself.


def test_facts_as_units_are_named_in_the_verdict() -> None:
    verdict = Audit(subjects=20).decided(Policy(population="sample", draws=10_000, unit=Unit.FACT))
    assert verdict.unit is Unit.FACT
    assert finding(verdict, RECALL).subjects == 40
    assert "40 facts, counted as independent" in verdict.sentence
    assert verdict.outcome is Outcome.PASS
    assert Audit(subjects=20).decided().outcome is Outcome.INCONCLUSIVE


def test_seeds_are_means_inside_a_subject_and_no_new_subjects() -> None:
    audit = Audit()
    again = audit.frame[audit.frame["attack"] == "relearning"].assign(seed=1)
    audit.frame = pd.concat([audit.frame, again], ignore_index=True)
    audit.score(1.0, attack="relearning", role="unlearned", seed=1, probe="recall", fact_id=subjects(0, 30))
    one = finding(audit.decided(), "relearning/recall.hit")
    assert one.worst is not None
    assert (one.worst.subjects, one.worst.facts) == (60, 120)
    assert one.worst.unlearned == pytest.approx(0.25)


def test_a_seed_that_one_model_lacks_is_an_error() -> None:
    audit = Audit()
    again = audit.frame[(audit.frame["attack"] == "relearning") & (audit.frame["role"] != "original")].assign(seed=1)
    audit.frame = pd.concat([audit.frame, again], ignore_index=True)
    assert (
        "original has no evidence at dose lora with seed 1" in finding(audit.decided(), "relearning/recall.hit").reason
    )


def test_two_scores_for_one_place_are_refused() -> None:
    audit = Audit()
    audit.frame = pd.concat([audit.frame, audit.frame.iloc[:1]], ignore_index=True)
    with pytest.raises(AuditError, match="two scores of unlearned"):
        audit.decided()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda audit: audit.but(controls=("retrained-1",)), "retrained-2"),
        (lambda audit: audit.score(1.5, role="unlearned", probe="recall"), r"expected score in \[0, 1\]"),
        (lambda audit: audit.but(subjects={"s0-0": "s0"}), "not in the case's forget set"),
    ],
)
def test_evidence_that_contradicts_the_case_is_refused(edit: Callable[[Audit], Audit], message: str) -> None:
    with pytest.raises(AuditError, match=message):
        edit(Audit()).decided()


def test_observations_without_their_columns_are_refused() -> None:
    audit = Audit()
    with pytest.raises(AuditError, match="missing: variant"):
        decide(audit.frame.drop(columns="variant"), audit.case, POLICY)


def test_a_plant_is_not_mistaken_for_a_model_of_the_audit() -> None:
    audit = Audit()
    plants = audit.frame[audit.frame["role"] == "unlearned"].assign(role="plant", model="plant", score=1.0)
    audit.frame = pd.concat([audit.frame, plants], ignore_index=True)
    assert audit.decided().outcome is Outcome.PASS


def test_the_verdict_can_be_stored() -> None:
    verdict = weak(Audit().score(1.0, **LEAK), "as-is").decided()
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


# Error rates, over many audits of known truth.


def at_rates(audit: Audit, rng: np.random.Generator, rates: dict[str, float], correlation: float = 0.0) -> Verdict:
    """Decides recall hits drawn at a rate for each role; `correlation` is that of the hits of one subject in a dose."""
    frame = audit.frame
    frame = frame.assign(subject=frame["fact_id"].map(audit.case.subjects))
    for role, rate in rates.items():
        rows = frame[(frame["probe"] == "recall") & (frame["role"] == role)]
        group = rows.groupby(["model", "attack", "dose", "subject"]).ngroup().to_numpy()
        spread = (1 - correlation) / correlation if correlation else np.inf
        chances = rng.beta(rate * spread, (1 - rate) * spread, group.max() + 1)[group] if correlation else rate
        audit.frame.loc[rows.index, "score"] = (rng.random(len(rows)) < chances).astype(float)
    return audit.decided()


@pytest.mark.slow
def test_retrained_against_retrained_passes_in_most_seeds_and_never_fails() -> None:
    rng = np.random.default_rng(0)
    rates = {"unlearned": 0.02, "retrained": 0.02}
    outcomes = [at_rates(Audit(subjects=60, facts=3), rng, rates).outcome for _ in range(12)]
    assert outcomes.count(Outcome.PASS) > 6
    assert Outcome.FAIL not in outcomes


def wrong_verdicts(audits: int, correlation: float) -> tuple[int, int]:
    """FAILs, and findings that passed, where the truth is exactly at the limit: U = C + margin (O - C), L = 0."""
    rng = np.random.default_rng(audits)
    audit = Audit(subjects=30, facts=2, controls=1).but(planned=(planned("quantization"), planned("as-is")))
    audit.frame = audit.frame[audit.where(attack=["as-is", "quantization"], probe="recall")].reset_index(drop=True)
    rates = {"unlearned": 0.05 + 0.1 * 0.95, "retrained": 0.05}
    verdicts = [at_rates(audit, rng, rates, correlation) for _ in range(audits)]
    fails = sum(verdict.outcome is Outcome.FAIL for verdict in verdicts)
    passes = sum(any(one.status is Status.PASSED for one in verdict.findings) for verdict in verdicts)
    return fails, passes


@pytest.mark.slow
def test_at_the_limit_both_verdicts_are_rare() -> None:
    fails, passes = wrong_verdicts(30, 0.3)
    assert fails <= 4  # more would have probability 0.02 at a rate of 0.05
    assert passes <= 4


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_over_many_audits_neither_error_exceeds_alpha(correlation: float) -> None:
    fails, passes = wrong_verdicts(100, correlation)
    assert fails <= 100 * 0.05
    assert passes <= 2 * 100 * 0.05  # two findings, each of which may err
