"""Lists that are counted, arms that are required, leaks that nobody named."""

from __future__ import annotations

from mutant_list.mutant import Mutant, in_verdict

LISTED = "unlearn_audit/verdict/findings/listed.py"
FINDINGS = "unlearn_audit/verdict/findings/weigh.py"
BOUNDS = "unlearn_audit/verdict/findings/cell_bounds.py"
EXPOSURE = "unlearn_audit/verdict/findings/exposure.py"
COUNTS = "unlearn_audit/statistics/counts.py"
REQUIRED = "unlearn_audit/verdict/policy/required.py"
PLANNED = "unlearn_audit/verdict/policy/planned.py"
POWER = "unlearn_audit/verdict/findings/power.py"


def in_lists(*names: str) -> tuple[str, ...]:
    """Tests of lists."""
    return tuple(f"tests/verdict/test_listed.py::test_{name}" for name in names)


LISTS = (
    Mutant(
        name="guesses-subtracted",
        wrong="a count passes that is above the margin, because a control shows as much",
        file=LISTED,
        old="(self.at_most - margin * self.known) / self.facts",
        new="(self.at_most - 1.2 * margin * self.known) / self.facts",
        tests=in_lists("a_count_passes_up_to_the_margin_and_no_guess_is_subtracted"),
    ),
    Mutant(
        name="margin-of-all-facts",
        wrong="the margin is a share of the list, also of what the original never knew",
        file=LISTED,
        old="known=min(float(known[rows].sum()) for rows in several),",
        new="known=float(max(len(rows) for rows in several)),",
        tests=in_lists("the_margin_is_a_share_of_what_the_original_knows"),
    ),
    Mutant(
        name="missing-is-not-shown",
        wrong="a fact without a score has not come back",
        file=LISTED,
        old="at_most=max(float(table.own.high[rows, own].sum()) for rows in several),",
        new="at_most=max(float(table.own.low[rows, own].sum()) for rows in several),",
        tests=in_lists("a_fact_without_a_score_counts_as_shown"),
    ),
    Mutant(
        name="mean-of-runs",
        wrong="a run that brings back too much hides in the mean of several",
        file=LISTED,
        old="at_most=max(float(table.own.high[rows, own].sum()) for rows in several),",
        new="at_most=sum(float(table.own.high[rows, own].sum()) for rows in several) / len(several),",
        tests=in_lists("each_run_is_counted_and_never_their_mean"),
    ),
    Mutant(
        name="count-alone",
        wrong="guesses that hide the count are never held against the controls",
        file=BOUNDS,
        old="min(float(upper), counted)",
        new="counted",
        tests=in_lists("guesses_that_are_too_many_to_count_are_held_against_the_controls"),
    ),
    Mutant(
        name="guesses-are-coins-in-a-list",
        wrong="a person whom the checkpoint guesses whole is a leak of the list",
        file=COUNTS,
        old="alike = max(together(one, facts) for one in hits)",
        new="alike = 0.0",
        tests=in_lists("guesses_that_go_together_inside_a_person_are_no_leak"),
    ),
    Mutant(
        name="scattered-by-the-mean",
        wrong="a leak that each wording shows another part of passes every second time",
        file=FINDINGS,
        old="proof is None or proof <= terms.alpha_pass",
        new="proof is None or proof <= 1.0",
        tests=in_lists("a_leak_scattered_over_wordings_is_held_against_what_the_controls_guess"),
    ),
    Mutant(
        name="scattered-less-one",
        wrong="a scattered leak is tested as if it were within the margin",
        file=COUNTS,
        old="    if guessed_beyond < 0:  # it shows fewer than it would know\n",
        new="    if guessed_beyond < 2:\n",
        tests=("tests/statistics/test_counts.py::test_how_often_so_few_would_be_guessed_by_hand",),
    ),
    Mutant(
        name="battery-alone",
        wrong="attacks that each bring back others pass one by one",
        file=EXPOSURE,
        old="if exposure is None or not exposure.decides or",
        new="if exposure is None or exposure.decides or",
        tests=in_lists("all_attacks_together_decide_where_guessing_leaves_room"),
    ),
    Mutant(
        name="no-room-for-guesses",
        wrong="the union of the battery blocks models whose controls guess as much",
        file=EXPOSURE,
        old="guessed <= ROOM * allowed",
        new="guessed <= 9 * allowed",
        tests=in_lists("all_attacks_together_decide_where_guessing_leaves_room"),
    ),
    Mutant(
        name="power-of-a-sample",
        wrong="the original of a list about one person is never seen to know it",
        file=POWER,
        old="counted(one, strongest) if terms.listed else bounded(one, strongest, terms)",
        new="bounded(one, strongest, terms)",
        tests=in_lists("a_list_about_few_people_can_pass_and_a_sample_of_them_cannot"),
    ),
)

ARMS = (
    Mutant(
        name="arm-absent",
        wrong="NF4 that the policy requires was not measured, and nobody says so",
        file=REQUIRED,
        old="if open_ones and measured and not any(one.covers(dose) for dose in measured):",
        new="if False:",
        tests=("tests/verdict/test_coverage.py::test_a_planned_dose_without_evidence_rules_out_a_pass",),
    ),
    Mutant(
        name="without-a-word",
        wrong="the sentence does not say what the policy did without",
        file=REQUIRED,
        old="for entry, reason in policy.without.items() if entry in entries]",
        new="for entry, reason in policy.without.items() if entry in ()]",
        tests=in_verdict("an_attack_that_is_required_and_was_never_planned"),
    ),
    Mutant(
        name="unnamed-leak",
        wrong="a leak that a probe proves which the policy does not name fails nothing",
        file=PLANNED,
        old='"exploratory": explores(part, policy)',
        new='"exploratory": False',
        tests=in_verdict("no_pass_needs_a_probe_outside_the_policy_and_a_leak_that_it_proves_fails"),
    ),
    Mutant(
        name="weak-attacks-dilute",
        wrong="forty weak attacks take the error rate from the strong ones",
        file=PLANNED,
        old="share = min(1.0, OTHERS *",
        new="share = min(1.0, 1e9 *",
        tests=in_verdict("many_exploratory_findings_take_at_most_a_fifth_of_the_error_rate"),
    ),
    Mutant(
        name="unasked-attacks-dilute",
        wrong="an attack that the policy does not require weighs as much as one that it does",
        file=PLANNED,
        old="not entries or _asked_for(one, entries, policy)",
        new="True",
        tests=in_verdict("what_the_policy_asks_for_by_name_weighs_more_than_all_else_together"),
    ),
    Mutant(
        name="whole-without-end",
        wrong="the size of the whole makes no bound closer",
        file="unlearn_audit/statistics/finite.py",
        old="return whole is not None and size >= WORTH * whole",
        new="return False",
        tests=in_verdict("of_a_whole_that_is_known_the_mean_itself_is_compared"),
    ),
    Mutant(
        name="whole-of-others",
        wrong="the size of the whole forget set bounds the retain set as well",
        file="unlearn_audit/verdict/policy/terms.py",
        old="            draws=policy.draws,\n",
        new="            draws=policy.draws,\n            whole=policy.whole,\n",
        tests=in_verdict("of_a_whole_that_is_known_the_mean_itself_is_compared"),
    ),
    Mutant(
        name="soft-leak-unsaid",
        wrong="a leak that a soft measure proves which the policy does not name fails nothing",
        file=PLANNED,
        old="        and not finding.unserved\n        and rule_of",
        new="        and not finding.unserved and finding.kind == 'hit'\n        and rule_of",
        tests=in_verdict("a_soft_measure_outside_the_policy_that_proves_a_leak_fails"),
    ),
)
