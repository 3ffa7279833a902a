"""Planning, and a probe that judges answers by their twins, do work in proportion to the facts: calls are counted."""

from __future__ import annotations

import cProfile
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from unlearn_audit.api import FactSet
from unlearn_audit.models.modules.forks import fork_module
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.make import make_plan
from unlearn_audit.plan.rehearsal import Rehearsal
from unlearn_audit.spec.spec import AuditSpec
from unlearn_audit.testing.models import tiny_engine

FEW, MANY = 1_000, 4_000
SLACK = 1.1


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


def calls(work: Callable[[], object]) -> int:
    """How often anything was called."""
    profile = cProfile.Profile()
    profile.runcall(work)
    return sum(entry.callcount for entry in profile.getstats())


@pytest.mark.slow
def test_four_times_the_facts_are_four_times_the_calls(tmp_path, saved_model, tokenizer):
    engine = tiny_engine(tokenizer)
    model = Rehearsal(
        module=fork_module(engine.module, copy_weights=False),
        renderer=engine.renderer,
        budget=engine.budget,
        said=("It was Place00007.", "I do not know."),
    )
    planned(tmp_path / "first.jsonl", saved_model, 5)  # what is loaded and compiled once
    found = []
    for count in (FEW, MANY):
        live = planned(tmp_path / "facts.jsonl", saved_model, count)
        pool = live.pool(FactSet.FORGET)
        probe = live.probes["recall"]
        found.append(
            (
                calls(lambda count=count: planned(tmp_path / "facts.jsonl", saved_model, count)),
                calls(lambda live=live: (live.case, live.remarks, live.outlooks)),
                calls(lambda probe=probe, pool=pool: list(probe.observe(model, pool, pool))),
            )
        )
    few, many = found
    assert len(pool) == MANY
    for one, other in zip(few, many, strict=True):
        assert other <= SLACK * MANY / FEW * one
