"""Files that are served are audited in the checkpoint's place: planned, loaded, digested and named each by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from tests.attacks.quantization.test_gguf_files import written as written  # the fixture
from tests.run.test_runner import ran
from tests.run.test_runner import spec as spec  # the fixture
from tests.science.conftest import run_audit, small_spec
from unlearn_audit.demo import brief_facts
from unlearn_audit.errors import SpecError
from unlearn_audit.plan.case import SERVED
from unlearn_audit.plan.make import make_plan
from unlearn_audit.run.records import job_records
from unlearn_audit.spec.policy import Policy, Release
from unlearn_audit.spec.spec import AuditSpec
from unlearn_audit.verdict.result import Outcome

REQUIRED = {Release.API: ("as-is", "served"), Release.OPEN_WEIGHTS: ("as-is", "served")}


def stored_in_nf4(source: str, target: Path) -> str:
    """A checkpoint directory in bitsandbytes' codes, as transformers writes it."""
    codes = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    AutoModelForCausalLM.from_pretrained(source, quantization_config=codes).save_pretrained(target)
    AutoTokenizer.from_pretrained(source).save_pretrained(target)
    return str(target)


@pytest.fixture
def served(spec: AuditSpec, written, tmp_path: Path) -> AuditSpec:
    """An audit of a checkpoint, with a GGUF file and a directory in codes beside it."""
    path, _ = written
    directory = stored_in_nf4(spec.checkpoint, tmp_path / "in-nf4")
    return spec.model_copy(
        update={"served": (str(path), directory), "probes": {"recall": {"max_new_tokens": 2}, "forced-choice": {}}}
    )


def test_every_role_has_a_job_for_each_artefact_and_the_checkpoints_is_on_the_file(served):
    live = make_plan(served)
    jobs = [job for job in live.plan.jobs if job.attack == SERVED]
    found = {(job.arm.name, str(job.model.role)): job.model for job in jobs}
    assert set(found) == {(name, role) for name in ("model-mixed.gguf", "in-nf4") for role in ("original", "unlearned")}
    assert {job.probes for job in jobs} == {("recall", "forced-choice")}
    for name, reference in zip(("model-mixed.gguf", "in-nf4"), served.served, strict=True):
        assert found[name, "unlearned"].checkpoint.reference == reference
        assert found[name, "original"].checkpoint.reference == served.original
    assert live.plan.case.served_arms[SERVED] == ("model-mixed.gguf", "in-nf4")
    own, plain = (
        {(one.probe, one.measure): one.gates for one in live.plan.case.planned if one.attack == name and not one.any_of}
        for name in (SERVED, "as-is")
    )
    assert own == plain  # what decides on the checkpoint decides on its file
    assert all(one.at_every_dose for one in live.plan.case.planned if one.attack == SERVED)
    assert len({job.key for job in live.plan.jobs}) == len(live.plan.jobs)


def test_artefacts_run_and_are_named_with_their_digests(served, tmp_path: Path):
    live = make_plan(served)
    gathered, store = ran(live, tmp_path / "out")
    assert not gathered.faults, gathered.faults
    models = {one.name: one for one in gathered.models}
    gguf_file, directory = models["served model-mixed.gguf"], models["served in-nf4"]
    assert (gguf_file.role, directory.role) == ("unlearned", "unlearned")
    assert len({one.digest for one in gathered.models}) == len(gathered.models) == 4
    assert "stored in bitsandbytes codes" in directory.notes[0]
    rows = store.gather(job_records(live.plan, store, gathered.faults))
    own = rows[(rows["attack"] == SERVED) & (rows["probe"] == "forced-choice")]
    assert set(own["dose"]) == {"model-mixed.gguf", "in-nf4"}
    plain = rows[(rows["attack"] == "as-is") & (rows["probe"] == "forced-choice")]

    def scores(frame, role, dose):
        one = frame[(frame["role"] == role) & (frame["dose"] == dose) & frame["score"].notna()]
        return one.sort_values(["fact_id", "measure", "variant"])["score"].tolist()

    # What is served is another model than the checkpoint; the original stands as it is.
    assert scores(own, "unlearned", "in-nf4") != scores(plain, "unlearned", "none")
    assert scores(own, "unlearned", "model-mixed.gguf") != scores(own, "unlearned", "in-nf4")
    assert scores(own, "original", "in-nf4") == scores(plain, "original", "none")


def test_two_artefacts_of_one_name_are_refused(served):
    doubled = served.model_copy(update={"served": (served.served[1], served.served[1])})
    with pytest.raises(SpecError, match="two files are named in-nf4; rename one"):
        make_plan(doubled)


def test_without_artefacts_nothing_of_it_is_planned_and_the_spec_keeps_its_digest(spec):
    everything = make_plan(spec.model_copy(update={"attacks": None}))
    assert SERVED not in everything.plan.attacks
    assert not any(one.what.startswith(SERVED) for one in everything.plan.case.left_out)
    assert spec.model_copy(update={"served": ("x.gguf",)}).digest() != spec.digest()
    assert "served" not in spec.model_dump(mode="json", exclude={"served"})


@pytest.mark.science
@pytest.mark.slow
@pytest.mark.parametrize(("organism", "expected"), [("nf4-masked", Outcome.FAIL), ("retrained", Outcome.PASS)])
def test_what_comes_back_in_the_served_file_fails_the_audit(organism, expected, tmp_path: Path):
    """A checkpoint that forgot in full precision and is served in 4 bits, and one that never learned."""
    spec = small_spec(organism, brief_facts())
    artefact = stored_in_nf4(spec.checkpoint, tmp_path / "served-in-nf4")
    update = {"attacks": {"as-is": {}}, "served": (artefact,), "policy": Policy(required=REQUIRED)}
    result = run_audit(spec.model_copy(update=update), tmp_path / "run")
    assert result.outcome is expected, result.verdict.reasons
    hits = next(one for one in result.verdict.findings if one.id == "served/recall.hit")
    (cell,) = {cell.dose: cell for cell in hits.cells}.values()
    assert cell.dose == "served-in-nf4"
    if expected is Outcome.FAIL:
        assert cell.unlearned > 0.9
        plain = next(one for one in result.verdict.findings if one.id == "as-is/recall.hit")
        assert max(one.unlearned for one in plain.cells) < 0.2  # nobody sees it without the file
    else:
        assert "as served in served-in-nf4" in result.verdict.sentence
