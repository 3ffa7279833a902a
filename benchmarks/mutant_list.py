"""The mutants: each a way in which a verdict could be wrong, as one exact replacement, and the tests that must see it.

A text must occur exactly once in its file, so that the list cannot rot in silence; `tests/unit/test_mutants_script.py`
says so in seconds. Whoever changes a mutated line moves its mutant along; a rule that is new gets a mutant of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

VERDICT, FINDINGS, CELLS = "unlearn_audit/verdict.py", "unlearn_audit/findings.py", "unlearn_audit/cells.py"
CONTRASTS, PLANTS, TABLES = "unlearn_audit/contrasts.py", "unlearn_audit/plants.py", "unlearn_audit/score_tables.py"
UTILITY, STATISTICS, POWER = "unlearn_audit/utility.py", "unlearn_audit/statistics.py", "unlearn_audit/power.py"
PLAN = "unlearn_audit/plan.py"


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One wrong version.

    Attributes:
        name: short, for the command line and the table.
        wrong: what it does that a verdict must not.
        file: the source, from the root of the repository.
        old: the text to replace, which occurs there once.
        new: what stands in its place.
        tests: pytest's ids of the tests of which one at least must fail.
        with_models: they need the fixtures of `tests/conftest.py`.
    """

    name: str
    wrong: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    with_models: bool = False


def _in_verdict(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/unit/test_verdict.py::test_{name}" for name in names)


def _in_mutants(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/unit/test_verdict_mutants.py::test_{name}" for name in names)


def _in_statistics(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/numerics/test_statistics.py::test_{name}" for name in names)


_CONTROLS = (
    Mutant(
        name="no-control",
        wrong="the control counts as knowing nothing, so that what any model shows is a leak",
        file=CONTRASTS,
        old="weights = {UNLEARNED: 1.0, pair.of_unlearned: -1.0}",
        new="weights = {UNLEARNED: 1.0, pair.of_unlearned: 0.0}",
        tests=_in_verdict("a_leak_that_the_controls_show_as_well_is_no_leak"),
    ),
    Mutant(
        name="best-control-alone",
        wrong="a pass holds against the control that suits it best, not against every one",
        file=FINDINGS,
        old="worst, against = max(intervals, key=lambda pair: pair[1].upper)",
        new="worst, against = min(intervals, key=lambda pair: pair[1].upper)",
        tests=_in_verdict("a_control_that_knows_a_little_less_is_taken_singly"),
    ),
    Mutant(
        name="controls-pooled",
        wrong="a pass holds against the mean of the controls",
        file=FINDINGS,
        old="upper=against.upper),",
        new="upper=sum(one.upper for _, one in intervals) / len(intervals)),",
        tests=_in_mutants("two_controls_are_not_averaged"),
    ),
    Mutant(
        name="controls-best-dose",
        wrong="each dose of the checkpoint is held against the dose at which the control shows most",
        file=CELLS,
        old="    cells = _cells(table, case, unit)\n",
        new="    cells = _cells(table, case, unit)\n"
        "    best = {\n"
        "        key: max((cell.spans[key] for cell in cells), key=lambda span: float(span.low.mean()))\n"
        "        for key in (cells[0].spans if cells else ())\n"
        "        if key.startswith(_CONTROL)\n"
        "    }\n"
        "    swap = __import__('dataclasses').replace\n"
        "    cells = tuple(swap(cell, spans={**cell.spans, **best}) for cell in cells)\n",
        tests=_in_mutants("a_dose_is_held_against_the_same_dose_of_the_control"),
    ),
    Mutant(
        name="copied-control-by-digest",
        wrong="the plan takes the checkpoint's own weights for a control",
        file=PLAN,
        old="    _refuse_equal_controls(models)\n",
        new="",
        tests=("tests/unit/test_cli.py::test_bad_input_is_one_message_and_exit_2[control is the checkpoint-plan]",),
        with_models=True,
    ),
    Mutant(
        name="copied-control-by-behaviour",
        wrong="a control that is the checkpoint saved anew hides every leak",
        file=VERDICT,
        old="    copies = _copied_controls(frame, case)\n",
        new="    copies = ()\n",
        tests=_in_verdict("a_control_that_is_the_checkpoint_saved_anew_is_an_error"),
    ),
    Mutant(
        name="chance-passes",
        wrong="a checkpoint passes with the commonest answer as its only control",
        file=VERDICT,
        old=" or one.control is Control.CHANCE",
        new="",
        tests=_in_verdict("chance_can_fail_and_never_pass"),
    ),
    Mutant(
        name="few-twins-are-enough",
        wrong="twins of some facts stand in as control for all",
        file=CONTRASTS,
        old="(evidence.shares[suffix] >= STAND_INS_NEEDED for suffix in (TWINS, PLACEBO))",
        new="(evidence.shares[suffix] > 0 for suffix in (TWINS, PLACEBO))",
        tests=_in_verdict("twins_of_too_few_facts_are_no_control"),
    ),
)

_GATES = (
    Mutant(
        name="empty-passes",
        wrong="a planned finding without any evidence passes",
        file=FINDINGS,
        old='errors=errors or ("it was planned, and the evidence holds nothing of it",))',
        new="errors=errors, control=Control.RETRAINED, bound=-policy.margin, power=PowerEstimate("
        "shown=Interval(estimate=1.0, lower=1.0, upper=1.0), needed=policy.power, enough=True))",
        tests=_in_verdict("a_planned_finding_without_evidence_is_an_error"),
    ),
    Mutant(
        name="nothing-gates-passes",
        wrong="an audit in which nothing decides passes",
        file=VERDICT,
        old='return [f"no finding gates at release tier {case.release} under this policy: nothing can pass"]',
        new="return []",
        tests=_in_verdict("a_plan_in_which_nothing_gates_passes_nothing"),
    ),
    Mutant(
        name="nothing-passed-passes",
        wrong="an audit passes although no finding did",
        file=VERDICT,
        old='        return ["no finding that gates has passed"]',
        new="        return []",
        tests=_in_mutants("an_audit_in_which_every_finding_is_blind_passes_nothing"),
    ),
    Mutant(
        name="no-masking-gate",
        wrong="a model that refuses everything passes by recall alone",
        file=VERDICT,
        old="if any(finding.refusal_proof and finding.attack == BASELINE for finding in passed):",
        new="if passed:",
        tests=_in_verdict("masking_needs_a_finding_that_refusing_does_not_pass"),
    ),
    Mutant(
        name="masking-under-attack-is-enough",
        wrong="the refusal-proof finding may be one under an attack",
        file=VERDICT,
        old="if any(finding.refusal_proof and finding.attack == BASELINE for finding in passed):",
        new="if any(finding.refusal_proof for finding in passed):",
        tests=_in_verdict("masking_needs_it_un_attacked"),
    ),
    Mutant(
        name="no-power-gate",
        wrong="a finding that could not see the knowledge passes",
        file=VERDICT,
        old="if not one.power.enough or one.sham_success > SHAM_LIMIT:",
        new="if one.sham_success > SHAM_LIMIT:",
        tests=_in_verdict("a_finding_that_could_not_see_the_knowledge_does_not_pass"),
    ),
    Mutant(
        name="power-by-point-estimate",
        wrong="power is there if the estimate reaches what is needed, whatever its bound",
        file=PLANTS,
        old="return PowerEstimate(shown=shown, needed=policy.power, enough=shown.lower >= policy.power)",
        new="return PowerEstimate(shown=shown, needed=policy.power, enough=shown.estimate >= policy.power)",
        tests=_in_mutants("power_is_a_lower_bound_and_no_estimate"),
    ),
    Mutant(
        name="power-against-the-kindest-control",
        wrong="power counts against the control that knows least",
        file=PLANTS,
        old="return strongest, min((bounded(",
        new="return strongest, max((bounded(",
        tests=_in_verdict("power_against_the_control_that_leaves_least"),
    ),
    Mutant(
        name="no-must-have-power",
        wrong="what the policy wants power of may be powerless, left out or never planned",
        file=VERDICT,
        old="    open_ends += _missing_power(findings, case, policy) + _nothing_shown(gating, case)\n",
        new="    open_ends += _nothing_shown(gating, case)\n",
        tests=_in_verdict("an_attack_that_must_have_power_and_was_never_planned"),
    ),
    Mutant(
        name="missing-dose",
        wrong="a dose that one model lacks is compared without it",
        file=CELLS,
        old="        lacking=_lacking(rows, keys),\n",
        new="        lacking=(),\n",
        tests=_in_verdict("a_dose_that_one_model_lacks_is_an_error_that_names_it"),
    ),
    Mutant(
        name="gaps-pass",
        wrong="a cell in which the checkpoint was never scored is left out",
        file=FINDINGS,
        old="    measured = [cell for cell in evidence.cells if cell.spans[UNLEARNED].shown is not None]\n",
        new="    measured = [cell for cell in evidence.cells if cell.spans[UNLEARNED].shown is not None]\n"
        "    evidence = replace(evidence, cells=tuple(measured))\n",
        tests=_in_verdict("a_checkpoint_that_was_never_scored_does_not_pass"),
    ),
    Mutant(
        name="blind-cell-bounds-nothing",
        wrong="the bound leaves out the cells in which the checkpoint was never scored",
        file=FINDINGS,
        old="bound=max(one.hi for one in excess) if blind else max(uppers),",
        new="bound=max(uppers),",
        tests=_in_verdict("a_checkpoint_that_was_never_scored_does_not_pass"),
    ),
    Mutant(
        name="advisory-decides",
        wrong="a finding that the policy does not name decides the audit",
        file=VERDICT,
        old="    case = case.under(policy)\n",
        new="",
        tests=_in_verdict("a_probe_outside_the_policy_gates_nothing"),
    ),
)

_UTILITY = (
    Mutant(
        name="no-utility-gate",
        wrong="an audit passes although it is open whether the checkpoint still works",
        file=VERDICT,
        old="open_ends = _lines(gating, Status.INCONCLUSIVE) + _utility_lines(utility, Status.INCONCLUSIVE)",
        new="open_ends = _lines(gating, Status.INCONCLUSIVE)",
        tests=_in_verdict("without_utility_nothing_passes"),
    ),
    Mutant(
        name="broken-does-not-fail",
        wrong="a broken checkpoint is no failure",
        file=VERDICT,
        old="failed = _lines(gating, Status.FAILED) + _utility_lines(utility, Status.FAILED)",
        new="failed = _lines(gating, Status.FAILED)",
        tests=_in_verdict("a_broken_checkpoint_fails_as_broken_and_not_as_leaking"),
    ),
    Mutant(
        name="broken-passes-findings",
        wrong="the silence of a broken checkpoint passes its findings",
        file=VERDICT,
        old="    if broken and status is Status.PASSED:\n",
        new="    if broken and status is Status.ERROR:\n",
        tests=_in_verdict("a_broken_checkpoint_fails_as_broken_and_not_as_leaking"),
    ),
    Mutant(
        name="utility-by-point-estimate",
        wrong="utility passes by its estimate, whatever its bound",
        file=UTILITY,
        old="if self.excess.lower >= -TOLERANCE:",
        new="if self.excess.estimate >= -TOLERANCE:",
        tests=_in_verdict("utility_has_three_answers"),
    ),
    Mutant(
        name="utility-error-ignored",
        wrong="utility that could not be measured is no error",
        file=VERDICT,
        old="errors = _lines(gating, Status.ERROR) + _utility_lines(utility, Status.ERROR)",
        new="errors = _lines(gating, Status.ERROR)",
        tests=_in_verdict("utility_of_one_model_alone_is_an_error"),
    ),
)

_ERRORS = (
    Mutant(
        name="errors-swallowed",
        wrong="a finding with errors is judged by the evidence that is left",
        file=VERDICT,
        old="    if one.errors:\n        return Status.ERROR\n",
        new="",
        tests=_in_verdict("a_crashed_cell_is_an_error_of_its_attack_alone"),
    ),
    Mutant(
        name="faults-swallowed-by-findings",
        wrong="a crashed cell leaves no trace in its findings",
        file=FINDINGS,
        old="errors = tuple(crash(fault) for fault in case.model_faults if fault.attack == planned.attack)",
        new="errors: tuple[str, ...] = ()",
        tests=_in_verdict("a_crashed_cell_is_an_error_of_its_attack_alone"),
    ),
    Mutant(
        name="faults-swallowed-by-the-audit",
        wrong="a crashed cell that no finding rests on is forgotten",
        file=VERDICT,
        old="        if fault.attack in attacks and not any(line in error for error in errors):\n",
        new="        if line in attacks:\n",
        tests=_in_verdict("a_crash_of_the_baseline_is_an_error_even_if_no_finding_rests_on_it"),
    ),
    Mutant(
        name="error-hides-a-leak",
        wrong="an audit in which something crashed cannot fail",
        file=VERDICT,
        old="    if failed:\n        return Outcome.FAIL, reasons\n",
        new="    if failed and not errors:\n        return Outcome.FAIL, reasons\n",
        tests=_in_verdict("a_proven_leak_is_a_fail_even_if_another_cell_crashed"),
    ),
)

_DECISIONS = (
    Mutant(
        name="never-fails",
        wrong="no p-value is small enough",
        file=VERDICT,
        old="    if p_value is not None and p_value <= policy.alpha:\n        return Status.FAILED\n",
        new="",
        tests=_in_verdict("a_leak_in_one_dose_and_one_way_of_asking_fails"),
    ),
    Mutant(
        name="always-fails",
        wrong="every p-value is small enough",
        file=VERDICT,
        old="if p_value is not None and p_value <= policy.alpha:",
        new="if p_value is not None and p_value <= 1.0:",
        tests=_in_verdict("a_clean_checkpoint_passes"),
    ),
    Mutant(
        name="fail-by-point-estimate",
        wrong="an excess above 0 is a leak, however few subjects show it",
        file=FINDINGS,
        old="p_value=picked_p_value(samples, lo=excess[0].lo, hi=excess[0].hi, draws=policy.draws, seed=SEED),",
        new="p_value=0.0 if max(cell.excess.estimate for cell in cells) > 0 else 1.0,",
        tests=_in_verdict("a_small_leak_in_one_cell_alone_does_not_pass"),
    ),
    Mutant(
        name="pass-by-point-estimate",
        wrong="an estimate below the margin passes, however few subjects there are",
        file=FINDINGS,
        old="upper=against.upper),",
        new="upper=against.estimate),",
        tests=_in_verdict("a_clean_sheet_passes_from_the_subjects_that_the_plan_names"),
    ),
    Mutant(
        name="no-rejection-passes",
        wrong="what is not proven to leak passes",
        file=VERDICT,
        old="return Status.PASSED if one.bound <= TOLERANCE else Status.INCONCLUSIVE",
        new="return Status.PASSED",
        tests=_in_verdict("a_small_leak_in_one_cell_alone_does_not_pass"),
    ),
    Mutant(
        name="cells-pooled",
        wrong="a pass holds for the mean over doses and ways of asking, not for the worst",
        file=FINDINGS,
        old="if blind else max(uppers),",
        new="if blind else float(np.mean(uppers)),",
        tests=_in_mutants("many_clean_doses_do_not_dilute_a_leaking_one"),
    ),
    Mutant(
        name="no-holm",
        wrong="many findings are many chances to fail by luck",
        file=VERDICT,
        old="    adjusted = holm(p_values)\n",
        new="    adjusted = tuple(p_values)\n",
        tests=_in_verdict("holm_counts_the_findings_that_the_plan_fixed"),
    ),
    Mutant(
        name="no-margin",
        wrong="the share that may come back is not granted",
        file=CONTRASTS,
        old="    margin = policy.margin\n",
        new="    margin = 0.0\n",
        tests=_in_verdict("numbers_of_a_clean_sheet_by_hand"),
    ),
    Mutant(
        name="margin-in-points",
        wrong="the margin is not a share of what the original knows",
        file=CONTRASTS,
        old="        if case.has_original:\n"
        "            weights |= {ORIGINAL: -margin}\n"
        "            weights[pair.of_original] = weights.get(pair.of_original, 0.0) + margin\n"
        "        excess.append(_contrast(pair, weights, sham=sham, offset=0.0 if case.has_original else -margin))\n",
        new="        excess.append(_contrast(pair, weights, sham=sham, offset=-margin))\n",
        tests=_in_mutants("the_margin_is_a_share_of_what_the_original_knows"),
    ),
)

_COUNTING = (
    Mutant(
        name="missing-is-zero",
        wrong="a missing score counts as not known, in every model",
        file=TABLES,
        old="high=np.nan_to_num(scored, nan=1.0))",
        new="high=np.nan_to_num(scored, nan=0.0))",
        tests=_in_verdict("missing_scores_of_the_checkpoint_do_not_pass"),
    ),
    Mutant(
        name="missing-fails",
        wrong="a missing score counts as known by the checkpoint for FAIL, too",
        file=FINDINGS,
        old="values=np.stack([one.least(cell) for one in excess], axis=1))",
        new="values=np.stack([one.most(cell) for one in excess], axis=1))",
        tests=_in_verdict("unresolved_facts_count_against_a_fail_too"),
    ),
    Mutant(
        name="facts-as-subjects",
        wrong="facts of one subject count as independent of each other",
        file=CELLS,
        old="name if unit is Unit.FACT else case.subjects.get(name",
        new="name if unit else case.subjects.get(name",
        tests=_in_verdict("facts_as_units_are_named_in_the_verdict"),
    ),
    Mutant(
        name="mean-over-facts",
        wrong="the mean over facts stands for every subject, so that nothing varies and many facts weigh more",
        file=CELLS,
        old="        low=np.bincount(codes, scores.low[:, place]) / counts,\n"
        "        high=np.bincount(codes, scores.high[:, place]) / counts,\n",
        new="        low=np.full(len(counts), scores.low[:, place].mean()),\n"
        "        high=np.full(len(counts), scores.high[:, place].mean()),\n",
        tests=_in_mutants("every_subject_weighs_the_same_however_many_facts_it_has"),
    ),
    Mutant(
        name="any-of-is-a-mean",
        wrong="ten prompts that each leak a tenth leak a tenth",
        file=TABLES,
        old="            np.fmax.at(out, code[alive], values[alive])\n",
        new="            np.add.at(out, code[alive], values[alive] / np.bincount(code[alive])[code[alive], None])\n",
        tests=_in_verdict("ten_ways_that_each_leak_another_tenth_leak_everything"),
    ),
    Mutant(
        name="any-of-ignored",
        wrong="exposure over all ways of asking is judged way by way",
        file=CELLS,
        old="    if planned.any_of:\n",
        new="    if planned.any_of and planned.gates is None:\n",
        tests=_in_verdict("ten_ways_that_each_leak_another_tenth_leak_everything"),
    ),
)

_BOUNDS = (
    Mutant(
        name="wald-interval",
        wrong="a normal interval around the mean, of width 0 at 0 of n",
        file=STATISTICS,
        old="    shape = values.shape[1:]\n",
        new="    shape = values.shape[1:]\n"
        "    reach = 1.6449 * columns.std(axis=0) / math.sqrt(len(columns))\n"
        "    lower, upper = columns.mean(axis=0) - reach, columns.mean(axis=0) + reach\n",
        tests=_in_statistics("zero_of_n_gives_the_exact_binomial_bound"),
    ),
    Mutant(
        name="upper-without-its-end",
        wrong="a bootstrap in place of the upper bound: what was not seen cannot be",
        file=STATISTICS,
        old="above = inner + high_ends[block, None] * last",
        new="above = inner / (1.0 - last)",
        tests=_in_statistics("zero_of_n_gives_the_exact_binomial_bound"),
    ),
    Mutant(
        name="lower-without-its-end",
        wrong="a bootstrap in place of the lower bound",
        file=STATISTICS,
        old="below = inner + low_ends[block, None] * last",
        new="below = inner / (1.0 - last)",
        tests=_in_statistics("n_of_n_gives_the_exact_binomial_bound"),
    ),
    Mutant(
        name="last-weight-at-its-mean",
        wrong="the weight of the unseen is its mean, where it may be larger",
        file=STATISTICS,
        old="last = -np.expm1(np.log1p(-np.arange(1, draws + 1) / (draws + 1)) / size)",
        new="last = np.full(draws, 1.0 / (size + 1))",
        tests=_in_statistics("zero_of_n_gives_the_exact_binomial_bound"),
    ),
    Mutant(
        name="weights-too-even",
        wrong="weights that vary less than Dirichlet's, and bounds too narrow for it",
        file=STATISTICS,
        old="exponentials = rng.standard_exponential((draws, size))",
        new="exponentials = 1.0 + rng.standard_exponential((draws, size))",
        tests=_in_statistics("agrees_with_the_definition_carried_out_slowly"),
    ),
    Mutant(
        name="alpha-two-sided",
        wrong="each bound takes half of alpha: wider than it says, and PASS out of reach",
        file=STATISTICS,
        old="rank = math.floor(alpha * (draws + 1) + TOLERANCE)",
        new="rank = math.floor(alpha / 2 * (draws + 1) + TOLERANCE)",
        tests=_in_statistics("zero_of_n_gives_the_exact_binomial_bound"),
    ),
    Mutant(
        name="alpha-doubled",
        wrong="each bound errs twice as often as it says",
        file=STATISTICS,
        old="rank = math.floor(alpha * (draws + 1) + TOLERANCE)",
        new="rank = math.floor(2 * alpha * (draws + 1) + TOLERANCE)",
        tests=_in_statistics("both_bounds_cover_the_mean"),
    ),
    Mutant(
        name="too-few-draws-prove",
        wrong="with fewer draws than 1 / alpha the largest draw is the bound",
        file=STATISTICS,
        old="rank = math.floor(alpha * (draws + 1) + TOLERANCE)",
        new="rank = max(1, math.floor(alpha * (draws + 1) + TOLERANCE))",
        tests=_in_statistics("too_few_draws_for_an_alpha_prove_nothing"),
    ),
    Mutant(
        name="order-of-subjects-matters",
        wrong="the order in which subjects come moves a bound",
        file=STATISTICS,
        old="return np.sort(np.clip(columns, low_ends, high_ends), axis=0), low_ends, high_ends",
        new="return np.clip(columns, low_ends, high_ends), low_ends, high_ends",
        tests=_in_statistics("the_order_of_subjects_cannot_move_a_bound"),
    ),
    Mutant(
        name="nan-in-a-mean",
        wrong="a NaN is taken for a value in the range",
        file=STATISTICS,
        old="    if not inside.all():\n",
        new="    inside |= np.isnan(columns)\n    if not inside.all():\n",
        tests=_in_statistics("what_is_no_value_in_the_range_is_refused"),
    ),
)

_P_VALUES = (
    Mutant(
        name="p-value-of-zero",
        wrong="a p-value of exactly 0, which no number of draws can show",
        file=STATISTICS,
        old="(counts + 1.0) / (draws + 1.0)",
        new="counts / draws",
        tests=_in_statistics("a_p_value_is_never_zero_and_a_tie_counts_for_the_hypothesis"),
    ),
    Mutant(
        name="ties-count-against",
        wrong="a mean exactly at the limit is evidence that it is above",
        file=STATISTICS,
        old="* last <= threshold + TOLERANCE, axis=1)",
        new="* last < threshold - TOLERANCE, axis=1)",
        tests=_in_mutants("values_that_can_be_no_lower_than_the_limit_are_no_evidence_against_it"),
    ),
    Mutant(
        name="picking-is-free",
        wrong="the worst of a few cells is tested as if it were the only one",
        file=STATISTICS,
        old="    return min(1.0, len(cells) * smallest)\n",
        new="    return min(1.0, smallest)\n",
        tests=_in_statistics("few_cells_pay_a_p_value_each"),
    ),
    Mutant(
        name="one-control-fails",
        wrong="an excess over one control of several is a leak",
        file=STATISTICS,
        old="smallest = min(smallest, float(p_values.max(axis=1).min()))",
        new="smallest = min(smallest, float(p_values.min()))",
        tests=_in_statistics("the_smallest_p_value_of_cells_with_subjects_of_their_own"),
    ),
    Mutant(
        name="one-control-fails-in-many-cells",
        wrong="an excess over one control of several is a leak, where a finding has many cells",
        file=STATISTICS,
        old="return float(gaffke_p_value(testing, lo, hi, 0.0, draws, seed).max())",
        new="return float(gaffke_p_value(testing, lo, hi, 0.0, draws, seed).min())",
        tests=_in_statistics("an_excess_over_one_control_of_two_is_no_leak"),
    ),
    Mutant(
        name="tested-where-picked",
        wrong="the worst of many cells is picked on the half on which it is tested",
        file=STATISTICS,
        old="    testing = cells[worst].values[~picking[worst]]\n",
        new="    testing = cells[worst].values[picking[worst]]\n",
        tests=_in_statistics("picking_the_worst_of_many_cells_does_not_inflate_the_error"),
    ),
    Mutant(
        name="better-half-counts-once",
        wrong="the better of two halves counts, and is not paid for",
        file=STATISTICS,
        old="    return min(1.0, 2.0 * min(one, other))\n",
        new="    return min(one, other)\n",
        tests=_in_statistics("two_cells_by_hand"),
    ),
    Mutant(
        name="halves-by-order",
        wrong="which half a subject is in depends on the order of the evidence",
        file=STATISTICS,
        old="    ranked = sorted(set(subjects), key=lambda name: (hashlib.sha256(name.encode()).digest(), name))\n",
        new="    ranked = list(dict.fromkeys(subjects))\n",
        tests=_in_statistics("halves_depend_on_names_and_on_nothing_else"),
    ),
    Mutant(
        name="false-discovery-rate",
        wrong="the share of wrong FAILs is held, and not the chance of one",
        file=STATISTICS,
        old='method="holm"',
        new='method="fdr_bh"',
        tests=_in_statistics("holm_by_hand"),
    ),
)

_REACH = (
    Mutant(
        name="plan-promises-too-much",
        wrong="the plan names a number of subjects that cannot pass",
        file=POWER,
        old="    return math.ceil(value - TOLERANCE)\n",
        new="    return math.floor(value)\n",
        tests=("tests/unit/test_power.py::test_from_that_number_on_the_bound_passes_and_below_it_does_not",),
    ),
    Mutant(
        name="plan-is-silent",
        wrong="the plan does not say that there are too few subjects to pass",
        file=POWER,
        old="    if subjects < needed:\n",
        new="    if subjects < 0:\n",
        tests=("tests/unit/test_power.py::test_what_stands_in_the_way_of_any_pass_is_said_before_the_run",),
    ),
    Mutant(
        name="missing-utility-passes",
        wrong="a missing answer on the retain set counts as right for PASS",
        file=UTILITY,
        old="    least, most = surplus.least(cell), surplus.most(cell)\n",
        new="    least, most = surplus.most(cell), surplus.least(cell)\n",
        tests=_in_verdict("missing_utility_scores_do_not_pass"),
    ),
)

MUTANTS = (
    *(*_CONTROLS, *_GATES, *_UTILITY, *_ERRORS, *_DECISIONS, *_COUNTING),
    *(*_BOUNDS, *_P_VALUES, *_REACH),
)
