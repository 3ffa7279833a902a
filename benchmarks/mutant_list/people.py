"""What a mean hides and what is not there: people, relations, cells together, holes, controls that know."""

from __future__ import annotations

from mutant_list.mutant import Mutant, in_mutants, in_verdict

PEOPLE = "unlearn_audit/verdict/findings/people.py"
COVERAGE = "unlearn_audit/verdict/findings/coverage.py"
CONTROLS = "unlearn_audit/verdict/findings/controls.py"
CONTRASTS = "unlearn_audit/verdict/findings/contrasts.py"
FINDINGS = "unlearn_audit/verdict/findings/weigh.py"
OUTCOME = "unlearn_audit/verdict/outcome.py"
SENTENCE = "unlearn_audit/verdict/clean_sentence.py"
BOUNDS = "unlearn_audit/verdict/findings/cell_bounds.py"


def in_people(*names: str) -> tuple[str, ...]:
    """Tests of people and relations."""
    return tuple(f"tests/verdict/test_people.py::test_{name}" for name in names)


def in_coverage(*names: str) -> tuple[str, ...]:
    """Tests of what was planned and listed and not scored."""
    return tuple(f"tests/verdict/test_coverage.py::test_{name}" for name in names)


WHO = (
    Mutant(
        name="person-in-the-mean",
        wrong="one person who is wholly back is nobody's business",
        file=PEOPLE,
        old="_named(persons)",
        new="_named(persons[:0])",
        tests=in_people("one_person_who_is_wholly_back_fails_the_audit_and_is_named"),
    ),
    Mutant(
        name="person-without-control",
        wrong="a person whom the control guesses as well is proven to be back",
        file=PEOPLE,
        old="max(pooled, guessed / facts) + margin",
        new="0.001 + margin",
        tests=in_people("a_person_by_hand"),
    ),
    Mutant(
        name="guesses-as-coins",
        wrong="guesses that go together inside a person prove her back",
        file=PEOPLE,
        old="alike = max((together(one, cell.facts) for one in cell.controls), default=0.0)",
        new="alike = 0.0",
        tests=in_people("guesses_that_go_together_are_no_proof"),
    ),
    Mutant(
        name="person-cell-by-cell",
        wrong="a person scattered over cells is never put together",
        file=PEOPLE,
        old="    if len(everything.items) < len(by_cell.items):\n",
        new="    if len(everything.items) < 0:\n",
        tests=in_people("a_person_scattered_over_cells_is_put_together"),
    ),
    Mutant(
        name="persons-uncorrected",
        wrong="the luckiest of all people and cells is proven to be back",
        file=PEOPLE,
        old="p_value=min(1.0, p_value * tests),",
        new="p_value=p_value,",
        tests=in_people("a_person_by_hand"),
    ),
    Mutant(
        name="a-fact-of-everybody",
        wrong="everybody's address may come back where it is one fact among twenty",
        file=PEOPLE,
        old="    share = min(1.0, share * len(by_person))\n",
        new="    share = 1.0\n",
        tests=in_people("a_fact_of_everybody_fails_by_the_share_of_people"),
    ),
    Mutant(
        name="relation-unseen",
        wrong="a relation that comes back whole is not named",
        file=PEOPLE,
        old="list(weighed_groups(list(_counted(tables, case.relations, case)), terms.margin))",
        new="list(weighed_groups([], terms.margin))",
        tests=in_people("a_relation_that_comes_back_whole_fails_and_is_named"),
    ),
    Mutant(
        name="cells-singly",
        wrong="ways that each bring back others pass one by one",
        file=FINDINGS,
        old="found.gaps + _scattered(found, scores, contrasts)",
        new="found.gaps",
        tests=in_people("seeds_that_each_bring_back_others_are_put_together"),
    ),
    Mutant(
        name="people-alone",
        wrong="one person with most of the facts hides in a mean of people",
        file=BOUNDS,
        old="upper = np.maximum(upper, _by_fact(cells, most, excess[0], terms))",
        new="upper = np.asarray(upper)",
        tests=in_people("one_person_with_most_of_the_facts_does_not_hide_in_a_mean_of_people"),
    ),
    Mutant(
        name="family-of-strangers",
        wrong="people who leak together count as independent",
        file="unlearn_audit/plan/case.py",
        old="self.clusters.get(subject, subject)",
        new="subject",
        tests=in_people("a_family_is_the_unit_where_facts_name_one_and_is_named"),
    ),
)

HOLES = (
    Mutant(
        name="unscored-facts-drop-out",
        wrong="facts that nobody could score drop out of what a pass says",
        file=COVERAGE,
        old="        if len(covered) < COVERAGE * len(asked):\n",
        new="        if not asked:\n",
        tests=in_coverage("facts_that_another_dose_asked_about_are_a_hole_where_they_are_absent"),
    ),
    Mutant(
        name="unscored-wording-drops-out",
        wrong="a way of asking that most facts have no score for drops out of what a pass says",
        file=COVERAGE,
        old="                if place == dose and met < COVERAGE * of\n",
        new="                if place == dose and not of\n",
        tests=in_coverage("a_wording_that_few_facts_were_scored_in_rules_out_a_pass"),
    ),
    Mutant(
        name="a-models-holes-drop-out",
        wrong="facts that one model alone has no score for drop out of what a pass says",
        file=COVERAGE,
        old="    key, facts = min(models.items(), key=lambda one: len(one[1]))\n",
        new="    key, facts = max(models.items(), key=lambda one: len(one[1]))\n",
        tests=in_coverage("each_model_is_held_to_coverage_for_itself"),
    ),
    Mutant(
        name="unlisted-facts-drop-out",
        wrong="facts that no probe asked about drop out of what a pass says",
        file=COVERAGE,
        old="        enough = len(covered) >= COVERAGE * len(listed)\n",
        new="        enough = bool(listed)\n",
        tests=in_coverage("facts_that_nobody_asked_about_rule_out_a_pass"),
    ),
    Mutant(
        name="planned-dose-forgotten",
        wrong="a planned dose that gave nothing in any model is no gap",
        file=COVERAGE,
        old="    named = case.doses_of(planned.attack) if planned.at_every_dose else ()\n",
        new="    named: tuple[str, ...] = ()\n",
        tests=in_coverage("a_planned_dose_without_evidence_rules_out_a_pass"),
    ),
    Mutant(
        name="powerless-is-no-obstacle",
        wrong="a required attack without power on one of its measures has been withstood",
        file=OUTCOME,
        old=" + powerless(gating, case, policy)",
        new="",
        tests=in_verdict("an_entry_that_names_an_attack_as_a_whole_asks_power_of_every_finding_of_it"),
    ),
    Mutant(
        name="contaminated-control",
        wrong="a control that knows the forget set excuses a checkpoint that knows as much",
        file=CONTROLS,
        old="means.mean() <= policy.margin",
        new="means.mean() <= 1.0",
        tests=in_verdict("a_control_that_knows_part_of_the_forget_set_is_refused_for_a_pass"),
    ),
    Mutant(
        name="control-that-nothing-tells-from-knowing",
        wrong="without twins a control that shows the same facts in every wording is taken to guess them",
        file=CONTROLS,
        old="elif not told_apart and float(lower) > policy.margin:",
        new="elif not told_apart and float(lower) > 1.0:",
        tests=in_verdict(
            "a_control_without_twins_that_shows_the_same_facts_in_every_wording_is_refused_and_one_that_guesses_is_not"
        ),
    ),
    Mutant(
        name="guesses-taken-for-knowing",
        wrong="without twins a control that guesses is refused for its mean over wordings",
        file=CONTROLS,
        old='columns = {"score": "min", ',
        new='columns = {"score": "max", ',
        tests=in_verdict(
            "a_control_without_twins_that_shows_the_same_facts_in_every_wording_is_refused_and_one_that_guesses_is_not"
        ),
    ),
    Mutant(
        name="one-control-for-all",
        wrong="the first control stands for all",
        file=CONTRASTS,
        old="weights = {key: 1.0 / len(beside) for key in beside.values()}",
        new="weights = {key: float(not place) for place, key in enumerate(beside.values())}",
        tests=in_verdict("the_checkpoint_is_held_against_the_mean_of_its_controls"),
    ),
    Mutant(
        name="margin-of-the-attacked",
        wrong="the margin is a share of what the original shows under the very dose",
        file=FINDINGS,
        old="scores_for(planned, places.rows, terms, places.unattacked)",
        new="scores_for(planned, places.rows, terms)",
        tests=in_mutants("a_dose_that_silences_every_model_is_no_leak"),
    ),
    Mutant(
        name="silent-advisory-leak",
        wrong="a proven leak that decides nothing is not mentioned",
        file=SENTENCE,
        old='    return f"; BUT what decides nothing here proves a leak: {some(leaks)}" if leaks else ""\n',
        new='    return ""\n',
        tests=in_verdict("an_advisory_leak_is_named_and_decides_nothing"),
    ),
    Mutant(
        name="readings-singly",
        wrong="each of twenty readings over models is judged at its own level",
        file="unlearn_audit/verdict/findings/comparisons.py",
        old="alone is Status.FAILED and p is not None and p > level else alone",
        new="alone is Status.FAILED and p is None else alone",
        tests=("tests/verdict/test_comparison_findings.py::test_of_twenty_honest_readings_one_outside_is_chance",),
    ),
    Mutant(
        name="waived-is-passed",
        wrong="what somebody accepted has passed",
        file=OUTCOME,
        old="outcome=Outcome.WAIVED if waived else Outcome.PASS",
        new="outcome=Outcome.PASS",
        tests=("tests/verdict/test_waivers.py::test_a_waiver_holds_through_its_last_day",),
    ),
    Mutant(
        name="floor-above-alpha",
        wrong="a total leak in one of many cells cannot be proven with so few draws",
        file="unlearn_audit/verdict/policy/terms.py",
        old="        return max(self.draws, ",
        new="        return min(self.draws, ",
        tests=in_mutants("a_total_leak_in_one_of_many_cells_and_findings_fails"),
    ),
)
