"""What the report draws: each number where it belongs, nothing where there is nothing, and no text but cleaned text."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests.golden import sample
from tests.golden.regenerate import screen
from tests.golden.rich_sample import LAYERS, rich
from tests.report.test_report_hostile import HARMLESS, HOSTILE, poisoned, tags, without_drawings
from unlearn_audit.api.terms import Status
from unlearn_audit.report import render
from unlearn_audit.report.figures import forest, membership_roc, tradeoff
from unlearn_audit.report.sections import layers, quantizers
from unlearn_audit.report.sections.worst_facts import worst_facts
from unlearn_audit.verdict.result import FactRecord, Result

SVG = "{http://www.w3.org/2000/svg}"


def words(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def with_findings(result: Result, findings) -> Result:
    return result.model_copy(update={"verdict": result.verdict.model_copy(update={"findings": tuple(findings)})})


def test_quantizers_stand_by_falling_bits_behind_the_checkpoint_as_it_is():
    findings = sample.failed().verdict.findings
    bars = quantizers.bars_of(findings[4], findings)
    assert [(bar.name, bar.bits) for bar in bars] == [
        ("as it is", None),
        ("int8", 8.0),
        ("fp4", 4.0),
        ("nf4", 4.0),
        ("nf4-double", 4.0),
    ]
    assert bars[0].cell.unlearned == 0.06 and bars[3].cell.unlearned == 1.0
    assert bars[3].cell.variant == "question"  # of its two wordings, the one that brings back more
    drawn = quantizers.draw(findings)
    assert drawn is not None and [panel.title for panel in drawn.panels] == ["recall.hit", "forced-choice.probability"]
    assert {"nf4, 4 bit", "100%", "as it is", "6%"} <= set(words(drawn.panels[0].svg))


def test_a_bar_is_as_long_as_its_share():
    findings = sample.failed().verdict.findings
    drawn = quantizers.draw(findings)
    assert drawn is not None
    svg = ElementTree.fromstring(drawn.panels[0].svg)
    bars = [path for path in svg.iter(f"{SVG}path") if "fill: var(--checkpoint)" in path.get("style", "")]
    spans = []
    for bar in bars:
        xs = [float(word) for word in bar.get("d", "").replace("M", "").replace("L", "").replace("z", "").split()][::2]
        spans.append(max(xs) - min(xs))
    shares = [bar.cell.unlearned for bar in quantizers.bars_of(findings[4], findings)]
    assert spans == pytest.approx([share * spans[3] for share in shares], abs=0.01)


def test_the_tradeoff_is_between_plain_asking_and_the_worst_attack_on_the_same_measure():
    result = sample.failed()
    plain, any_of = tradeoff.tradeoffs(result.verdict.findings)
    assert plain.plain.unlearned == 0.06 and plain.attacked.unlearned == 1.0
    assert plain.attack == "quantization/recall.hit"
    assert any_of.attacked is any_of.plain  # no attack was asked in any way
    # The least kind control shows 0.06 and the original 0.99: a tenth of the way between them may come back.
    assert plain.allowed == pytest.approx(0.06 + 0.1 * 0.93)
    assert tradeoff.draw(result) is not None


def test_without_retain_hits_there_is_no_tradeoff():
    result = sample.failed()
    utility = result.verdict.utility.model_copy(update={"unlearned": None, "original": None, "excess": None})
    lost = result.model_copy(update={"verdict": result.verdict.model_copy(update={"utility": utility})})
    assert tradeoff.draw(lost) is None
    assert "tradeoff-0" not in render(lost, "html")


def test_the_lens_is_mapped_by_part_and_layer():
    logit, linear = layers.maps(rich().verdict.findings)
    assert logit.layers == list(LAYERS) and list(logit.parts) == ["resid", "attn", "mlp"]
    assert list(linear.parts) == ["resid"]
    assert logit.parts["mlp"][5].unlearned == pytest.approx(0.7)
    drawn = layers.draw(rich().verdict.findings)
    assert drawn is not None
    shown = words(drawn.panels[0].svg)
    assert {"stream", "attention", "MLP", "93", "98", "51", "7"} <= set(shown)
    assert shown.count("U") == shown.count("O") == shown.count("C") == 3


def test_of_an_attacked_lens_the_worst_dose_is_mapped():
    findings = list(rich().verdict.findings)
    mild = [cell.model_copy(update={"dose": "mild", "unlearned": 0.5}) for cell in findings[-1].cells]
    mild = [cell.model_copy(update={"excess": cell.excess.model_copy(update={"estimate": -0.1})}) for cell in mild]
    findings[-1] = findings[-1].model_copy(update={"attack": "noise", "cells": (*mild, *findings[-1].cells)})
    (found,) = [one for one in layers.maps(findings) if one.finding.attack == "noise"]
    assert found.dose == "none" and found.parts["resid"][1].unlearned == 0.9


def test_what_is_no_place_in_a_model_is_not_mapped():
    findings = sample.failed().verdict.findings
    assert layers.maps([finding.model_copy(update={"probe": "lens"}) for finding in findings]) == []
    assert layers.draw(findings) is None


def test_curves_come_with_the_readings_and_the_checkpoint_is_drawn_last():
    (roc,) = membership_roc.rocs(rich())
    assert (roc.comparison, roc.score) == ("membership", "loss")
    assert [curve.role for curve in roc.curves] == ["retrained", "original", "unlearned"]
    assert roc.curves[-1].tpr == (0.0, 0.0, 0.02, 0.05, 0.1, 1.0)
    drawn = membership_roc.draw(rich())
    assert drawn is not None and {"10%", "100%"} <= set(words(drawn.panels[0].svg))


NO_CURVES = (
    None,
    "x",
    {"m": None},
    {"m": {"fpr": [0.0, 1.0]}},
    {"m": {"fpr": [0, 1], "tpr": [0]}},
    {"m": {"fpr": "01", "tpr": "01"}},
    {"m": {"fpr": [0, "1"], "tpr": [0, 1]}},
    {"m": {"fpr": [0, 2], "tpr": [0, 1]}},
)


@pytest.mark.parametrize("carried", NO_CURVES)
def test_what_is_no_curve_is_not_drawn(carried):
    result = rich()
    (first, second) = result.verdict.comparisons
    reading = first.readings[0].model_copy(update={"about": {"roc": carried}})
    verdict = result.verdict.model_copy(
        update={"comparisons": (first.model_copy(update={"readings": (reading,)}), second)}
    )
    assert membership_roc.draw(result.model_copy(update={"verdict": verdict})) is None


def test_a_control_stands_where_the_checkpoint_would_if_it_were_that_control():
    finding = sample.failed().verdict.findings[0]
    # Controls show 0.08 and 0.06, the original 0.99; the margin is a tenth of 0.93.
    assert forest.controls_of(finding) == pytest.approx([0.02 - 0.093, -0.093])
    shifted = finding.worst.model_copy(
        update={"excess": finding.worst.excess.model_copy(update={"estimate": finding.worst.excess.estimate + 0.1})}
    )
    assert forest.controls_of(finding.model_copy(update={"worst": shifted})) == []


def test_the_worst_facts_are_those_that_most_findings_name():
    findings = list(sample.failed().verdict.findings)

    def fact(name: str, share: float) -> FactRecord:
        return FactRecord(id=name, unlearned=share, control=0.1, original=1.0)

    findings[4] = findings[4].model_copy(update={"worst_facts": (fact("a", 0.9), fact("b", 1.0))})
    findings[5] = findings[5].model_copy(update={"worst_facts": (fact("a", 0.7), fact("c", 0.4))})
    worst = worst_facts(findings)
    assert [(one.fact.id, one.named_by, one.finding.id) for one in worst] == [
        ("a", 2, findings[4].id),
        ("b", 1, findings[4].id),
        ("c", 1, findings[5].id),
    ]
    markdown = render(with_findings(sample.failed(), findings), "md")
    section = markdown.split("## Worst facts")[1].split("\n## ")[0]
    assert "3 facts: " not in section and ": 3 facts." in section
    assert "| `a` | – | – | 2 |" in section and "90%" in section
    ids = ("f000", "f001", "f003")
    known = [one.model_copy(update={"id": name}) for one, name in zip((fact("", 0.9),) * 3, ids, strict=True)]
    findings[4] = findings[4].model_copy(update={"worst_facts": tuple(known)})
    result = with_findings(sample.failed(), findings)
    relations = {"f000": "born_in", "f001": "lives_in", "f003": "born_in"}
    result = result.model_copy(update={"case": result.case.model_copy(update={"relations": relations})})
    section = render(result, "md").split("## Worst facts")[1].split("\n## ")[0]
    assert "of 2 people; by relation: 2 of born\\_in, 1 of lives\\_in." in section
    assert "| `f000` | `subject-00` | `born_in` | 1 |" in section


def test_a_report_of_everything_is_small_and_the_same_twice():
    page = render(rich(), "html")
    assert page == render(rich(), "html")
    assert len(page.encode()) < 300_000
    assert page.count('role="img"') >= 8
    assert "checkpoint-npo" in page


def test_the_terminal_says_in_one_place_where_comparisons_stand():
    lines = screen(rich()).splitlines()
    (place,) = [number for number, line in enumerate(lines) if line.startswith("Traces")]
    said = " ".join(line.strip() for line in lines[place : place + 2])
    assert "advisory: membership failed (auc loss); representation error" in said
    assert not [line for line in screen(sample.failed()).splitlines() if line.startswith("Traces")]


def test_a_passed_comparison_is_not_called_by_a_reading():
    result = rich()
    (first, _) = result.verdict.comparisons
    reading = first.readings[0].model_copy(update={"status": Status.PASSED})
    decides = first.model_copy(update={"readings": (reading,), "gates": True})
    verdict = result.verdict.model_copy(update={"comparisons": (decides,)})
    assert "deciding: membership passed" in screen(result.model_copy(update={"verdict": verdict}))


@pytest.mark.parametrize("kind", ["attribute", "mathematics", "rich markup", "script", "svg"])
def test_hostile_names_draw_what_harmless_ones_draw(kind):
    found = tags(render(poisoned(HOSTILE[kind], rich()), "html")).found
    assert without_drawings(found) == without_drawings(tags(render(poisoned(HARMLESS, rich()), "html")).found)
    assert not {name for _, names in found for name in names if name.startswith("on")}


def test_the_forest_plot_says_what_it_leaves_out():
    findings = sample.error().verdict.findings
    assert forest.note(sample.failed().verdict.findings) == ""
    assert forest.note(findings) == "Not drawn, for lack of an interval: 1 finding."
    assert forest.note(findings * 9) == (
        "Not drawn, for lack of an interval: 9 findings. The first 40 of 54 are drawn."
    )


def test_a_long_name_in_the_forest_plot_keeps_both_its_ends():
    finding = sample.failed().verdict.findings[3].model_copy(update={"id": "suffix-transfer/" + "x" * 60 + ".strength"})
    plots = forest.draw([finding])
    assert plots is not None
    (name,) = [word for word in words(plots[0]) if word.endswith("(advisory)")]
    assert name.startswith("suffix-") and ".strength" in name and len(name) <= 40
