"""The rule of lists as the simulation runs it, on arrays, beside the verdict itself."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace

import numpy as np
import pandas as pd
import pytest

from benchmarks.simulation import lists
from benchmarks.simulation.lists import Setting, World
from tests.verdict.test_verdict import planned
from unlearn_audit.api import Observation, Role
from unlearn_audit.api.terms import Status
from unlearn_audit.plan.case import Case
from unlearn_audit.spec.policy import Policy, Release
from unlearn_audit.verdict.decide import decide

POLICY = Policy(draws=10_000)
USUAL = Setting(people=12, facts=4, cells=3, controls=2, guesses=0.06, together=0.2, leak="facts")


def case_of(world: World) -> Case:
    people = np.repeat(np.arange(len(world.first)), world.sizes.astype(int))
    return Case(
        release=Release.OPEN_WEIGHTS,
        subjects={f"f{number}": f"s{person}" for number, person in enumerate(people)},
        has_original=True,
        controls=tuple(f"retrained-{number}" for number in range(len(world.controls))),
        planned=(planned("as-is"),),
    )


def frame_of(world: World, audit: int, case: Case) -> pd.DataFrame:
    models = [(Role.ORIGINAL, "original", np.ones_like(world.unlearned[audit]))]
    models += [(Role.UNLEARNED, "unlearned", world.unlearned[audit])]
    models += [(Role.RETRAINED, name, one[audit]) for name, one in zip(case.controls, world.controls, strict=True)]
    nothing = {field.name: field.default for field in fields(Observation) if field.default is not MISSING}
    rows = [
        {"role": role, "model": name, "variant": f"way-{cell}", "fact_id": fact, "score": float(hit)}
        for role, name, hits in models
        for cell, own in enumerate(hits)
        for fact, hit in zip(case.subjects, own, strict=True)
    ]
    place = {"attack": "as-is", "dose": "plain", "dose_value": None, "probe": "recall", "measure": "hit", "seed": 0}
    return pd.DataFrame(rows).assign(**place, twin_score=np.nan, missing=None, **nothing)


@pytest.mark.parametrize(
    "setting",
    [
        USUAL,
        replace(USUAL, leak="fifth"),
        replace(USUAL, leak="none", guesses=0.12),
        replace(USUAL, people=3, facts=0, leak="people"),
        replace(USUAL, people=60, facts=1, together=0.0, leak="scattered twice"),
        replace(USUAL, people=80, facts=2, leak="none", guesses=0.08, together=0.0),
        replace(USUAL, people=120, facts=1, leak="scattered", guesses=0.02, together=0.0),
    ],
    ids=lambda one: f"{one.people}x{one.facts}-{one.leak}",
)
def test_the_simulation_and_the_verdict_agree_on_every_audit(setting: Setting) -> None:
    rng = np.random.default_rng(setting.people)
    world = lists.made(setting, lists._sizes(setting, rng), rng, 8, 1)
    passed, p_values = lists.passing(world, alpha=0.05) & lists.within_union(world), lists.p_values(world)
    case = case_of(world)
    for audit in range(8):
        (one,) = decide(frame_of(world, audit, case), case, POLICY).findings
        assert one.p_value == pytest.approx(p_values[audit], abs=1e-9)
        failed = one.status is Status.FAILED
        assert (one.status is Status.PASSED) == (bool(passed[audit]) and not failed)


def test_a_leak_that_each_cell_shows_another_part_of_seldom_passes() -> None:
    """One fact more than may come back, each in one cell of 8: by the mean of the union every second audit passed."""
    usual = Setting(people=120, facts=3, cells=8, controls=3, guesses=0.02, together=0.0, leak="scattered")
    rng = np.random.default_rng(0)
    found = {}
    for leak in ("scattered", "none"):
        world = lists.made(replace(usual, leak=leak), lists._sizes(usual, rng), rng, 200, 1)
        found[leak] = float(np.mean(lists.passing(world, alpha=0.05) & lists.within_union(world)))
    assert found["scattered"] < 0.08
    assert found["none"] > 0.98
