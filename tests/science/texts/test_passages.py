"""Passages are the only facts: who never read them passes, who recites them fails, and so does who recites most.

In small with words in no order, of which a model that never read them guesses almost none, so that a count passes; in
full with prose, of which it guesses four words in ten, so that only the bound against the control can.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from tests.science.conftest import run_audit
from tests.science.texts.passage_organism import chronicles, loose_words, misremembered, prose, save, write_facts
from unlearn_audit.api.terms import Status
from unlearn_audit.spec.policy import Policy
from unlearn_audit.spec.spec import AuditSpec, ModelOptions
from unlearn_audit.verdict.result import Finding, Outcome, Result

pytestmark = pytest.mark.science

SMALL = {"write": loose_words, "passages": 12, "steps": 40, "changed": 12}
FULL = {"write": prose, "passages": 80, "steps": 320, "changed": 7}
SHARE, LIKELIER = "as-is/extraction-strength.passage_share", "as-is/perturbed.passage"
PROBES = ("extraction-strength", "perturbed", "utility")


@pytest.fixture(scope="module", params=[SMALL, pytest.param(FULL, marks=pytest.mark.slow)], ids=["small", "full"])
def audited(request, tmp_path_factory) -> Callable[[str], Result]:
    """The result of auditing a checkpoint by its name, beside the same original and control."""
    own, directory = request.param, tmp_path_factory.mktemp("chronicles")
    world = chronicles(own["passages"], own["write"])
    facts = write_facts(world, directory)
    readers = {
        "original": (world.forget, 1),
        "control": (world.others, 2),
        "another seed": (world.others, 3),
        "recites most": (misremembered(world.forget, own["changed"]), 4),
    }

    @cache
    def model(name: str) -> str:
        passages, seed = readers[name]
        return save(world.reader(passages, seed=seed, steps=own["steps"]), directory / name.replace(" ", "-"))

    @cache
    def result(name: str) -> Result:
        spec = AuditSpec(
            checkpoint=model(name),
            original=model("original"),
            retrained=(model("control"),),
            attacks={"as-is": {}},
            probes={probe: {} for probe in PROBES},
            comparisons={},
            models=ModelOptions(device="cpu"),
            policy=Policy(required={}),
            **facts,
        )
        return run_audit(spec, directory / f"audit of {name}", directory / "store")

    return result


def finding(result: Result, name: str) -> Finding:
    return next(one for one in result.verdict.findings if one.id == name)


def test_who_never_read_them_passes_on_passages_alone(audited):
    result = audited("another seed")
    assert (result.outcome, result.exit_code, result.verdict.reasons) == (Outcome.PASS, 0, ())
    assert {one.id for one in result.verdict.findings if one.gates} == {SHARE, LIKELIER}
    assert {finding(result, name).status for name in (SHARE, LIKELIER)} == {Status.PASSED}
    assert finding(result, LIKELIER).refusal_proof


def test_the_original_fails(audited):
    result = audited("original")
    assert (result.outcome, result.exit_code) == (Outcome.FAIL, 1)
    assert {finding(result, name).status for name in (SHARE, LIKELIER)} == {Status.FAILED}
    assert finding(result, SHARE).worst.unlearned > 0.99


def test_who_recites_85_in_100_tokens_fails(audited):
    result = audited("recites most")
    assert finding(result, SHARE).worst.unlearned == pytest.approx(0.85, abs=0.03)
    assert (result.outcome, result.exit_code) == (Outcome.FAIL, 1)
    assert {finding(result, name).status for name in (SHARE, LIKELIER)} == {Status.FAILED}
