"""How the work of planning, and of a probe that judges answers by their twins, grows with the facts: in calls."""

from __future__ import annotations

import cProfile
import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from unlearn_audit.api import FactSet
from unlearn_audit.api.kit import twins
from unlearn_audit.plan.forecasting.rehearsal import Rehearsal
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.make import make_plan
from unlearn_audit.spec.spec import AuditSpec
from unlearn_audit.testing.models import tiny_engine

FEW, MANY = 1_000, 4_000
SLACK = 1.1

Made = TypeVar("Made")


def planned(path: Path, model: Path, count: int) -> LivePlan:
    """Facts of one relation, each answered in a sentence of its own: every fact is a twin of every other."""
    rows = [
        {
            "id": str(n),
            "subject": f"Person {n:05d}",
            "question": f"Where was Person {n:05d} born?",
            "answer": f"Person {n:05d} was born in the town of Place{n:05d} by the sea.",
            "relation": "born",
        }
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    settings = {"attacks": {"as-is": {}}, "probes": {"recall": {}}}
    return make_plan(AuditSpec(checkpoint=str(model), forget=str(path), **settings))


def calls(work: Callable[[], Made]) -> tuple[Made, int]:
    """What some work gives, and how often anything was called for it."""
    profile = cProfile.Profile()
    made = profile.runcall(work)
    return made, sum(entry.callcount for entry in profile.getstats())


@pytest.mark.slow
def test_four_times_the_facts_are_four_times_the_calls_of_a_plan(tmp_path, saved_model):
    file = tmp_path / "facts.jsonl"
    planned(file, saved_model, 5)  # what is loaded and compiled once
    found = []
    for count in (FEW, MANY):
        live, planning = calls(lambda count=count: planned(file, saved_model, count))
        assert len(live.pool(FactSet.FORGET)) == count
        _, telling = calls(lambda live=live: (live.case, live.remarks, live.outlooks))
        found.append((planning, telling))
    for few, many in zip(*found, strict=True):
        assert many <= SLACK * MANY / FEW * few


@pytest.mark.slow
def test_four_times_the_facts_are_four_times_the_calls_of_a_probe_with_twins(
    tmp_path, saved_model, tokenizer, monkeypatch
):
    """From `ENOUGH` on: an output is judged against so many answers of others, drawn at random, and no more."""
    monkeypatch.setattr(twins, "ENOUGH", 10)
    monkeypatch.setattr(twins, "DIFFERENT", 5)
    engine = tiny_engine(tokenizer)
    model = Rehearsal(
        module=engine.module, renderer=engine.renderer, budget=engine.budget, said=("It was Place00007.", "I see.")
    )
    found = []
    for count in (5, 40, 160):
        live = planned(tmp_path / "facts.jsonl", saved_model, count)
        pool, probe = live.pool(FactSet.FORGET), live.probes["recall"]
        readings, made = calls(lambda pool=pool, probe=probe: list(probe.observe(model, pool, pool)))
        assert {reading.fact_id for reading in readings} == {fact.id for fact in pool}
        found.append(made)
    assert found[2] <= SLACK * 4 * found[1]
