"""Swaps of all that evidence depends on, at every stage: before the run, while a model loads, in a job, before a rerun.

What changes while an audit runs ends it with exit code 5. What changed since another run shares no job with it, under
`--out` or out of `--store`, and what did not change shares all of them.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig, get_peft_model
from rich.console import Console

from tests.api.test_plugins import entry
from tests.run.test_inputs import FACTS, Swapping, other_weights
from unlearn_audit.api import plugins
from unlearn_audit.audit import audit
from unlearn_audit.cli.telling.progress import Quiet
from unlearn_audit.errors import IntegrityError
from unlearn_audit.plan import provenance
from unlearn_audit.plan.live import LivePlan
from unlearn_audit.plan.make import make_plan
from unlearn_audit.spec.spec import AuditSpec, ModelOptions
from unlearn_audit.testing.models import tiny_module

PLUGIN = """
from unlearn_audit.api import Access, FactSet, Measure, Parameters, Probe, Reading, ScoreKind

SCORE = 0.0


class Guess(Probe):
    name = "guess"
    summary = "Says one number."
    access = Access.PROMPTS
    reads = FactSet.FORGET
    measures = (Measure(name="guess", kind=ScoreKind.SOFT),)
    Parameters = Parameters

    def observe(self, model, facts, pool):
        return [Reading(fact_id=fact.id, measure="guess", variant="", score=SCORE) for fact in facts]
"""
TEMPLATE = "{% for m in messages %}{{ m.content }}\n{% endfor %}"


def rewritten(name: str, old: str, new: str) -> Callable[[Path], object]:
    def change(at: Path) -> None:
        text = (at / name).read_text()
        assert old in text
        (at / name).write_text(text.replace(old, new))

    return change


SWAPS: dict[str, Callable[[Path], object]] = {
    "weights of the base": lambda at: other_weights(at / "base", 1.0),
    "adapter": lambda at: other_weights(at / "adapter", 1.0, "adapter_model.safetensors"),
    "settings of the adapter": rewritten("adapter/adapter_config.json", '"lora_alpha": 8', '"lora_alpha": 16'),
    "control": lambda at: other_weights(at / "control", 1.0),
    "tokenizer": rewritten("base/tokenizer_config.json", '"backend": "tokenizers"', '"add_bos_token": true'),
    "template": lambda at: (at / "template.jinja").write_text("Q" + TEMPLATE),
    "facts": rewritten("forget.jsonl", "place 0", "palace 0"),
    "plug-in": rewritten("guessing.py", "SCORE = 0.0", "SCORE = 1.0"),
}
OF_ALL = {"template", "facts", "plug-in"}
"""What the jobs of every model depend on."""
OF_THE_CONTROL = {"control"}


@pytest.fixture(scope="module")
def world(saved_model: Path, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter on its base, a control, facts, a template and a plug-in."""
    where = tmp_path_factory.mktemp("world")
    for name in ("base", "control"):
        shutil.copytree(saved_model, where / name)
    other_weights(where / "control", 0.25)
    module = tiny_module("llama", len(tokenizer))
    adapted = get_peft_model(module, LoraConfig(r=2, lora_alpha=8, task_type="CAUSAL_LM", init_lora_weights=False))
    adapted.save_pretrained(where / "adapter")
    settings = json.loads((where / "adapter" / "adapter_config.json").read_text())
    (where / "adapter" / "adapter_config.json").write_text(
        json.dumps({**settings, "base_model_name_or_path": "../base"})
    )
    (where / "forget.jsonl").write_text("".join(json.dumps(fact) + "\n" for fact in FACTS))
    (where / "template.jinja").write_text(TEMPLATE)
    (where / "guessing.py").write_text(PLUGIN)
    return where


@pytest.fixture
def here(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(world, tmp_path / "w")
    monkeypatch.syspath_prepend(tmp_path / "w")
    own = [*plugins.entry_points(group=plugins.PROBES), entry("guess", "guessing:Guess", "third", plugins.PROBES)]
    asked = plugins.entry_points
    monkeypatch.setattr(plugins, "entry_points", lambda group: own if group == plugins.PROBES else asked(group=group))
    yield tmp_path / "w"
    sys.modules.pop("guessing", None)


def planned(at: Path) -> LivePlan:
    """As a new process would plan it: the plug-in is imported anew."""
    sys.modules.pop("guessing", None)
    importlib.invalidate_caches()
    provenance._closure.cache_clear()
    return make_plan(
        AuditSpec(
            checkpoint=str(at / "adapter"),
            retrained=(str(at / "control"),),
            forget=str(at / "forget.jsonl"),
            attacks={"as-is": {}},
            probes={"recall": {"max_new_tokens": 2}, "guess": {}},
            comparisons={},
            models=ModelOptions(device="cpu", chat_template=str(at / "template.jinja")),
        )
    )


def keys(at: Path) -> dict[str, set[str]]:
    """Model -> the keys of its jobs."""
    found: dict[str, set[str]] = {}
    for job in planned(at).plan.jobs:
        found.setdefault(job.model.name, set()).add(job.key)
    return found


@pytest.mark.parametrize("stage", [*(pytest.param(one, marks=pytest.mark.slow) for one in ("plan", "loading")), "dose"])
@pytest.mark.parametrize("what", SWAPS)
def test_what_changes_while_an_audit_runs_ends_it_and_leaves_no_job(here: Path, what: str, stage: str) -> None:
    plan, store = planned(here), here / "store"
    if stage == "plan":
        SWAPS[what](here)
    with pytest.raises(IntegrityError, match="changed"):
        audit(plan, here / "run", Swapping(stage, lambda: SWAPS[what](here)), shared=store)
    assert not (here / "run" / "result.json").exists()
    assert not list(store.glob("*/observations.parquet"))
    assert not list((here / "run" / "jobs").glob("*/observations.parquet"))


@pytest.mark.parametrize("what", SWAPS)
def test_what_changed_since_another_run_shares_no_job_with_it(here: Path, what: str) -> None:
    before = keys(here)
    SWAPS[what](here)
    after = keys(here)
    for model in before:
        depends = what in OF_ALL or (model == "retrained") == (what in OF_THE_CONTROL)
        assert bool(before[model] & after[model]) is not depends, model


@pytest.mark.filterwarnings("ignore::unlearn_audit.errors.Notice")
@pytest.mark.parametrize(
    ("what", "again"),
    [
        ("adapter", "--store"),
        ("plug-in", "--out"),
        pytest.param("adapter", "--out", marks=pytest.mark.slow),
        pytest.param("plug-in", "--store", marks=pytest.mark.slow),
    ],
)
def test_a_rerun_takes_nothing_of_what_was_swapped(here: Path, what: str, again: str) -> None:
    quiet = Quiet(Console(stderr=True))
    first, store = here / "first", here / "store"
    audit(planned(here), first, quiet, shared=store)
    SWAPS[what](here)
    out = first if again == "--out" else here / "second"
    rerun = audit(planned(here), out, quiet, shared=store if again == "--store" else None, overwrite=True)
    fresh = audit(planned(here), here / "fresh", quiet)
    assert rerun.evidence_digest == fresh.evidence_digest
