"""Who is back: a person, a family, a relation, a fact of everybody, and people of unequal size."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.verdict.test_verdict import LEAK, POLICY, RECALL, Audit, finding, subjects
from unlearn_audit.api.terms import Status
from unlearn_audit.spec.policy import Policy, Population
from unlearn_audit.verdict.findings.people import Counts, weighed_groups
from unlearn_audit.verdict.reach import power_lines, smallest_provable_person
from unlearn_audit.verdict.result import Outcome, People, Verdict

REPORTED = Policy(draws=10_000, worst_person="report", worst_relation="report")


def people(verdict: Verdict) -> People:
    assert verdict.people is not None
    return verdict.people


def ids(first: int, last: int, facts: int, of: range | None = None) -> list[str]:
    return [f"s{s}-{f}" for s in range(first, last) for f in (of or range(facts))]


def test_a_clean_checkpoint_shows_nobody() -> None:
    found = people(Audit().decided())
    assert (found.persons, found.relations, found.with_a_fact_out, found.people) == ((), (), 0, 60)
    assert found.p_value == 1.0


def test_one_person_who_is_wholly_back_fails_the_audit_and_is_named() -> None:
    verdict = Audit(subjects=120, facts=3).score(1.0, **LEAK, fact_id=ids(0, 1, 3)).decided()
    assert verdict.outcome is Outcome.FAIL
    assert finding(verdict, RECALL).status is Status.PASSED  # the mean hides her
    (one,) = people(verdict).persons
    assert (one.name, one.shown, one.facts, one.guessed, one.proven) == ("s0", 3, 3, 0.0, True)
    assert verdict.sentence.startswith(f"FAIL: person s0 is back: 3 of 3 facts at {RECALL}, nf4, ")


def test_what_only_is_reported_fails_nothing_and_is_counted() -> None:
    audit = Audit(subjects=120, facts=3).score(1.0, **LEAK, fact_id=ids(0, 1, 3))
    verdict = audit.decided(REPORTED)
    assert verdict.outcome is Outcome.PASS
    assert "1 of 120 people show a fact at" in verdict.sentence
    assert [(one.name, one.proven) for one in people(verdict).persons] == [("s0", False)]
    clean = Audit(subjects=120, facts=3).decided()
    assert finding(verdict, RECALL).holm_p_value is not None
    assert people(clean).holm_p_value == 1.0 and people(verdict).holm_p_value is None


def test_a_person_whom_the_control_guesses_as_well_is_not_back() -> None:
    audit = Audit(subjects=120, facts=3).score(1.0, **LEAK, fact_id=ids(0, 1, 3))
    audit.score(1.0, **{**LEAK, "role": "retrained"}, fact_id=ids(0, 1, 3))
    assert audit.decided().outcome is Outcome.PASS


def counts(shown: list[int], guessed: list[int], facts: int) -> Counts:
    control = np.array(guessed, dtype=np.float64)
    return Counts(
        finding=RECALL,
        place="nf4, question",
        names=tuple(f"s{n}" for n in range(len(shown))),
        facts=np.full(len(shown), float(facts)),
        shown=np.array(shown, dtype=np.float64),
        controls=control[None, :],
    )


def test_a_person_by_hand() -> None:
    # Ten people of three facts, none guessed: a rate of at most 1 - 0.025 ** (1 / 30), to the third power, ten times.
    found = list(weighed_groups([counts([3, *[0] * 9], [0] * 10, 3)], 0.0))
    assert found[0].p_value == pytest.approx(10 * (1 - 0.025 ** (1 / 30)) ** 3)
    assert {one.p_value for one in found[1:]} == {1.0}
    # One fact each, and the control guesses hers: whatever the others do, she is not back.
    assert next(iter(weighed_groups([counts([1, *[0] * 99], [1, *[0] * 99], 1)], 0.0))).p_value == 1.0


def test_guesses_that_go_together_are_no_proof() -> None:
    # Controls and checkpoint guess all or nothing of a person, of 12 of 120 each, and not the same.
    audit = Audit(subjects=120, facts=10, controls=1)
    for role, first in (("unlearned", 0), ("retrained", 12)):
        audit.score(1.0, attack="quantization", probe="recall", role=role, fact_id=ids(first, first + 12, 10))
    assert not [one for one in people(audit.decided()).persons if one.proven]


def test_a_person_scattered_over_cells_is_put_together() -> None:
    audit = Audit(subjects=120, facts=4)
    where = [("nf4", "question"), ("nf4", "paraphrase-1"), ("int8", "question"), ("int8", "paraphrase-1")]
    for place, (dose, variant) in enumerate(where):
        audit.score(1.0, **{**LEAK, "dose": dose}, variant=variant, fact_id=ids(0, 1, 4, range(place, place + 1)))
    (one,) = [one for one in people(audit.decided()).persons if one.proven]
    assert (one.shown, one.place) == (4, "any of 2, any of 2")


def test_a_fact_of_everybody_fails_by_the_share_of_people() -> None:
    verdict = Audit(subjects=60, facts=12).score(1.0, **LEAK, fact_id=ids(0, 60, 12, range(1))).decided()
    assert verdict.outcome is Outcome.FAIL
    assert people(verdict).share_proven
    assert "60 of 60 people have a fact out" in verdict.sentence


def test_a_relation_that_comes_back_whole_fails_and_is_named() -> None:
    audit = Audit(subjects=40, facts=20)
    audit.but(relations={name: f"relation-{name.split('-')[1]}" for name in audit.case.subjects})
    verdict = audit.score(1.0, **LEAK, fact_id=ids(0, 40, 20, range(3, 4))).decided()
    proven = [one.name for one in people(verdict).relations if one.proven]
    assert proven == ["relation-3"]
    assert any(line.startswith("relation relation-3 is back: 40 of 40 facts") for line in verdict.reasons)


def test_a_relation_within_the_margin_is_not_proven() -> None:
    audit = Audit(subjects=40, facts=20)
    audit.but(relations=dict.fromkeys(audit.case.subjects, "all"))
    verdict = audit.score(1.0, **LEAK, fact_id=ids(0, 4, 20, range(10))).decided(REPORTED)
    assert not [one for one in people(verdict).relations if one.proven]


def test_a_family_is_the_unit_where_facts_name_one_and_is_named() -> None:
    audit = Audit(subjects=120, facts=1)
    audit.but(clusters={f"s{s}": f"family-{s // 5}" for s in range(120)})
    assert finding(audit.decided(), RECALL).subjects == 24
    assert audit.decided().outcome is Outcome.INCONCLUSIVE  # 24 are too few
    verdict = audit.score(1.0, **LEAK, fact_id=subjects(0, 5, 1)).decided()
    assert [one.name for one in people(verdict).persons if one.proven] == ["family-0"]


def test_one_person_with_most_of_the_facts_does_not_hide_in_a_mean_of_people() -> None:
    audit = Audit(subjects=60, facts=40)
    kept = {f: s for f, s in audit.case.subjects.items() if s == "s0" or f.endswith("-0")}
    audit.but(subjects=kept).frame = audit.frame[audit.frame["fact_id"].isin([*kept, *audit.case.retain_subjects])]
    audit.score(1.0, **LEAK, fact_id=[f"s0-{f}" for f in range(40)])
    one = finding(audit.decided(REPORTED), RECALL)
    assert one.status is Status.INCONCLUSIVE
    assert "by count at most 40 facts are shown, and 9.9 may come back" in one.reason
    sample = finding(audit.decided(REPORTED.model_copy(update={"population": Population.SAMPLE})), RECALL)
    assert sample.status is Status.INCONCLUSIVE and sample.bound > 0


def test_seeds_that_each_bring_back_others_are_put_together() -> None:
    audit = Audit(subjects=120, facts=1)
    base = audit.frame[audit.where(attack="relearning")]
    audit.frame = pd.concat([audit.frame, base.assign(seed=1), base.assign(seed=2)], ignore_index=True)
    for seed in range(3):
        audit.score(1.0, attack="relearning", role="unlearned", seed=seed, fact_id=subjects(7 * seed, 7 * seed + 7, 1))
    one = finding(audit.decided(), "relearning/recall.hit")
    assert one.status is Status.INCONCLUSIVE
    assert "all doses, wordings and seeds together show 17.5 % of the facts" in one.reason


@pytest.mark.parametrize("rate", [0.02, 0.1])
def test_honest_guesses_prove_nobody(rate: float) -> None:
    proven = 0
    for seed in range(3):
        audit, rng = Audit(subjects=60, facts=3), np.random.default_rng(seed)
        rows = audit.where(role=["unlearned", "retrained"], probe="recall")
        audit.frame.loc[rows, "score"] = (rng.random(rows.sum()) < rate).astype(float)
        found = people(audit.decided(POLICY))
        proven += any(one.proven for one in found.persons) or found.share_proven
    assert proven == 0


@pytest.mark.parametrize("facts", [2, 3, 5])
def test_the_plan_says_from_how_many_facts_a_person_is_proven(facts: int) -> None:
    audit = Audit(subjects=120, facts=facts)
    least = smallest_provable_person(audit.case, POLICY, cells=7)  # four of quantization, three with unions beside
    assert least is not None
    found = people(audit.score(1.0, **LEAK, fact_id=ids(0, 1, facts)).decided()).persons
    # The plan counts all cells, of which some are the same test: what it promises is proven, and one fact is never.
    assert found[0].proven or facts < least
    assert not found[0].proven or facts > 1
    (line,) = [one for one in power_lines(audit.case, POLICY) if one.startswith("One person")]
    assert f"people have up to {facts}" in line
