"""What a reader learns first: which checkpoint, what the verdict means, what to do, and what was not looked at."""

from __future__ import annotations

import re

import pytest

from tests.golden import sample
from unlearn_audit.api.terms import Status
from unlearn_audit.report import render
from unlearn_audit.report.sections.summary import by_gravity, checkpoint_name, headline, next_steps, not_covered
from unlearn_audit.verdict.result import Control, Outcome, Result


def at(reference: str) -> Result:
    """The sample with its checkpoint at a place."""
    result = sample.passed()
    models = [
        one.model_copy(update={"reference": reference}) if one.role == "unlearned" else one for one in result.models
    ]
    return result.model_copy(update={"models": tuple(models)})


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("/data/runs/npo-17", "npo-17"),
        ("/data/runs/npo-17/", "npo-17"),
        ("/data/runs/npo-17/checkpoint-500", "npo-17/checkpoint-500"),
        ("/data/runs/npo-17/final", "npo-17/final"),
        ("./npo.gguf", "npo.gguf"),
        ("someone/llama-unlearned@v2", "someone/llama-unlearned@v2"),
        ("/model", "model"),
        ("/", "the checkpoint"),
        ("", "the checkpoint"),
    ],
)
def test_a_page_is_called_after_its_checkpoint(reference: str, name: str) -> None:
    assert checkpoint_name(at(reference)) == name


def test_without_a_checkpoint_on_record_it_has_a_plain_name() -> None:
    assert checkpoint_name(sample.passed().model_copy(update={"models": ()})) == "the checkpoint"


def told(attack: str, dose: str, **cell: object) -> str:
    """The headline of a failure at a dose."""
    result = sample.failed()
    worst = next(one for one in result.verdict.findings if one.status is Status.FAILED and one.measure == "hit")
    assert worst.worst is not None
    place = worst.worst.model_copy(update={"dose": dose, **cell})
    finding = worst.model_copy(update={"attack": attack, "worst": place})
    return headline(result.model_copy(update={"verdict": result.verdict.model_copy(update={"findings": (finding,)})}))


def test_a_failure_is_told_in_counts_of_questions() -> None:
    counted = {"shown": 62.0, "facts": 120, "allowed": 12.0, "controls": {"retrained": 0.0}}
    assert told("relearning", "same-syntax lora r16 step 20", **counted) == (
        "After 20 training steps (same-syntax lora r16), it answers 62 of 120 questions about what it should have "
        "forgotten; 12 may come back; the controls show 0%."
    )
    assert told("quantization", "nf4", **counted).startswith("Rounded to nf4, it answers 62 of 120 questions")
    assert told("as-is", "none", **counted).startswith("Simply asked, it answers 62 of 120")
    assert told("soft-prompt", "step 60", **counted).startswith("Under the attack soft-prompt (step 60), it answers")
    assert told("quantization", "nf4", unlearned=0.5).startswith("Rounded to nf4, it shows 50% of what it should have")


def test_twin_answers_are_not_called_controls_that_never_saw_the_facts() -> None:
    assert "; the controls show 6% to 8%." in headline(sample.failed())
    result = sample.failed()
    twins = [one.model_copy(update={"control": Control.TWINS}) for one in result.verdict.findings]
    verdict = result.verdict.model_copy(update={"findings": tuple(twins), "control": Control.TWINS})
    changed = result.model_copy(update={"verdict": verdict})
    assert "controls" not in headline(changed)
    assert "what it is compared with (twin answers)" in render(changed, "md")


def test_what_only_advises_or_was_accepted_is_not_what_failed() -> None:
    result = sample.failed()
    leaks = [one for one in result.verdict.findings if one.status is Status.FAILED]
    advisory = leaks[0].model_copy(update={"attack": "steering", "gates": False})

    def of(*findings: object) -> str:
        return headline(result.model_copy(update={"verdict": result.verdict.model_copy(update={"findings": findings})}))

    assert of(advisory, leaks[1]).startswith("Rounded to nf4")
    neutral = "No single attack is what fails this audit; the sentence below and the reasons say what does."
    assert of(advisory) == of() == neutral  # lost utility, one person, or a policy that fails what stays open


@pytest.mark.parametrize("name", sorted(sample.ALL))
def test_every_outcome_has_a_sentence_and_a_next_step(name: str) -> None:
    result = sample.ALL[name]()
    assert re.fullmatch(r"[A-Z].*\.", headline(result))
    assert next_steps(result) and not_covered(result)
    assert not re.search(r"Holm|p-value|recall\.hit|lower bound", headline(result))
    page = render(result, "html")
    for text in (*next_steps(result)[:1], "What to do next", 'id="glance"'):
        assert text in page
    assert result.outcome in (Outcome.PASS, Outcome.WAIVED) or "then sign it" not in page


def test_the_worst_comes_first_and_failures_before_all_else() -> None:
    findings = sample.failed().verdict.findings
    ordered = by_gravity(findings)
    assert [one.status for one in ordered[:2]] == [Status.FAILED, Status.FAILED]
    assert ordered[0].id == "quantization/recall.hit"
    assert {one.id for one in ordered} == {one.id for one in findings}
    table = render(sample.failed(), "md").partition("## At a glance")[2]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert rows[0].startswith("| `quantization` | ❌ 100% (6% to 8%)")


def test_detail_is_folded_and_what_is_empty_is_not_there() -> None:
    page = render(sample.failed(), "html")
    assert re.search(r'<section id="provenance">\s*<details>\s*<summary><h2>Provenance</h2>', page)
    assert re.search(r'<section id="findings">\s*<h2>Findings</h2>', page)
    assert 'id="layers"' not in page and 'id="comparisons"' not in page
