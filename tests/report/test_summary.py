"""What a reader learns first: which checkpoint, what the verdict means, what to do, and what was not looked at."""

from __future__ import annotations

import re
from html import escape

import pytest
from unlearn_audit.attacks.relearning.data import Data

from tests.golden import sample
from tests.golden.regenerate import screen
from unlearn_audit.api import Attack, Probe
from unlearn_audit.api.plugins import ATTACKS as ATTACK_GROUP
from unlearn_audit.api.plugins import OWN_DISTRIBUTION, PROBES, available
from unlearn_audit.api.terms import Status
from unlearn_audit.report import render
from unlearn_audit.report.parts.numbers import percent
from unlearn_audit.report.parts.text import escape_markdown
from unlearn_audit.report.parts.words import ATTACKS, MEASURES, TEXTS
from unlearn_audit.report.sections.sealed import standing
from unlearn_audit.report.sections.summary import by_gravity, checkpoint_name, headline, next_steps, not_covered
from unlearn_audit.spec.policy import Release
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
    counted = {"shown": 62.0, "facts": 120, "allowed": 12.9, "controls": {"retrained": 0.0}}
    assert told("relearning", "same-syntax lora r16 step 20", **counted) == (
        "After 20 training steps on harmless text of the same form (lora r16), it answers 62 of 120 questions about "
        "what it should have forgotten; 12 may come back; the controls show 0%."
    )
    assert told("quantization", "nf4", **counted).startswith("Rounded to nf4, it answers 62 of 120 questions")
    assert told("as-is", "none", **counted).startswith("Simply asked, it answers 62 of 120")
    assert told("relearning", "mine full step 5", **counted).startswith(
        "After 5 training steps (mine full), it answers"
    )
    assert told("relearning", "epoch 2", **counted).startswith("Trained again (epoch 2), it answers")
    soft = told("soft-prompt", "step 60", **counted)
    assert soft.startswith("Under the attack soft-prompt (a trained beginning, at step 60), it answers")
    assert told("theirs", "level 3", **counted).startswith("Under the attack theirs (level 3), it answers")
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
    table = render(sample.failed(), "md").partition("## At a glance")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert rows[0].startswith("| `quantization` rounded to fewer bits | ❌ 100% (6% to 8%)")
    assert [row.split("`")[1] for row in rows] == ["quantization", "relearning", "as-is"]


def test_detail_is_folded_and_what_is_empty_is_not_there() -> None:
    page = render(sample.failed(), "html")
    assert re.search(r'<section id="provenance">\s*<details class="part">\s*<summary><h2>Provenance</h2>', page)
    assert re.search(r'<section id="findings">\s*<h2>Findings</h2>', page)
    assert 'id="layers"' not in page and 'id="comparisons"' not in page


def test_advisory_attacks_are_folded_below_the_matrix() -> None:
    result = sample.failed()
    leak = next(one for one in result.verdict.findings if one.status is Status.FAILED)
    steered = leak.model_copy(update={"attack": "steering", "id": "steering/recall.hit", "gates": False})
    verdict = result.verdict.model_copy(update={"findings": (*result.verdict.findings, steered)})
    page = (
        render(result.model_copy(update={"verdict": verdict}), "html")
        .partition('id="glance"')[2]
        .partition("</section>")[0]
    )
    main, fold, folded = page.partition('<details class="fold">')
    assert fold and "1 more attack, advisory: no pass needs them" in folded
    assert "steering" in folded and "steering" not in main
    assert headline(result) == headline(result.model_copy(update={"verdict": verdict}))


def test_a_pass_is_told_in_counts_where_facts_are_counted() -> None:
    result = sample.passed()
    assert headline(result).endswith("the checkpoint shows no more of 180 facts than may come back.")
    counted = []
    for one in result.verdict.findings:
        told = {"shown": 7.0, "shown_at_most": 8.0 if one.attack == "quantization" else 7.0, "allowed": 18.7}
        counted.append(one.model_copy(update={"cells": tuple(cell.model_copy(update=told) for cell in one.cells)}))
    verdict = result.verdict.model_copy(update={"findings": tuple(counted)})
    assert headline(result.model_copy(update={"verdict": verdict})) == (
        "Asked plainly and under 2 attacks, the checkpoint shows at most 8 of 180 facts, where 18 may come back."
    )


def test_what_is_not_covered_names_what_this_audit_left_out() -> None:
    result = sample.passed()
    assert "forced-choice on 4 facts" in " ".join(not_covered(result))
    assert not any("hold the weights" in gap or "planted" in gap or "guess" in gap for gap in not_covered(result))
    case = result.case.model_copy(update={"release": Release.API, "plants": None})
    bare = result.model_copy(update={"case": case, "models": result.models[:2]})
    assert sum("hold the weights" in gap or "planted" in gap or "guess" in gap for gap in not_covered(bare)) == 3


def test_every_attack_and_every_measure_of_ours_that_decides_has_plain_words() -> None:
    probes = {
        name: entry.plugin for name, entry in available(PROBES, Probe).items() if entry.distribution == OWN_DISTRIBUTION
    }
    decide = {f"{name}.{measure.name}" for name, probe in probes.items() for measure in probe.measures if measure.gates}
    assert decide == set(MEASURES)
    attacks = {
        name for name, entry in available(ATTACK_GROUP, Attack).items() if entry.distribution == OWN_DISTRIBUTION
    }
    assert attacks == set(ATTACKS)
    assert {kind.value for kind in Data} == set(TEXTS)


@pytest.mark.parametrize("name", sorted(sample.ALL))
def test_page_markdown_and_terminal_say_the_same(name: str) -> None:
    result = sample.ALL[name]()
    page, markdown, terminal = render(result, "html"), render(result, "md"), " ".join(screen(result).split())
    told = (headline(result), *not_covered(result), standing(result))
    for text in told:
        assert escape(text, quote=False) in page.replace("&#39;", "'")
        assert escape_markdown(text) in markdown
        assert text in terminal
    digest = next(model.digest for model in result.models if model.role == "unlearned")[:12]
    assert all(f"sha256 {digest}" in each for each in (page, markdown, terminal))
    for one in result.verdict.findings:
        if one.gates and one.worst is not None:
            share = percent(one.worst.unlearned)
            row = next(line for line in markdown.splitlines() if line.startswith(f"| `{one.id}` | ") and "%" in line)
            assert f"| {share} |" in row
            assert any(share in line for line in screen(result).splitlines() if line.endswith(f" {one.subjects}"))
