"""Annexes for regulators: the sources are named, evidence is evidence, and every format says the same."""

from __future__ import annotations

import json
import re

import pytest

from tests.golden import sample
from tests.golden.rich_sample import annexed, rich, sealed
from unlearn_audit.errors import SpecError
from unlearn_audit.report import render
from unlearn_audit.report.annexes.texts import TEXTS, annexes
from unlearn_audit.report.formats.json import load_result
from unlearn_audit.report.parts.text import escape_markdown
from unlearn_audit.verdict.result import Result

CLAIMS = re.compile(
    r"\b(complies|compliant|in compliance|lawful|meets? the requirement|conforms?|certif)", re.IGNORECASE
)


def evidence(result: Result, name: str) -> dict[str, str]:
    """What an annex has on each passage, all on one line."""
    (annex,) = annexes(result, [name])
    found: dict[str, str] = {}
    for row in annex.rows:
        found[row.source] = " ".join(filter(None, (found.get(row.source), row.evidence)))
    return found


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("variant", [*sorted(sample.ALL), "rich"])
def test_every_row_has_a_source_and_says_evidence_and_never_compliance(name: str, variant: str) -> None:
    (annex,) = annexes(rich() if variant == "rich" else sample.ALL[variant](), [name])
    assert annex.id == name and annex.sources and len(annex.rows) >= 8
    for row in annex.rows:
        assert re.search(r"\d", row.source) and row.asks and row.evidence.endswith(".") and row.sections
        assert not CLAIMS.search(f"{row.asks} {row.evidence}")


@pytest.mark.parametrize("name", TEXTS)
def test_html_markdown_and_json_hold_the_same_annex(name: str, tmp_path) -> None:
    result = annexed(rich())
    found = next(one for one in result.appendix.annexes if one.id == name)
    markdown, page, document = (render(result, each) for each in ("md", "html", "json"))
    assert markdown.count("It is no statement of compliance and no legal advice") == len(TEXTS)
    assert f'<section id="annex-{name}">' in page
    told = json.loads(document)["appendix"]["annexes"]
    assert [one["id"] for one in told] == list(TEXTS)
    for row in found.rows:
        assert escape_markdown(row.evidence) in markdown
        assert row.evidence.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in page
    assert [row["evidence"] for one in told if one["id"] == name for row in one["rows"]] == [
        r.evidence for r in found.rows
    ]
    path = tmp_path / "result.json"
    path.write_text(document)
    assert load_result(path) == result


def test_a_report_without_annexes_has_none() -> None:
    page = render(sample.failed(), "html")
    assert "Annex:" not in page and 'id="annex' not in page
    assert json.loads(render(sample.failed(), "json"))["appendix"] is None


def test_evidence_follows_what_was_measured() -> None:
    plain, looked = evidence(sample.failed(), "gdpr"), evidence(rich(), "gdpr")
    source = "Opinion 28/2024, section 3.2"
    assert "No evidence here: membership inference was not run." in plain[source]
    assert "membership: failed, against its null." in looked[source]
    assert "No evidence here: people were not counted one by one." in plain[source]
    assert "Of 60 people, 21 show a fact in the worst cell (2.5 in the control); 1 proven" in looked[source]
    assert plain["GDPR, Article 17(1)"] == "Verdict FAIL; margin 10%."
    worst = "Worst: quantization/recall.hit, 100% shown, controls 6% to 8%."
    assert "relearning" in evidence(sample.failed(), "nist")["AI RMF, MEASURE 2.7"]
    assert evidence(sample.passed(), "nist")["AI RMF, MANAGE 1.1"] == (
        "Verdict PASS for release tier open-weights: nothing in it stands against release, as far as it goes."
    )
    assert "does not support release" in evidence(sample.error(), "nist")["AI RMF, MANAGE 1.1"]
    assert worst in evidence(sample.failed(), "ai-act")["AI Act, Article 15(5) (high-risk systems)"]


def test_thresholds_that_were_there_before_are_only_known_of_a_sealed_plan() -> None:
    source = "AI Act, Article 9(8) (high-risk systems)"
    assert "was not sealed before the run" in evidence(sample.passed(), "ai-act")[source]
    assert "was sealed at 2026-01-10T08:00:00+00:00 and kept." in evidence(sealed(sample.passed()), "ai-act")[source]
    broken = evidence(sealed(sample.passed(), "seed: another"), "ai-act")[source]
    assert broken.endswith("and not kept (1 deviation).")


def test_an_attestation_is_told_of_without_being_vouched_for() -> None:
    assert "no attestation is known to this report" in evidence(sample.passed(), "nist")["AI RMF, MEASURE 2.1"]
    page = render(annexed(sample.passed()), "html")
    assert f"<dt>Signed</dt><dd>by key {sample.digest('signer')[:8]}, unchecked</dd>" in page
    assert "<dt>Signed</dt><dd>no</dd>" in render(sample.passed(), "html")


def test_an_annex_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(SpecError, match=r"--annex: no annex named 'gpdr'.*gdpr"):
        annexes(sample.passed(), ["gpdr"])
    assert [one.id for one in annexes(sample.passed(), ["nist", "gdpr", "nist"])] == ["nist", "gdpr"]


def test_a_plan_that_was_not_kept_is_loud_in_every_format() -> None:
    result = sealed(sample.passed(), "attack noise: was sealed, and is not in this run")
    page, markdown = render(result, "html"), render(result, "md")
    assert '<p class="alarm">This run did not keep to the plan that was sealed before it' in page
    assert "**This run did not keep to the plan" in markdown and "sealed 2026-01-10, NOT KEPT" in markdown
    assert "attack noise: was sealed, and is not in this run" in markdown
    kept = render(sealed(sample.passed()), "html")
    assert "alarm" not in kept.partition("</style>")[2] and "<dd>sealed 2026-01-10, kept</dd>" in kept
    assert "<dd>not sealed before</dd>" in render(sample.passed(), "html")
