"""From numbers to an answer, and what is counted how."""

from __future__ import annotations

from mutant_list.mutant import Mutant, in_mutants, in_verdict

VERDICT = "unlearn_audit/verdict/decide.py"
BOUNDS = "unlearn_audit/verdict/findings/cell_bounds.py"
FINDINGS = "unlearn_audit/verdict/findings/weigh.py"
CELLS = "unlearn_audit/verdict/findings/places.py"
CONTRASTS = "unlearn_audit/verdict/findings/contrasts.py"
TERMS = "unlearn_audit/verdict/policy/terms.py"
TABLES = "unlearn_audit/verdict/findings/score_tables.py"

DECISIONS = (
    Mutant(
        name="never-fails",
        wrong="no p-value is small enough",
        file=VERDICT,
        old="    if p_value is not None and p_value <= one.terms.alpha_fail:\n        return Status.FAILED\n",
        new="",
        tests=in_verdict("a_leak_in_one_dose_and_one_way_of_asking_fails"),
    ),
    Mutant(
        name="always-fails",
        wrong="every p-value is small enough",
        file=VERDICT,
        old="if p_value is not None and p_value <= one.terms.alpha_fail:",
        new="if p_value is not None and p_value <= 1.0:",
        tests=in_verdict("a_clean_checkpoint_passes"),
    ),
    Mutant(
        name="fail-by-point-estimate",
        wrong="an excess above 0 is a leak, however few subjects show it",
        file=FINDINGS,
        old="        p_value=_p_value(",
        new="        p_value=0.0 if max(cell.excess.estimate for cell in cells) > 0 else _p_value(",
        tests=in_verdict("a_small_leak_in_one_cell_alone_does_not_pass"),
    ),
    Mutant(
        name="pass-by-point-estimate",
        wrong="an estimate below the margin passes, however few subjects there are",
        file=BOUNDS,
        old="upper=float(upper))",
        new="upper=float(estimate))",
        tests=in_verdict("a_clean_sheet_passes_from_the_subjects_that_the_plan_names"),
    ),
    Mutant(
        name="no-rejection-passes",
        wrong="what is not proven to leak passes",
        file=VERDICT,
        old="return Status.PASSED if one.bound <= TOLERANCE else Status.INCONCLUSIVE",
        new="return Status.PASSED",
        tests=in_verdict("a_share_within_the_margin_that_may_be_beyond_it_does_not_pass"),
    ),
    Mutant(
        name="cells-pooled",
        wrong="a pass holds for the mean over doses and ways of asking, not for the worst",
        file=FINDINGS,
        old="if blind else max(uppers),",
        new="if blind else float(np.mean(uppers)),",
        tests=in_mutants("many_clean_doses_do_not_dilute_a_leaking_one"),
    ),
    Mutant(
        name="no-holm",
        wrong="many findings are many chances to fail by luck",
        file=VERDICT,
        old="    adjusted = holm(p_values, weights)\n",
        new="    adjusted = tuple(p_values)\n",
        tests=in_verdict("holm_counts_the_findings_that_the_plan_fixed"),
    ),
    Mutant(
        name="no-margin",
        wrong="the share that may come back is not granted",
        file=CONTRASTS,
        old="margin, with_original = terms.margin,",
        new="margin, with_original = 0.0,",
        tests=in_verdict("numbers_of_a_clean_sheet_by_hand"),
    ),
    Mutant(
        name="margin-in-points",
        wrong="the margin is not a share of what the original knows",
        file=CONTRASTS,
        old="        if with_original:\n"
        "            weights = _sum(_sum(weights, {KNOWN: 1.0}, -margin), pair.known, margin)\n"
        "        excess.append(_contrast(pair, weights, sham=sham, offset=0.0 if with_original else -margin))\n",
        new="        excess.append(_contrast(pair, weights, sham=sham, offset=-margin))\n",
        tests=in_mutants("the_margin_is_a_share_of_what_the_original_knows"),
    ),
)


COUNTING = (
    Mutant(
        name="missing-is-zero",
        wrong="a missing score counts as not known, in every model",
        file=TABLES,
        old="high=np.nan_to_num(scored, nan=1.0))",
        new="high=np.nan_to_num(scored, nan=0.0))",
        tests=in_verdict("few_missing_scores_count_as_known_although_coverage_allows_them"),
    ),
    Mutant(
        name="missing-fails",
        wrong="a missing score counts as known by the checkpoint for FAIL, too",
        file=FINDINGS,
        old="values=np.stack([one.least(cell) for one in excess], axis=1))",
        new="values=np.stack([one.most(cell) for one in excess], axis=1))",
        tests=in_verdict("unresolved_facts_count_against_a_fail_too"),
    ),
    Mutant(
        name="facts-as-subjects",
        wrong="facts of one subject count as independent of each other",
        file=TERMS,
        old="if self.unit is Unit.FACT else self.case.units",
        new="if self.unit else self.case.units",
        tests=in_verdict("facts_as_units_are_named_in_the_verdict"),
    ),
    Mutant(
        name="mean-over-facts",
        wrong="the mean over facts stands for every subject, so that nothing varies and many facts weigh more",
        file=CELLS,
        old="        low=np.bincount(codes, scores.low[:, place]) / counts,\n"
        "        high=np.bincount(codes, scores.high[:, place]) / counts,\n",
        new="        low=np.full(len(counts), scores.low[:, place].mean()),\n"
        "        high=np.full(len(counts), scores.high[:, place].mean()),\n",
        tests=in_mutants("every_subject_weighs_the_same_however_many_facts_it_has"),
    ),
    Mutant(
        name="any-of-is-a-mean",
        wrong="ten prompts that each leak a tenth leak a tenth",
        file=TABLES,
        old="            np.fmax.at(out, code[alive], values[alive])\n",
        new="            np.add.at(out, code[alive], values[alive] / np.bincount(code[alive])[code[alive], None])\n",
        tests=in_verdict("ten_ways_that_each_leak_another_tenth_leak_everything"),
    ),
    Mutant(
        name="any-of-ignored",
        wrong="exposure over all ways of asking is decided way by way",
        file=CELLS,
        old="    table = single.at_maximum() if planned.any_of else single\n",
        new="    table = single\n",
        tests=in_verdict("ten_ways_that_each_leak_another_tenth_leak_everything"),
    ),
)
