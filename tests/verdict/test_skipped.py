"""What no model of this kind can have is neither an error nor withstood: it leaves the plan with its reason."""

from __future__ import annotations

import pandas as pd

from unlearn_audit.api import Access, ScoreKind
from unlearn_audit.evidence.records import JobRecord
from unlearn_audit.plan.case import Case, FaultyJob, LeftOut, PlannedFinding
from unlearn_audit.spec.policy import Release
from unlearn_audit.verdict.skipped import case_without_skipped, jobs_without_skipped


def finding(attack: str, probe: str = "recall") -> PlannedFinding:
    return PlannedFinding(
        attack=attack, probe=probe, measure="hit", kind=ScoreKind.HIT, access=Access.WEIGHTS, gates=True
    )


def job(attack: str, arm: str, model: str = "unlearned", status: str = "done") -> JobRecord:
    named = {"key": f"{attack} {arm} {model}", "attack": attack, "arm": arm, "role": model, "model": model}
    return JobRecord(**named, seed=0, status=status, seconds=0, observations=1, digest="")


def skip(attack: str, arm: str, model: str = "unlearned", why: str = "no blocks") -> FaultyJob:
    return FaultyJob(attack=attack, arm=arm, model=model, message=why, skipped=True)


def case(*faults: FaultyJob) -> Case:
    return Case(
        release=Release.OPEN_WEIGHTS,
        subjects={},
        has_original=False,
        planned=(finding("as-is"), finding("steering"), finding("quantization"), finding("quantization", "choice")),
        served_arms={"quantization": ("nf4", "int8")},
        faults=faults,
    )


def rows(*seen: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(
        [{"role": "unlearned", "attack": attack, "probe": probe, "measure": "hit"} for attack, probe in seen],
        columns=["role", "attack", "probe", "measure"],
    )


def test_an_attack_of_which_nothing_ran_is_left_out_whole() -> None:
    jobs = [job("steering", "depth 1", status="skipped")]
    seen = rows(("as-is", "recall"), ("quantization", "recall"), ("quantization", "choice"))
    found = case_without_skipped(case(skip("steering", "depth 1")), jobs, seen)
    assert [one.id for one in found.planned] == [
        "as-is/recall.hit",
        "quantization/recall.hit",
        "quantization/choice.hit",
    ]
    assert found.left_out == (LeftOut(what="steering", why="no blocks"),)
    assert found.model_faults == ()


def test_an_arm_that_was_skipped_leaves_the_others_and_the_findings_that_they_gave() -> None:
    jobs = [job("quantization", "nf4", status="skipped"), job("quantization", "int8")]
    seen = rows(("as-is", "recall"), ("steering", "recall"), ("quantization", "recall"))
    found = case_without_skipped(case(skip("quantization", "nf4")), jobs, seen)
    assert [one.id for one in found.planned] == ["as-is/recall.hit", "steering/recall.hit", "quantization/recall.hit"]
    assert found.served_arms == {"quantization": ("int8",)}
    assert found.left_out == (LeftOut(what="quantization: nf4", why="no blocks"),)


def test_what_failed_stays_planned_and_a_second_pass_changes_nothing() -> None:
    broken = FaultyJob(attack="steering", arm="depth 2", model="unlearned", message="out of memory")
    faulty = case(skip("steering", "depth 1"), broken)
    jobs = [job("steering", "depth 1", status="skipped"), job("steering", "depth 2", status="error")]
    seen = rows(("as-is", "recall"), ("quantization", "recall"), ("quantization", "choice"))
    found = case_without_skipped(faulty, jobs, seen)
    assert finding("steering") in found.planned
    assert found.model_faults == (broken,)
    assert case_without_skipped(found, jobs, seen) == found


def test_an_arm_skipped_on_one_model_gives_no_evidence_in_any() -> None:
    jobs = [job("steering", "depth 1", "original"), job("steering", "depth 1"), job("as-is", "none")]
    marked = jobs_without_skipped(jobs, case(skip("steering", "depth 1", "unlearned")))
    assert [one.status for one in marked] == ["skipped", "skipped", "done"]


def test_a_checkpoint_that_is_spared_what_its_original_can_have_is_at_fault() -> None:
    spared = skip("steering", "depth 1", why="the model answers nothing")
    against = case(spared).model_copy(update={"has_original": True, "controls": ("retrained",)})
    assert against.model_skips == ()
    assert against.model_faults == (spared,)
    jobs = [job("steering", "depth 1", "original"), job("steering", "depth 1", status="skipped")]
    assert [one.status for one in jobs_without_skipped(jobs, against)] == ["done", "error"]
    assert case_without_skipped(against, jobs, rows()) == against
    everywhere = [skip("steering", "depth 1", model) for model in ("original", "retrained", "unlearned")]
    alike = against.model_copy(update={"faults": tuple(everywhere)})
    assert alike.model_skips == tuple(everywhere)
    assert alike.model_faults == ()


def test_a_plant_that_cannot_be_attacked_is_lack_of_power_and_skips_nothing() -> None:
    planted = case(skip("steering", "depth 1", "refusal plant")).model_copy(
        update={"plants": {"steering": ("refusal plant",)}}
    )
    assert planted.model_skips == ()
    assert case_without_skipped(planted, [], rows()) == planted
