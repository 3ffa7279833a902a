"""An audit of passages alone: documents are its subjects, and it can pass and fail without a question."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.verdict.test_verdict import DOSES, Audit
from unlearn_audit.api import Attack, Fact, Probe, Role
from unlearn_audit.api.plugins import ATTACKS, PROBES, build
from unlearn_audit.plan.findings import blind_measures, planned_findings, unscorable
from unlearn_audit.spec.policy import Policy, Release
from unlearn_audit.verdict.result import Outcome, Verdict

WORDS = ("harbour", "lantern", "ferry", "island", "winter", "market", "bridge", "orchard", "engine", "letter", "garden")


def text(number: int) -> str:
    return " ".join(WORDS[(number + place) % len(WORDS)] for place in range(40))


BOOKS = [Fact(id=f"s{number}-0", subject=f"s{number}", text=text(number)) for number in range(60)]
NAMES = ("recall", "forced-choice", "extraction-strength", "perturbed", "verbatim")
POLICY = Policy(draws=10_000, must_have_power={Release.OPEN_WEIGHTS: ("as-is", "quantization")})


@pytest.fixture(scope="module")
def planned():
    attacks = build(ATTACKS, Attack, {name: {} for name in DOSES}, "attacks")
    probes = build(PROBES, Probe, {name: {} for name in NAMES}, "probes")
    outlooks = {name: dict(probe.outlook(BOOKS)) for name, probe in probes.items()}
    blind = blind_measures(BOOKS, unscorable(BOOKS, probes, outlooks))
    return planned_findings(Release.OPEN_WEIGHTS, BOOKS, attacks, probes, blind.keys())


def decided(planned, shown: float, *, refuses: bool = False) -> Verdict:
    """A checkpoint that shows a share of its passages; the controls show what anybody would."""
    audit = Audit(subjects=60, facts=1).but(planned=planned)
    rows = [audit.frame[audit.where(probe="utility")]]
    soft = audit.frame[audit.where(probe="forced-choice")]
    for finding in planned:
        own = soft[soft["attack"] == finding.attack].copy()
        knows = own["role"].astype(str).map({Role.ORIGINAL: 1.0, Role.UNLEARNED: shown, Role.RETRAINED: 0.0})
        hit = finding.measure.endswith("top1") or finding.measure == "extracted"
        own["score"] = (knows > 0.5).astype(float) if hit else 0.05 + 0.9 * knows
        if refuses and not finding.refusal_proof:
            own.loc[own["role"].astype(str) == Role.UNLEARNED, "score"] = 0.0
        rows.append(own.assign(probe=finding.probe, measure=finding.measure, variant="prefix"))
    audit.frame = pd.concat(rows, ignore_index=True)
    return audit.decided(POLICY)


def test_what_is_planned_for_passages_needs_no_question(planned):
    deciding = {f"{one.attack}/{one.probe}.{one.measure}" for one in planned if one.gates}
    assert deciding == {
        "as-is/extraction-strength.passage_share",
        "as-is/perturbed.passage",
        "quantization/extraction-strength.passage_share",
        "quantization/perturbed.passage",
        "relearning/extraction-strength.passage_share",
    }
    assert {one.probe for one in planned} == {"extraction-strength", "perturbed", "verbatim"}
    assert {one.probe for one in planned if one.refusal_proof} == {"perturbed"}


def test_a_model_that_recites_85_percent_fails_and_one_that_knows_nothing_passes(planned):
    assert decided(planned, 0.85).outcome is Outcome.FAIL
    assert decided(planned, 0.0).outcome is Outcome.PASS


def test_refusing_to_recite_passes_nothing(planned):
    assert decided(planned, 0.85, refuses=True).outcome is Outcome.FAIL


def test_a_mixed_set_says_which_facts_each_measure_is_not_about():
    probes = build(PROBES, Probe, {name: {} for name in NAMES}, "probes")
    asked = Fact(id="q", subject="Ann", question="Where was Ann born?", answer="Rome")
    facts = [asked, *BOOKS]
    without = unscorable(facts, probes, {name: dict(probe.outlook(facts)) for name, probe in probes.items()})
    books = {book.id for book in BOOKS}
    assert set(without["recall", "hit"]) == books
    assert set(without["extraction-strength", "passage_share"]) == {"q"}
    assert set(without["perturbed", "passage"]) == {"q"}
    assert set(without["forced-choice", "probability"]) == {"q", *books}  # nobody else is asked where she was born
    assert set(blind_measures(facts, without)) >= {("forced-choice", "probability"), ("forced-choice", "top1")}
    assert ("recall", "hit") not in blind_measures(facts, without)
