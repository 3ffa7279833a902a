"""What a profile costs, whatever model and machine: looks at all facts, and texts that are trained on or read."""

from __future__ import annotations

import pytest

from tests.run.test_runner import spec as spec  # the fixture
from unlearn_audit.api import Attack, AttackContext, Fact, Profile
from unlearn_audit.api.plugins import build
from unlearn_audit.plan.make import make_plan
from unlearn_audit.spec.spec import AuditSpec

FACTS = tuple(
    Fact(
        id=f"{subject}-{relation}",
        subject=f"Person {subject}",
        question=f"What is the {relation} of Person {subject}?",
        answer=f"{relation} {subject}",
        relation=relation,
        paraphrases=tuple(f"{way} what is the {relation} of Person {subject}?" for way in ("Say", "Tell", "Well")),
    )
    for subject in range(64)
    for relation in ("town", "trade", "pet")
)
RETAIN = tuple(Fact(id=f"r{fact.id}", subject=f"R {fact.subject}", question="Who?", answer="I.") for fact in FACTS)


def cost(profile: Profile) -> tuple[float, int]:
    """Looks of one model at all facts, and texts trained on, with the repeats of a seeded attack."""
    context = AttackContext(forget=FACTS, retain=RETAIN, profile=profile, seed=0, has_original=True)
    looks, texts = 0.0, 0
    for attack in build("unlearn_audit.attacks", Attack, None, "here").values():
        refused = attack.out_of_reach(context, weight_bytes=0, is_adapter=False)
        for arm in attack.arms(context) if profile in attack.profiles and not attack.of_artifacts else ():
            if not any(one.names(arm) for one in refused):
                repeats = (1 if profile is Profile.QUICK else 3) if attack.seeded and arm.repeated else 1
                looks += repeats * arm.doses * arm.share
                texts += repeats * arm.training_texts
    return looks, texts


@pytest.mark.parametrize(
    ("profile", "looks", "texts"),
    [(Profile.QUICK, 14, 5_000), (Profile.STANDARD, 95, 70_000), (Profile.DEEP, 700, 1_800_000)],
)
def test_a_profile_keeps_to_what_it_may_cost(profile, looks, texts):
    """192 questions in four wordings: a profile that grows has to give something up for it."""
    found = cost(profile)
    assert looks / 2 < found[0] <= looks
    assert texts / 2 < found[1] <= texts


@pytest.mark.parametrize(
    ("more", "whole"),
    [
        ({"profile": "quick"}, False),
        ({"profile": "quick", "policy": {"serves": ["nf4"]}}, True),
        ({"profile": "standard"}, False),
        ({"profile": "deep"}, True),
    ],
)
def test_the_whole_battery_meets_a_format_where_it_is_served_and_in_deep(spec, more, whole):
    asked = {
        **spec.model_dump(),
        "attacks": {"as-is": {}, "quantization": {"quantizers": ["nf4", "int8"]}},
        "probes": {"recall": {}, "forms": {}},
        "comparisons": {},
        **more,
    }
    plan = make_plan(AuditSpec.model_validate(asked)).plan
    found = {job.arm.name: set(job.probes) for job in plan.jobs}
    assert found["as-is"] == {"recall", "forms"} and found["int8"] == {"recall"}
    assert found["nf4"] == ({"recall", "forms"} if whole else {"recall"})
    planned = {(one.attack, one.probe) for one in plan.case.planned}
    assert ("as-is", "forms") in planned and (("quantization", "forms") in planned) is whole
