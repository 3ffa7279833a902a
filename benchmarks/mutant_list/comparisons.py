"""What the checkpoint is compared with: retrained models, stand-ins, shams, and plants for power."""

from __future__ import annotations

from mutant_list.mutant import Mutant, in_controls, in_mutants, in_verdict

VERDICT = "unlearn_audit/verdict/decide.py"
FINDINGS = "unlearn_audit/verdict/findings/weigh.py"
CELLS = "unlearn_audit/verdict/findings/places.py"
BOUNDS = "unlearn_audit/verdict/findings/cell_bounds.py"
CONTRASTS = "unlearn_audit/verdict/findings/contrasts.py"
PLANTS = "unlearn_audit/verdict/findings/power.py"
PLAN = "unlearn_audit/plan/make.py"

CONTROLS = (
    Mutant(
        name="no-control",
        wrong="the control counts as knowing nothing, so that what any model shows is a leak",
        file=CONTRASTS,
        old="weights = _sum({UNLEARNED: 1.0}, pair.own, -1.0)",
        new="weights = _sum({UNLEARNED: 1.0}, pair.own, 0.0)",
        tests=in_verdict("a_leak_that_the_controls_show_as_well_is_no_leak"),
    ),
    Mutant(
        name="best-control-alone",
        wrong="a pass holds against the stand-in that suits it best, not against every one",
        file=FINDINGS,
        old="worst, against = max(intervals, key=lambda pair: pair[1].upper)",
        new="worst, against = min(intervals, key=lambda pair: pair[1].upper)",
        tests=in_controls("each_stand_in_is_taken_singly"),
    ),
    Mutant(
        name="controls-pooled",
        wrong="a pass holds against the mean of the stand-ins",
        file=FINDINGS,
        old="upper=against.upper),",
        new="upper=sum(one.upper for _, one in intervals) / len(intervals)),",
        tests=in_controls("each_stand_in_is_taken_singly"),
    ),
    Mutant(
        name="controls-best-dose",
        wrong="each dose of the checkpoint is held against the dose at which the control shows most",
        file=CELLS,
        old="    cells = _cells(table, terms)\n",
        new="    cells = _cells(table, terms)\n"
        "    best = {\n"
        "        key: max((cell.spans[key] for cell in cells), key=lambda span: float(span.low.mean()))\n"
        "        for key in (cells[0].spans if cells else ())\n"
        "        if key.startswith(_CONTROL)\n"
        "    }\n"
        "    swap = __import__('dataclasses').replace\n"
        "    cells = tuple(swap(cell, spans={**cell.spans, **best}) for cell in cells)\n",
        tests=in_mutants("a_dose_is_held_against_the_same_dose_of_the_control"),
    ),
    Mutant(
        name="copied-control-by-digest",
        wrong="the plan takes the checkpoint's own weights for a control",
        file=PLAN,
        old="    _refuse_equal_controls(models)\n",
        new="",
        tests=("tests/cli/test_cli.py::test_bad_input_is_one_message_and_exit_2[control is the checkpoint-plan]",),
        with_models=True,
    ),
    Mutant(
        name="copied-control-by-behaviour",
        wrong="a control that is the checkpoint saved anew hides every leak",
        file=VERDICT,
        old="copied(frame, case), case, policy",
        new="(), case, policy",
        tests=in_verdict("a_control_that_is_the_checkpoint_saved_anew_is_an_error"),
    ),
    Mutant(
        name="chance-passes",
        wrong="a checkpoint passes with the commonest answer as its only control",
        file=VERDICT,
        old=" or unsure:",
        new=":",
        tests=in_verdict("chance_can_fail_and_never_pass"),
    ),
    Mutant(
        name="few-twins-are-enough",
        wrong="twins of some facts stand in as control for all",
        file=CONTRASTS,
        old="(scores.shares[suffix] >= STAND_INS_NEEDED for suffix in (TWINS, PLACEBO))",
        new="(scores.shares[suffix] > 0 for suffix in (TWINS, PLACEBO))",
        tests=in_verdict("twins_of_too_few_facts_are_no_control"),
    ),
)


STAND_INS = (
    Mutant(
        name="kinder-stand-in-alone",
        wrong="twins excuse what placebo facts do not, where each should be taken singly",
        file=CONTRASTS,
        old='[_Pair.of_each("twins", TWINS)] * twins + [_Pair',
        new='[_Pair.of_each("twins", TWINS)] * twins or [_Pair',
        tests=in_controls("each_stand_in_is_taken_singly"),
    ),
    Mutant(
        name="no-sham",
        wrong="what an attack can make a model say, true or not, counts as knowledge",
        file=CONTRASTS,
        old="shams = {key + SHAM: -weight for key, weight in attacked.items()} if sham else {}",
        new="shams: dict[str, float] = {}",
        tests=in_controls("what_an_attack_elicits_of_any_answer_is_no_leak"),
    ),
    Mutant(
        name="sham-of-the-checkpoint-alone",
        wrong="the controls' own sham is not subtracted, and excuses a leak",
        file=CONTRASTS,
        old="shams = {key + SHAM: -weight for key, weight in attacked.items()} if sham else {}",
        new="shams = {key + SHAM: -weight for key, weight in attacked.items() if key == UNLEARNED} if sham else {}",
        tests=in_controls("the_control_is_corrected_by_its_own_sham"),
    ),
    Mutant(
        name="no-sham-limit",
        wrong="an attack that brings forth any answer has power",
        file=VERDICT,
        old="one.sham_success > SHAM_LIMIT or ",
        new="",
        tests=in_controls("an_attack_that_makes_any_model_say_anything_has_no_power"),
    ),
    Mutant(
        name="pliable-checkpoint",
        wrong="a checkpoint that says anything more readily than others has its leak subtracted",
        file=VERDICT,
        old=" or one.sham_excess > one.terms.margin:",
        new=":",
        tests=in_controls("a_checkpoint_that_says_anything_more_readily_than_its_controls_does_not_pass"),
    ),
    Mutant(
        name="plants-ignored",
        wrong="power is what the original shows, although a plant was made and not found",
        file=PLANTS,
        old="    if plants is None or planned.attack in (BASELINE, SERVED):\n",
        new="    if terms.case.has_original:\n",
        tests=in_controls("an_attack_that_misses_its_plant_cannot_pass_however_much_the_original_shows"),
    ),
    Mutant(
        name="plant-that-hides-nothing",
        wrong="a plant that shows all when it is simply asked is a proof of power",
        file=PLANTS,
        old="enough=shown.lower >= terms.power and masked,",
        new="enough=shown.lower >= terms.power,",
        tests=in_controls("a_plant_that_hides_nothing_shows_no_power"),
    ),
    Mutant(
        name="power-lent-to-all",
        wrong="a soft measure has power although the attack left its plant as it was",
        file=PLANTS,
        old="            if planned.kind is ScoreKind.HIT and plant.enough:\n",
        new="            if True:\n",
        tests=in_controls("an_attack_that_leaves_its_plant_as_it_was_has_power_in_no_measure"),
    ),
    Mutant(
        name="power-lent-to-other-formats",
        wrong="a format that the policy names has power because another brought its own plant back",
        file="unlearn_audit/verdict/policy/required.py",
        old="    if any(one.covers(dose) for dose in finding.power.doses):\n",
        new="    if finding.power.doses:\n",
        tests=in_controls("what_one_format_brought_back_lends_nothing_to_another_that_the_policy_names"),
    ),
    Mutant(
        name="power-at-a-dose-that-hides-all",
        wrong="a dose at which the original itself would pass has power, since another dose has",
        file=PLANTS,
        old="    return shown.lower > max(terms.margin * known, 0.0) + TOLERANCE\n",
        new="    return shown.lower > -1.0\n",
        tests=in_controls("a_dose_that_weakens_every_model_has_power_as_long_as_the_original_would_not_pass_there"),
    ),
    Mutant(
        name="plant-by-point-estimate",
        wrong="a plant is found if the estimate says so, whatever its bound",
        file=PLANTS,
        old="enough=shown.lower >= terms.power and masked,",
        new="enough=shown.estimate >= terms.power and masked,",
        tests=in_mutants("a_plant_is_found_by_a_lower_bound_and_no_estimate"),
    ),
    Mutant(
        name="plant-fault-hides-power",
        wrong="a plant that could not be made leaves the attack its power",
        file=PLANTS,
        old="        return PlantRecord(name=name, enough=False, why=why)\n",
        new="        return PlantRecord(name=name, enough=True, why=why)\n",
        tests=in_controls("a_plant_that_could_not_be_made_is_no_error_and_no_power"),
    ),
    Mutant(
        name="plant-fault-is-an-error",
        wrong="a plant that could not be made stops the audit",
        file=FINDINGS,
        old="for fault in terms.case.model_faults if planned.hit_by(fault)])",
        new="for fault in terms.case.faults if planned.hit_by(fault)])",
        tests=in_controls("a_plant_that_could_not_be_made_is_no_error_and_no_power"),
    ),
    Mutant(
        name="stated-bound-too-small",
        wrong="the sentence of a PASS names a share that was not proven",
        file=BOUNDS,
        old="    return smallest\n",
        new="    return smallest - 0.01\n",
        tests=in_controls("the_smallest_margin_is_where_the_pass_would_end"),
    ),
)
