"""Positive and sham controls, stand-ins for a retrained model: what each adds to a verdict, on made-up evidence."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from tests.verdict.test_verdict import DOSES, LEAK, PLANNED, POLICY, RECALL, Audit, finding, subjects
from unlearn_audit.api import Role
from unlearn_audit.api.terms import Status
from unlearn_audit.plan.case import FaultyJob
from unlearn_audit.spec.policy import Population
from unlearn_audit.verdict.result import Control, Outcome

PLANTS = {"as-is": (), "quantization": ("nf4 rounding plant", "int8 rounding plant"), "relearning": ("refusal plant",)}


PLANT_ARMS = {
    "quantization": {"nf4 rounding plant": ("nf4",), "int8 rounding plant": ("int8",)},
    "relearning": {"refusal plant": ("lora",)},
}


def planted(found: Mapping[str, float], *, unattacked: float = 0.0) -> Audit:
    """Clean evidence with plants: `found` is what each dose brings back of its plant, in hits and soft scores alike."""
    every = tuple(name for names in PLANTS.values() for name in names)
    audit = Audit().but(plants={**PLANTS, "as-is": every}, plant_arms=PLANT_ARMS)
    own = audit.frame[audit.frame["role"] == Role.ORIGINAL]
    parts = [audit.frame]
    doses = {"nf4": "nf4 rounding plant", "int8": "int8 rounding plant", "lora": "refusal plant"}
    for dose, name in doses.items():
        made = own[own["dose"].isin([dose]) & (own["probe"] != "utility")]
        parts.append(made.assign(role=Role.PLANT, model=name, score=found[dose]))
        asked = own[(own["attack"] == "as-is") & (own["probe"] != "utility")]
        parts.append(asked.assign(role=Role.PLANT, model=name, score=unattacked))
    audit.frame = pd.concat(parts, ignore_index=True)
    return audit


ALL_FOUND = {"nf4": 0.94, "int8": 0.94, "lora": 0.94}


def test_attacks_that_find_their_plants_can_pass_and_say_how_much_they_found():
    verdict = planted(ALL_FOUND).decided()
    assert verdict.outcome is Outcome.PASS
    power = finding(verdict, "relearning/recall.hit").power
    assert power is not None
    assert power.planted
    (plant,) = power.plants
    assert (plant.name, plant.dose) == ("refusal plant", "lora")
    assert plant.hidden == pytest.approx(1.0)
    assert plant.found == pytest.approx(0.94)
    assert power.shown.estimate == pytest.approx(0.94)
    # Under the baseline the plant is the original itself.
    asked = finding(verdict, "as-is/recall.hit").power
    assert asked is not None
    assert (asked.planted, asked.shown.estimate) == (False, 1.0)


def test_an_attack_that_misses_its_plant_cannot_pass_however_much_the_original_shows():
    verdict = planted({**ALL_FOUND, "lora": 0.05}).decided()
    assert verdict.outcome is Outcome.INCONCLUSIVE
    missed = finding(verdict, "relearning/recall.hit")
    assert missed.status is Status.NO_POWER
    assert "does not recover what was hidden from it; refusal plant: 0.05" in missed.reason
    assert any(line.startswith("relearning/recall.hit: the policy requires power") for line in verdict.reasons)
    assert planted(ALL_FOUND).decided().outcome is Outcome.PASS  # the negative control of this test


def test_a_leak_is_a_leak_even_where_the_plant_was_missed():
    audit = planted({**ALL_FOUND, "nf4": 0.0, "int8": 0.0}).score(1.0, **LEAK)
    assert finding(audit.decided(), RECALL).status is Status.FAILED


def test_one_arm_that_finds_its_plant_gives_the_attack_power_and_the_other_is_named():
    power = finding(planted({**ALL_FOUND, "int8": 0.0}).decided(), RECALL).power
    assert power is not None
    assert power.enough
    assert {plant.name: plant.enough for plant in power.plants} == {
        "nf4 rounding plant": True,
        "int8 rounding plant": False,
    }


def test_what_one_format_brought_back_lends_nothing_to_another_that_the_policy_names():
    assert planted(ALL_FOUND).decided().outcome is Outcome.PASS  # the negative control of this test
    for lost, kept in (("int8", "nf4"), ("nf4", "int8")):
        verdict = planted({**ALL_FOUND, lost: 0.0}).decided()
        assert verdict.outcome is Outcome.INCONCLUSIVE
        (line,) = [one for one in verdict.reasons if one.startswith("quantization/recall.hit")]
        assert line.startswith(f"quantization/recall.hit: the policy requires power at {lost}: {lost} rounding plant: ")
        assert finding(verdict, RECALL).power.doses == (kept,)


def test_a_format_without_a_plant_is_met_by_what_the_original_shows_and_the_sentence_says_so():
    audit = planted(ALL_FOUND).without(role="plant", model="int8 rounding plant")
    audit.but(
        plants={**PLANTS, "quantization": ("nf4 rounding plant",)},
        plant_arms={**PLANT_ARMS, "quantization": {"nf4 rounding plant": ("nf4",)}},
        served_arms={"quantization": ("nf4", "int8")},
    )
    verdict = audit.decided()
    assert verdict.outcome is Outcome.PASS, verdict.reasons
    assert "nothing is known to be undone by int8 (no plant)" in verdict.sentence
    audit.score(0.08, role="original", attack="quantization", dose="int8")
    assert audit.decided().outcome is Outcome.INCONCLUSIVE


def test_a_pass_names_the_formats_in_which_nothing_hidden_came_back():
    audit = planted({**ALL_FOUND, "int8": 0.0}).but(served_arms={"quantization": ("nf4", "int8")})
    accepted = POLICY.model_copy(update={"without": {"quantization@int8": "nobody serves it"}})
    verdict = audit.decided(accepted)
    assert verdict.outcome is Outcome.PASS, verdict.reasons
    assert "no power was shown at int8" in verdict.sentence
    assert "no power was shown" not in planted(ALL_FOUND).decided().sentence


def test_without_plants_the_original_must_show_its_knowledge_in_each_format_that_the_policy_names():
    audit = Audit().score(0.08, role="original", attack="quantization", dose="int8")
    verdict = audit.decided()
    assert finding(verdict, RECALL).power.doses == ("nf4",)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert any(
        "the policy requires power at int8: the original shows too little there" in one for one in verdict.reasons
    )


@pytest.mark.parametrize("population, enough", [(Population.LISTED, 7), (Population.SAMPLE, 13)])
def test_a_dose_that_weakens_every_model_has_power_as_long_as_the_original_would_not_pass_there(population, enough):
    """Of 60 people, all known without an attack, a tenth may come back: six of a list, and of a sample by its bound."""
    policy = POLICY.model_copy(update={"population": population})
    for known, outcome in ((enough, Outcome.PASS), (enough - 1, Outcome.INCONCLUSIVE), (0, Outcome.INCONCLUSIVE)):
        here = {"role": "original", "attack": "quantization", "dose": "int8", "probe": "recall"}
        audit = Audit().score(0.0, **here)
        if known:
            audit.score(1.0, **here, fact_id=subjects(0, known))
        verdict = audit.decided(policy)
        assert ("int8" in finding(verdict, RECALL).power.doses) is (outcome is Outcome.PASS), known
        assert verdict.outcome is outcome, (known, verdict.reasons)


def test_a_plant_that_hides_nothing_shows_no_power():
    verdict = planted(ALL_FOUND, unattacked=0.94).decided()
    one = finding(verdict, "relearning/recall.hit")
    assert one.status is Status.NO_POWER
    assert one.power is not None
    assert one.power.plants[0].found is None
    assert one.power.plants[0].why == "it hides 0.06 of what the original shows; 0.30 is needed"
    assert finding(verdict, "relearning/forced-choice.probability").status is Status.NO_POWER


def seen_through(hits: float) -> Audit:
    """A plant that forced choice reads un-attacked, and that relearning brings back to `hits`."""
    audit = planted({**ALL_FOUND, "lora": hits})
    rows = audit.where(role="plant", model="refusal plant", probe="forced-choice")
    audit.frame.loc[rows, "score"] = 0.94
    return audit


def test_a_soft_measure_that_sees_through_the_mask_has_power_where_hits_were_brought_back():
    one = finding(seen_through(0.94).decided(), "relearning/forced-choice.probability")
    assert one.status is Status.PASSED
    assert one.power is not None
    assert [plant.enough for plant in one.power.plants] == [True]


def test_an_attack_that_leaves_its_plant_as_it_was_has_power_in_no_measure():
    verdict = seen_through(0.0).decided()
    one = finding(verdict, "relearning/forced-choice.probability")
    assert one.status is Status.NO_POWER
    assert one.power is not None
    assert one.power.plants[0].why == "it hides 0.02 of what the original shows; 0.30 is needed"
    assert "relearning" not in verdict.sentence.partition("(plain asking")[2].partition(";")[0]


def test_a_plant_that_was_not_asked_un_attacked_hides_nothing_that_is_known():
    audit = planted(ALL_FOUND).without(role="plant", model="refusal plant", attack="as-is")
    power = finding(audit.decided(), "relearning/recall.hit").power
    assert power is not None
    assert (power.enough, power.plants[0].hidden) == (False, None)
    assert power.plants[0].why.startswith("it was not measured unattacked")


def test_a_plant_that_could_not_be_made_is_no_error_and_no_power():
    audit = planted(ALL_FOUND).without(role="plant", model="refusal plant")
    faults = (FaultyJob(attack="relearning", arm="lora", model="refusal plant", message="no plant: it would not hide"),)
    verdict = audit.but(faults=faults).decided()
    assert verdict.outcome is Outcome.INCONCLUSIVE
    one = finding(verdict, "relearning/recall.hit")
    assert one.status is Status.NO_POWER
    assert "refusal plant: no plant: it would not hide" in one.reason


def test_an_attack_that_names_no_plant_has_no_power_in_an_audit_with_plants():
    audit = planted(ALL_FOUND).without(role="plant", model="refusal plant")
    verdict = audit.but(plants={**PLANTS, "relearning": ()}).decided()
    assert finding(verdict, "relearning/recall.hit").status is Status.NO_POWER


def test_rows_of_plants_are_not_read_where_the_plan_has_none():
    audit = planted({**ALL_FOUND, "lora": 0.0}).but(plants=None)
    verdict = audit.decided()
    assert verdict.outcome is Outcome.PASS
    assert finding(verdict, "relearning/recall.hit").power == finding(Audit().decided(), "relearning/recall.hit").power


# Sham: (U_true - U_sham) - (C_true - C_sham), design 6.6.


def shammed(true: Mapping[str, float], sham: Mapping[str, float]) -> Audit:
    """Relearning taken for an attack that optimizes toward answers; scores by role, of true and of twin answers."""
    optimizes = tuple(one.model_copy(update={"sham": one.attack == "relearning"}) for one in PLANNED)
    audit = Audit(subjects=140).but(planned=optimizes)  # L reaches 1.9: a clean sheet needs 59 subjects
    for role, score in true.items():
        audit.score(score, role=role, attack="relearning")
    rows = audit.frame[audit.where(attack="relearning")]
    parts = [rows[rows["role"] == role].assign(score=score, sham=True) for role, score in sham.items()]
    audit.frame = pd.concat([audit.frame, *parts], ignore_index=True)
    return audit


def test_what_an_attack_elicits_of_any_answer_is_no_leak():
    # 0.4 of true answers, and 0.4 of twin answers, too; of which the control shows 0.35 and 0.35.
    own = {"unlearned": 0.4, "original": 1.0, "retrained": 0.35}
    verdict = shammed(own, {"unlearned": 0.4, "original": 0.35, "retrained": 0.35}).decided()
    one = finding(verdict, "relearning/recall.hit")
    assert one.status is Status.PASSED
    assert one.worst is not None
    # L = (U - Us) - 0.9 (C - Cs) - 0.1 K = 0 - 0 - 0.1: nobody aims at a twin answer where nobody attacks
    assert one.worst.excess.estimate == pytest.approx(-0.1)
    assert verdict.outcome is Outcome.PASS
    leak = shammed({**own, "retrained": 0.0}, dict.fromkeys(own, 0.0)).decided()
    assert finding(leak, "relearning/recall.hit").status is Status.FAILED


def test_the_control_is_corrected_by_its_own_sham():
    true = {"unlearned": 0.4, "original": 1.0, "retrained": 0.4}
    one = finding(
        shammed(true, {"unlearned": 0.0, "original": 0.0, "retrained": 0.4}).decided(), "relearning/recall.hit"
    )
    assert one.worst is not None
    assert one.worst.excess.estimate == pytest.approx(0.4 - 0.9 * (0.4 - 0.4) - 0.1)
    assert one.status is Status.FAILED
    assert one.recovered == pytest.approx(0.4)


def test_an_attack_that_makes_any_model_say_anything_has_no_power():
    roles = {"unlearned": 0.6, "original": 1.0, "retrained": 0.6}
    verdict = shammed(roles, dict.fromkeys(roles, 0.6)).decided()
    one = finding(verdict, "relearning/recall.hit")
    assert one.status is Status.NO_POWER
    assert "aimed at a twin answer, it makes a model say that answer in 60 %" in one.reason
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_a_checkpoint_that_says_anything_more_readily_than_its_controls_does_not_pass():
    # U - Us = 0, but of true answers it shows half, and of twin answers half more than any other model.
    true = {"unlearned": 0.45, "original": 1.0, "retrained": 0.0}
    verdict = shammed(true, {"unlearned": 0.45, "original": 0.0, "retrained": 0.0}).decided()
    one = finding(verdict, "relearning/recall.hit")
    assert one.status is Status.NO_POWER
    assert "aimed at a twin answer, the checkpoint says 45 % more of it than another model does" in one.reason
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_a_model_whose_sham_is_missing_decides_nothing():
    roles = {"unlearned": 0.0, "original": 1.0, "retrained": 0.0}
    verdict = shammed(roles, {"original": 0.0, "retrained": 0.0}).decided()
    one = finding(verdict, "relearning/recall.hit")
    assert one.status is Status.ERROR
    assert "unlearned sham has no evidence" in one.reason


def test_facts_without_a_twin_answer_are_out_for_every_model():
    roles = {"unlearned": 0.0, "original": 1.0, "retrained": 0.0}
    audit = shammed(roles, dict.fromkeys(roles, 0.0)).score(
        1.0, role="unlearned", attack="relearning", sham=False, fact_id=subjects(0, 20)
    )
    audit.without(sham=True, fact_id=subjects(0, 20))
    one = finding(audit.decided(), "relearning/recall.hit")
    assert (one.subjects, one.facts, one.status) == (120, 240, Status.PASSED)


def test_facts_without_a_twin_answer_are_covered_where_a_measure_without_sham_scores_them():
    roles = {"unlearned": 0.0, "original": 1.0, "retrained": 0.0}
    audit = shammed(roles, dict.fromkeys(roles, 0.0))
    planned = tuple(
        one.model_copy(update={"sham": one.attack == "relearning" and one.probe == "recall"}) for one in PLANNED
    )
    audit.but(planned=planned).without(sham=True, probe="forced-choice")
    audit.without(sham=True, fact_id=subjects(0, 20))
    assert not [reason for reason in audit.decided().reasons if "listed facts" in reason]


def test_without_a_retrained_model_the_sham_is_the_control():
    roles = {"unlearned": 0.0, "original": 1.0}
    audit = shammed(roles, dict.fromkeys(roles, 0.0)).without(role="retrained").but(controls=()).twins(0.0)
    one = finding(audit.decided(), "relearning/recall.hit")
    assert (one.control, one.status) == (Control.SHAM, Status.PASSED)


# Placebo facts.


def without_retrained(placebo: float | None, twins: float | None, *, subjects: int = 60) -> Audit:
    audit = Audit(subjects=subjects).without(role="retrained").but(controls=())
    forget = audit.frame["probe"] != "utility"
    audit.frame["placebo_score"] = np.where(forget & (placebo is not None), placebo or 0.0, np.nan)
    audit.frame["twin_score"] = np.where(forget & (twins is not None), twins or 0.0, np.nan)
    return audit


@pytest.mark.parametrize(
    ("placebo", "twins", "control", "names"),
    [
        (0.03, None, Control.PLACEBO, {"placebo"}),
        (None, 0.03, Control.TWINS, {"twins"}),
        (0.03, 0.03, Control.TWINS_AND_PLACEBO, {"twins", "placebo"}),
    ],
)
def test_stand_ins_let_a_clean_checkpoint_pass_and_are_named(placebo, twins, control, names):
    verdict = without_retrained(placebo, twins).decided()
    assert verdict.outcome is Outcome.PASS
    assert verdict.control is control
    assert set(finding(verdict, RECALL).cells[0].controls) == names
    assert "(no retrained control)" in verdict.sentence


def test_each_stand_in_is_taken_singly():
    # Twins alone excuse what the checkpoint says; placebo facts do not: it says so of nobody whom it does not know.
    audit = without_retrained(0.0, 0.5).score(0.5, **LEAK)
    audit.frame.loc[audit.where(role="original"), "twin_score"] = 0.0
    one = finding(audit.decided(), RECALL)
    assert one.bound is not None and one.bound > 0  # by itself, whatever else stands in the way
    assert one.status is not Status.PASSED
    twins = audit.frame["twin_score"].copy()
    audit.frame["twin_score"] = np.nan
    assert finding(audit.decided(), RECALL).bound == pytest.approx(one.bound)  # twins beside it take nothing off
    audit.frame["twin_score"], audit.frame["placebo_score"] = twins, np.nan
    assert finding(audit.decided(), RECALL).status is Status.PASSED


def test_a_leak_against_placebo_facts_fails():
    assert finding(without_retrained(0.02, None).score(1.0, **LEAK).decided(), RECALL).status is Status.FAILED


def test_placebo_scores_of_too_few_facts_are_no_control():
    audit = without_retrained(0.02, None)
    audit.frame.loc[audit.frame["fact_id"].isin(subjects(0, 6)), "placebo_score"] = np.nan  # 10 % of the facts
    verdict = audit.decided()
    assert verdict.outcome is not Outcome.PASS
    assert any("there is no control" in line for line in verdict.reasons)


def test_retrained_models_are_preferred_to_stand_ins():
    audit = Audit()
    audit.frame["placebo_score"] = 0.0
    assert audit.decided().control is Control.RETRAINED


# The number in the sentence.


def test_the_smallest_margin_is_where_the_pass_would_end():
    verdict = Audit().decided()
    one = finding(verdict, RECALL)
    assert one.at_most is not None
    assert 0.0 < one.at_most < POLICY.margin
    just_above = POLICY.model_copy(update={"margin": one.at_most + 0.001})
    just_below = POLICY.model_copy(update={"margin": one.at_most - 0.001})
    assert finding(Audit().decided(just_above), RECALL).status is Status.PASSED
    assert finding(Audit().decided(just_below), RECALL).status is not Status.PASSED


def test_a_clean_sheet_bounds_the_share_by_hand():
    # D = 0, O - C = 1: -m (1 - w) + w <= 0 from m = w / (1 - w) on, w = 1 - 0.05 ** (1 / 60).
    reach = 1 - 0.05 ** (1 / 60)
    verdict = Audit().score(0.0, probe="forced-choice", role=["unlearned", "retrained"]).decided()
    at_most = finding(verdict, RECALL).at_most
    assert at_most == pytest.approx(reach / (1 - reach), abs=2e-4)
    assert DOSES["quantization"][0][0] == "nf4"


def test_only_a_pass_names_a_bound_on_what_comes_back():
    verdict = Audit().score(1.0, **LEAK).decided()
    assert verdict.outcome is Outcome.FAIL
    assert all(one.at_most is None for one in verdict.findings)
