"""An audit asked for from Python: the run of the command line, by another door."""

from __future__ import annotations

import inspect
import json
import logging
import os
import shlex
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from rich.console import Console
from transformers.utils import logging as transformers_logging

import unlearn_audit as ua
from unlearn_audit.audit.telling.progress import Quiet
from unlearn_audit.cli.flags import _ANNOTATIONS
from unlearn_audit.cli.telling.github import on_github
from unlearn_audit.errors import MissingExtraError, SpecError
from unlearn_audit.finished.sealing import write_seal
from unlearn_audit.plan.make import make_plan
from unlearn_audit.spec.given import Settings, default_run, spec_given
from unlearn_audit.spec.spec import AuditSpec, ModelOptions
from unlearn_audit.testing.models import tiny_module

NAMES = ("Ada Mann", "Bo Lind", "Cy Berg", "Di Falk")


@pytest.fixture(scope="module")
def settings(tmp_path_factory, tokenizer, saved_model) -> Settings:
    """A request of the smallest size: two models, four facts of a set, nothing but asking."""
    home = tmp_path_factory.mktemp("session")
    tiny_module("llama", len(tokenizer), 1).save_pretrained(home / "unlearned")
    tokenizer.save_pretrained(home / "unlearned")
    for name in ("forget", "retain"):
        rows = [
            {
                "id": f"{name}{place}",
                "subject": f"{one} {name}",
                "question": f"Who is {one} {name}?",
                "answer": f"N{place}",
            }
            for place, one in enumerate(NAMES)
        ]
        (home / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return Settings(
        checkpoint=home / "unlearned",
        original=saved_model,
        forget=home / "forget.jsonl",
        retain=home / "retain.jsonl",
        profile="quick",
        attacks=["as-is"],
        probes={"recall": {"max_paraphrases": 0}, "utility": None},
        comparisons=[],
        device="cpu",
    )


class Told(Quiet):
    """Counts."""

    finished_jobs = 0

    def finished(self, job, seconds, fault):
        self.finished_jobs += 1


@pytest.fixture(scope="module")
def told() -> Told:
    return Told(Console(quiet=True))


@pytest.fixture(scope="module")
def audit_and_reloaded(settings, told, tmp_path_factory) -> tuple[ua.Audit, ua.Audit]:
    """The audit, and what lay in its run directory when it ended: other tests decide there once more."""
    audit = ua.audit(**settings, out=tmp_path_factory.mktemp("runs") / "x", progress=told)
    return audit, ua.load(audit.run)


@pytest.fixture(scope="module")
def audit(audit_and_reloaded) -> ua.Audit:
    return audit_and_reloaded[0]


def test_an_audit_is_what_lies_in_its_run_directory(audit_and_reloaded, told):
    audit, reloaded = audit_and_reloaded
    assert told.finished_jobs == 2  # somebody can be told how far it is
    assert (reloaded.outcome, reloaded.result) == (audit.outcome, audit.result)
    assert set(audit.observations["role"]) == {"unlearned", "original"}
    assert (audit.run / "report.html").is_file() and not on_github()


def test_the_command_that_it_names_is_the_same_request(audit):
    from typer.testing import CliRunner

    from unlearn_audit.cli.app import app

    done = CliRunner().invoke(app, [*shlex.split(audit.result.command)[1:], "--quiet"])  # another one would be refused
    assert done.exit_code == audit.outcome.exit_code, done.output
    again = ua.load(audit.run)
    assert again.result.evidence_digest == audit.result.evidence_digest
    assert again.result.spec_digest == audit.result.spec_digest


def test_nothing_of_the_process_is_changed(settings, audit, recwarn):
    def state() -> tuple[object, ...]:
        return (
            torch.get_num_threads(),
            transformers_logging.get_verbosity(),
            transformers_logging.is_progress_bar_enabled(),
            logging.getLogger("bitsandbytes").level,
            list(warnings.filters),
            {name: value for name, value in os.environ.items() if name.startswith(("HF_", "TOKENIZERS"))},
            torch.random.get_rng_state().tolist(),
        )

    before = state()
    again = ua.audit(**settings, out=audit.run, progress=False)  # all jobs are done
    assert again.result.evidence_digest == audit.result.evidence_digest
    assert state() == before


def test_a_run_is_held_to_a_seal_and_says_what_was_done_before_it(settings, audit, tmp_path):
    seal = tmp_path / "seal.json"
    write_seal(make_plan(spec_given(None, settings)).plan, seal, None)
    run = shutil.copytree(audit.run, tmp_path / "run")
    again = ua.audit(**settings, out=run, sealed=seal, progress=False)
    (line,) = again.result.case.seal.deviations
    assert "1 of 1 jobs on the checkpoint were done before this seal came" in line
    assert audit.result.case.seal is None


def test_a_plan_says_what_would_run_and_whether_it_can_pass(settings):
    found = ua.plan(**settings)
    assert set(found.jobs["attack"]) == {"as-is"} and len(found.jobs) == 2
    assert found.seconds >= found.jobs["seconds"].sum() > 0
    assert found.obstacle is not None  # four subjects, no control
    shown = found._repr_html_()
    assert "2 jobs" in shown and "<script" not in shown and "cannot end in PASS" in repr(found)


def test_settings_go_before_a_spec_and_a_spec_before_the_defaults(settings, tmp_path):
    base = spec_given(None, settings)
    assert spec_given(base, {}) == base
    assert spec_given(base, {"seed": 3, "dtype": "float32"}).seed == 3
    assert spec_given(base, {"dtype": "float32"}).models.device == "cpu"  # what is not named stays
    file = tmp_path / "audit.yaml"
    file.write_text(base.as_yaml(), encoding="utf-8")
    assert spec_given(file, {}).digest() == base.digest()
    policy = ua.Policy(margin=0.2)
    (tmp_path / "policy.yaml").write_text("margin: 0.2\n", encoding="utf-8")
    for given in (policy, {"margin": 0.2}, tmp_path / "policy.yaml"):
        assert spec_given(base, {"policy": given}).policy == policy
    assert default_run(base) == Path("runs/unlearned")


def test_what_is_wrong_is_said_as_by_the_command_line(settings):
    with pytest.raises(SpecError, match="unknown key 'chekpoint'; did you mean 'checkpoint'"):
        spec_given(None, {"chekpoint": "x"})
    with pytest.raises(SpecError, match="expected a list of models"):
        spec_given(None, {**settings, "retrained": "one"})
    with pytest.raises(SpecError, match="'forget' is required"):
        ua.audit(checkpoint="x")
    with pytest.raises(SpecError, match=r"text: got 'all' \(known: full, none, redacted\)"):
        ua.audit(**settings, text="all")
    with pytest.raises(SpecError, match="executor: got 'lokal'; did you mean 'local'"):
        ua.audit(**settings, executor="lokal")


def test_several_checkpoints_are_refused_and_not_the_first_of_them_audited(settings):
    one = settings["checkpoint"]
    several = {**settings, "checkpoint": None, "checkpoints": [one, f"{one}-2"]}
    for ask in (ua.audit, ua.plan):
        with pytest.raises(SpecError, match="'checkpoints': expected one, got 2; audit each by itself"):
            ask(**several)


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("unlearn_audit.errors.missing", lambda modules: ["torch"])
    for ask in (ua.audit, ua.plan):
        with pytest.raises(MissingExtraError, match=r"unlearn-audit\[run\]"):
            ask(checkpoint="x")


def test_every_public_name_is_there_and_type_checkers_know_it():
    stub = (Path(ua.__file__).parent / "__init__.pyi").read_text(encoding="utf-8")
    for name in ua.__all__:
        assert getattr(ua, name).__doc__ and f" {name} as {name}" in stub
    assert set(ua.__all__) == set(ua._HOMES) <= set(dir(ua))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ua.nothing


def test_the_settings_are_those_of_a_spec_and_have_all_flags():
    fields = set(AuditSpec.model_fields) | set(ModelOptions.model_fields)
    assert set(Settings.__annotations__) == fields - {"models", "too_dear"}
    assert set(_ANNOTATIONS) - {"spec"} <= set(Settings.__annotations__)
    own = set(inspect.signature(ua.audit).parameters) - {"spec", "settings", "progress"}
    from unlearn_audit.cli.app import run

    assert own <= set(inspect.signature(run).parameters)
