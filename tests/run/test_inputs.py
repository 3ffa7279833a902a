"""Swaps: whatever changes between plan and end of a run is exit 5, and no job of it is kept."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from safetensors.torch import load_file, save_file

from unlearn_audit.audit.hops import audit
from unlearn_audit.audit.telling.progress import Quiet
from unlearn_audit.errors import IntegrityError, SpecError
from unlearn_audit.plan.make import make_plan
from unlearn_audit.spec.spec import AuditSpec, ModelOptions
from unlearn_audit.verdict.result import Result

FACTS = [
    {"id": f"f{n}", "subject": f"Bo{n}", "question": f"Where is Bo{n}?", "answer": f"place {n}", "relation": "place"}
    for n in range(3)
]


class Swapping(Quiet):
    """Changes a file at some moment of a run."""

    def __init__(self, moment: str, change) -> None:
        super().__init__(Console(stderr=True))
        self._moment, self._change, self._times = moment, change, 0

    def _now(self, moment: str) -> None:
        if moment == self._moment and not self._times:
            self._times += 1
            self._change()

    def begin(self, jobs, done) -> None:
        super().begin(jobs, done)
        self._now("begin")

    def loading(self, model) -> None:
        super().loading(model)
        self._now("loading")

    def dose(self, job, label, hits) -> None:
        super().dose(job, label, hits)
        self._now("dose")

    def finished(self, job, seconds, fault) -> None:
        super().finished(job, seconds, fault)
        self._now("finished")


@pytest.fixture
def spec(saved_model: Path, tmp_path: Path) -> AuditSpec:
    for name in ("checkpoint", "control"):
        shutil.copytree(saved_model, tmp_path / name)
    other_weights(tmp_path / "control", 0.25)
    (tmp_path / "forget.jsonl").write_text("".join(json.dumps(fact) + "\n" for fact in FACTS))
    (tmp_path / "template.jinja").write_text("{% for m in messages %}{{ m.content }}\n{% endfor %}")
    return AuditSpec(
        checkpoint=str(tmp_path / "checkpoint"),
        retrained=(str(tmp_path / "control"),),
        forget=str(tmp_path / "forget.jsonl"),
        attacks={"as-is": {}},
        probes={"recall": {"max_new_tokens": 2}},
        comparisons={},
        models=ModelOptions(device="cpu", chat_template=str(tmp_path / "template.jinja")),
    )


def other_weights(directory: Path, by: float, file: str = "model.safetensors") -> None:
    weights = load_file(directory / file)
    name = sorted(weights)[0]
    weights[name] = weights[name] + by
    save_file(weights, directory / file, metadata={"format": "pt"})


SWAPS = {
    "weights": lambda at: other_weights(at / "checkpoint", 1.0),
    "control": lambda at: other_weights(at / "control", 1.0),
    "tokenizer": lambda at: (at / "checkpoint" / "special_tokens_map.json").write_text("{}"),
    "template": lambda at: (at / "template.jinja").write_text("{% for m in messages %}Q {{ m.content }}\n{% endfor %}"),
    "backup": lambda at: shutil.copy(at / "control" / "model.safetensors", at / "checkpoint" / "old.safetensors"),
}


@pytest.mark.parametrize(
    ("what", "moment", "kept"),
    [
        ("weights", "begin", 0),
        ("control", "loading", 0),
        ("tokenizer", "dose", 0),
        ("template", "dose", 0),
        ("backup", "dose", 0),
        ("weights", "finished", 1),  # the control's job was whole before
    ],
)
def test_a_swap_at_any_moment_is_seen_and_leaves_no_job_of_it(spec, tmp_path, what, moment, kept):
    store = tmp_path / "store"
    with pytest.raises(IntegrityError, match="changed"):
        audit(make_plan(spec), tmp_path / "run", Swapping(moment, lambda: SWAPS[what](tmp_path)), shared=store)
    assert not (tmp_path / "run" / "result.json").exists()
    assert len(list(store.glob("*/observations.parquet"))) == kept


def test_what_was_kept_beside_a_swap_serves_again_and_nothing_else_does(spec, tmp_path):
    store = tmp_path / "store"
    with pytest.raises(IntegrityError, match="changed"):
        audit(make_plan(spec), tmp_path / "run", Swapping("finished", lambda: SWAPS["weights"](tmp_path)), shared=store)
    assert run(spec, tmp_path / "again", store).evidence_digest == run(spec, tmp_path / "new", None).evidence_digest


def run(spec: AuditSpec, out: Path, store: Path | None) -> Result:
    return audit(make_plan(spec), out, Quiet(Console(stderr=True)), shared=store)


def test_facts_that_change_before_the_end_are_seen(spec, tmp_path):
    def change() -> None:
        (tmp_path / "forget.jsonl").write_text("".join(json.dumps(fact) + "\n" for fact in FACTS[:2]))

    with pytest.raises(IntegrityError, match=r"forget\.jsonl.*changed"):
        audit(make_plan(spec), tmp_path / "run", Swapping("dose", change))


def test_what_cannot_be_opened_is_found_before_the_first_job(spec, tmp_path):
    config = tmp_path / "checkpoint" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "num_hidden_layers": 1}))
    plan = make_plan(spec)
    with pytest.raises(SpecError, match=r"not used by the model that config.json describes"):
        audit(plan, tmp_path / "run", Quiet(Console(stderr=True)))
    assert not list((tmp_path / "run" / "jobs").glob("*/observations.parquet"))


def test_a_plan_whose_plug_in_is_other_code_elsewhere_is_refused(spec):
    from unlearn_audit.plan.live import open_plan

    plan = make_plan(spec).plan
    (attack, *rest) = plan.plugins
    changed = plan.model_copy(update={"plugins": (attack.model_copy(update={"source": "0" * 64}), *rest)})
    with pytest.raises(IntegrityError, match="as-is: is other code here"):
        open_plan(changed)
    assert replace(open_plan(plan)).plan == plan
