"""What must hold beside a clean number: power, masking, utility, complete evidence, no errors."""

from __future__ import annotations

from mutant_list.mutant import Mutant, in_mutants, in_verdict

VERDICT = "unlearn_audit/verdict/decide.py"
OUTCOME = "unlearn_audit/verdict/outcome.py"
FINDINGS = "unlearn_audit/verdict/findings/weigh.py"
CELLS = "unlearn_audit/verdict/findings/places.py"
PLANTS = "unlearn_audit/verdict/findings/power.py"
UTILITY = "unlearn_audit/verdict/findings/utility.py"

GATES = (
    Mutant(
        name="empty-passes",
        wrong="a planned finding without any evidence passes",
        file=FINDINGS,
        old="return Weighed(planned=planned, terms=terms, errors=unseen)",
        new="return Weighed(planned=planned, terms=terms, errors=errors, control=Control.RETRAINED, "
        "bound=-terms.margin, power=PowerEstimate("
        "shown=Interval(estimate=1.0, lower=1.0, upper=1.0), needed=terms.power, enough=True))",
        tests=in_verdict("a_planned_finding_without_evidence_is_an_error"),
    ),
    Mutant(
        name="nothing-gates-passes",
        wrong="an audit in which nothing decides passes",
        file=OUTCOME,
        old='return [f"no finding decides at release tier {case.release} under this policy, so nothing can pass"]',
        new="return []",
        tests=in_verdict("a_plan_in_which_nothing_gates_passes_nothing"),
    ),
    Mutant(
        name="nothing-passed-passes",
        wrong="an audit passes although no finding did",
        file=OUTCOME,
        old='        return ["no deciding finding has passed"]',
        new="        return []",
        tests=in_mutants("an_audit_in_which_every_finding_is_blind_passes_nothing"),
    ),
    Mutant(
        name="no-masking-gate",
        wrong="a model that refuses everything passes by recall alone",
        file=OUTCOME,
        old="if any(finding.refusal_proof and finding.attack == BASELINE for finding in passed):",
        new="if passed:",
        tests=in_verdict("masking_needs_a_finding_that_refusing_does_not_pass"),
    ),
    Mutant(
        name="masking-under-attack-is-enough",
        wrong="the refusal-proof finding may be one under an attack",
        file=OUTCOME,
        old="if any(finding.refusal_proof and finding.attack == BASELINE for finding in passed):",
        new="if any(finding.refusal_proof for finding in passed):",
        tests=in_verdict("masking_needs_it_un_attacked"),
    ),
    Mutant(
        name="no-power-gate",
        wrong="a finding that could not see the knowledge passes",
        file=VERDICT,
        old="if not one.power.enough or one.sham_success",
        new="if one.sham_success",
        tests=in_verdict("a_finding_that_could_not_see_the_knowledge_does_not_pass"),
    ),
    Mutant(
        name="power-by-point-estimate",
        wrong="power is there if the estimate reaches what is needed, whatever its bound",
        file=PLANTS,
        old="return PowerEstimate(shown=shown, needed=terms.power, enough=shown.lower >= terms.power, doses=found)",
        new="return PowerEstimate(shown=shown, needed=terms.power, enough=shown.estimate >= terms.power, doses=found)",
        tests=in_mutants("power_is_a_lower_bound_and_no_estimate"),
    ),
    Mutant(
        name="no-must-have-power",
        wrong="what the policy wants power of may be powerless, left out or never planned",
        file=OUTCOME,
        old="not_met(findings, case, policy) + ",
        new="",
        tests=in_verdict("an_attack_that_is_required_and_was_never_planned"),
    ),
    Mutant(
        name="missing-dose",
        wrong="a dose that one model lacks is compared without it",
        file=CELLS,
        old="        lacking=_lacking(rows, keys),\n",
        new="        lacking=(),\n",
        tests=in_verdict("a_dose_that_one_model_lacks_is_an_error_that_names_it"),
    ),
    Mutant(
        name="gaps-pass",
        wrong="a cell in which the checkpoint was never scored is left out",
        file=FINDINGS,
        old="    measured = [cell for cell in scores.cells if cell.spans[UNLEARNED].shown is not None]\n",
        new="    measured = [cell for cell in scores.cells if cell.spans[UNLEARNED].shown is not None]\n"
        "    scores = replace(scores, cells=tuple(measured))\n",
        tests=in_verdict("a_checkpoint_that_was_never_scored_does_not_pass"),
    ),
    Mutant(
        name="blind-cell-bounds-nothing",
        wrong="the bound leaves out the cells in which the checkpoint was never scored",
        file=FINDINGS,
        old="bound=max(one.hi for one in excess) if blind else max(uppers),",
        new="bound=max(uppers),",
        tests=in_verdict("a_checkpoint_that_was_never_scored_does_not_pass"),
    ),
    Mutant(
        name="advisory-decides",
        wrong="a finding that the policy does not name decides the audit",
        file=VERDICT,
        old="    case = under(case, policy)\n",
        new="",
        tests=in_verdict("no_pass_needs_a_probe_outside_the_policy_and_a_leak_that_it_proves_fails"),
    ),
)


UTILITY_GATE = (
    Mutant(
        name="no-utility-gate",
        wrong="an audit passes although it is open whether the checkpoint still works",
        file=OUTCOME,
        old="open_ends = _lines(gating, Status.INCONCLUSIVE) + _utility_lines(utility, Status.INCONCLUSIVE)",
        new="open_ends = _lines(gating, Status.INCONCLUSIVE)",
        tests=in_verdict("without_utility_nothing_passes"),
    ),
    Mutant(
        name="broken-does-not-fail",
        wrong="a broken checkpoint is no failure",
        file=OUTCOME,
        old="failed = _lines(gating, Status.FAILED) + _utility_lines(utility, Status.FAILED)",
        new="failed = _lines(gating, Status.FAILED)",
        tests=in_verdict("a_broken_checkpoint_fails_as_broken_and_not_as_leaking"),
    ),
    Mutant(
        name="broken-passes-findings",
        wrong="the silence of a broken checkpoint passes its findings",
        file=VERDICT,
        old="    if broken and status is Status.PASSED:\n",
        new="    if broken and status is Status.ERROR:\n",
        tests=in_verdict("a_broken_checkpoint_fails_as_broken_and_not_as_leaking"),
    ),
    Mutant(
        name="utility-by-point-estimate",
        wrong="utility passes by its estimate, whatever its bound",
        file=UTILITY,
        old="if self.excess.lower >= -TOLERANCE:",
        new="if self.excess.estimate >= -TOLERANCE:",
        tests=in_verdict("utility_has_three_answers"),
    ),
    Mutant(
        name="lost-part-only-reported",
        wrong="a part of what must stay that the policy asks for decides nothing",
        file=UTILITY,
        old="worst = max([whole, *(part for part in parts if part.gates)], key",
        new="worst = max([whole], key",
        tests=in_verdict("a_lost_part_decides_where_the_policy_asks_for_it"),
    ),
    Mutant(
        name="parts-tested-for-free",
        wrong="each part of what must stay is tested at the whole alpha",
        file=UTILITY,
        old="return min(1.0, outer * len(self._asked) * p_value)",
        new="return min(1.0, outer * p_value)",
        tests=in_verdict("a_lost_part_decides_where_the_policy_asks_for_it"),
    ),
    Mutant(
        name="part-by-all-that-must-stay",
        wrong="a part is measured on the whole retain set",
        file=UTILITY,
        old="if case.retain_parts.get(fact) == name}",
        new="if name}",
        tests=in_verdict("parts_of_what_must_stay_are_bounded_by_hand"),
    ),
    Mutant(
        name="utility-error-ignored",
        wrong="utility that could not be measured is no error",
        file=OUTCOME,
        old="    if utility.status is Status.ERROR and utility.waiver is None:\n",
        new="    if utility.status is Status.ERROR and not gating:\n",
        tests=in_verdict("utility_of_one_model_alone_is_an_error"),
    ),
)


ERRORS = (
    Mutant(
        name="errors-swallowed",
        wrong="a finding with errors is decided by the evidence that is left",
        file=VERDICT,
        old="    if one.errors:\n        return Status.ERROR\n",
        new="",
        tests=in_verdict("a_crashed_cell_is_an_error_of_its_attack_alone"),
    ),
    Mutant(
        name="faults-swallowed-by-findings",
        wrong="a crashed cell leaves no trace in its findings",
        file=FINDINGS,
        old="errors = crashes([fault for fault in terms.case.model_faults if planned.hit_by(fault)])",
        new="errors: tuple[str, ...] = ()",
        tests=in_verdict("a_crashed_cell_is_an_error_of_its_attack_alone"),
    ),
    Mutant(
        name="faults-swallowed-by-the-audit",
        wrong="a crashed cell that no finding rests on is forgotten",
        file=OUTCOME,
        old="for fault in case.model_faults if fault.attack == BASELINE and fault.probe is None}\n",
        new="for fault in case.model_faults if fault in hit}\n",
        tests=in_verdict("a_crash_of_the_baseline_is_an_error_even_if_no_finding_rests_on_it"),
    ),
    Mutant(
        name="error-hides-a-leak",
        wrong="an audit in which something crashed cannot fail",
        file=OUTCOME,
        old="    if failed:\n        return Settled(outcome=Outcome.FAIL, reasons=reasons)\n",
        new="    if failed and not errors:\n        return Settled(outcome=Outcome.FAIL, reasons=reasons)\n",
        tests=in_verdict("a_proven_leak_is_a_fail_even_if_another_cell_crashed"),
    ),
)
