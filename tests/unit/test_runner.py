"""The runner: an attack that leaves the model changed gives no evidence, now or on the next run."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from unlearn_audit.api import Access, Arm, Attack, Dose, Parameters
from unlearn_audit.evidence import EvidenceStore
from unlearn_audit.plan import make_plan
from unlearn_audit.progress import Quiet
from unlearn_audit.runner import run
from unlearn_audit.spec import AuditSpec


class Nothing(Parameters):
    """No parameters."""


class Spoiler(Attack[Nothing]):
    """Writes into the model that it was given, and may fail besides."""

    name, summary, paper, access, Parameters = "none", "Spoils.", "", Access.PROMPTS, Nothing
    fails = False

    def arms(self, context):
        return (Arm(name="none"),)

    def doses(self, model, arm, context):
        yield Dose(label="none", value=0, model=model)
        with torch.no_grad():
            next(model.module.parameters()).add_(1.0)
        if self.fails:
            raise ValueError("besides")


@pytest.mark.parametrize("fails", [False, True])
def test_a_cell_that_spoils_its_model_is_a_fault_and_is_not_kept(tmp_path, saved_model, fails):
    facts = tmp_path / "forget.jsonl"
    rows = [{"id": str(i), "subject": f"s{i}", "question": f"Who is {i}?", "answer": f"N{i}"} for i in range(3)]
    facts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = AuditSpec(checkpoint=str(saved_model), forget=str(facts), attacks={"none": {}}, seeds=2)
    spoiler = Spoiler(Nothing())
    spoiler.fails = fails
    plan = replace(make_plan(spec), attacks={"none": spoiler})
    for _ in range(2):
        store = EvidenceStore(tmp_path / "run")
        gathered = run(plan, store, Quiet(Console(stderr=True)))
        assert not any(store.has(cell.key) for cell in plan.cells)
        assert len(gathered.faults) == len(plan.cells)
        assert all("left the model changed" in fault.message for fault in gathered.faults)
