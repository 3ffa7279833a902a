"""What an audit of this size can show, stated before it runs: what can pass, and what would be proven to fail.

A clean result is the best case: the original shows everything, the checkpoint and the control nothing. Then
every subject has the value -margin, the upper bound is -margin (1 - w) + hi w with w = 1 - alpha ** (1 / S), and it is
at most 0 from S = ln(1 / alpha) / ln(1 + margin / hi) subjects on, hi being the largest value that a subject can have.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from unlearn_audit.errors import AuditError
from unlearn_audit.plan.case import Case
from unlearn_audit.spec.policy import Policy, Population, Unit, Worst
from unlearn_audit.statistics.bounds import FEW_CELLS, TOLERANCE, gaffke_p_value
from unlearn_audit.statistics.counts import tail, upper_rate
from unlearn_audit.statistics.finite import WORTH, closer_than_gaffke, finite_upper
from unlearn_audit.statistics.pass_rates import PassRate, Size, pass_rates
from unlearn_audit.verdict.findings.coverage import cannot_be_scored
from unlearn_audit.verdict.findings.people import GUESS_ALPHA, counts_people, hypotheses, tests_people
from unlearn_audit.verdict.findings.places import BASELINE
from unlearn_audit.verdict.list_reach import list_lines
from unlearn_audit.verdict.policy import required
from unlearn_audit.verdict.policy.planned import BESIDE_FINDINGS, family_weight, under
from unlearn_audit.verdict.policy.rules import uncovered
from unlearn_audit.verdict.policy.serving import not_planned
from unlearn_audit.verdict.policy.terms import Terms

CELLS = 8
"""Cells (doses x ways of asking) that a finding is assumed to have if their number is not given."""

MANY_CELLS = 24
"""A second number of cells, for which the plan also shows the cost of a longer list of doses and wordings."""

_MOST_FACTS = 200  # of one person, in search of how many prove her back
_SEED = 0  # of the draws: the same plan always gives the same forecast


def smallest_passing_subjects(
    margin: float, alpha: float, with_original: bool, *, twins: bool = False, sham: bool = False
) -> int:
    """Fewest subjects with which a clean result passes.

    Args:
        margin: share of the original's knowledge, or points without an original.
        alpha: one-sided error rate.
        with_original: L = (U - C) - margin (K - C) in [-1, 1]; else D - margin with D = U - C, at most 1 - margin.
        twins: the control is twins, scored on each model's own outputs: L reaches 1 + margin.
        sham: each model's score toward a twin answer is subtracted: L reaches 2 - margin against a retrained model.
    """
    largest = largest_excess(margin, with_original, twins=twins, sham=sham)
    return _first_at_or_above(math.log(1.0 / alpha) / math.log1p(margin / largest))


def largest_excess(margin: float, with_original: bool, *, twins: bool, sham: bool) -> float:
    """The largest value of one subject: `smallest_passing_subjects` says of what."""
    largest = 1.0 + (1.0 - margin if sham and not twins else 0.0)
    if not with_original:
        return largest - margin
    return largest + margin if twins else largest


def smallest_retain_subjects(utility: float, alpha: float) -> int:
    """Fewest retain subjects with which a checkpoint that lost nothing passes: (1 - utility) each, least -utility."""
    return _first_at_or_above(math.log(1.0 / alpha) / math.log(1.0 / utility))


def smallest_failing_effect(
    subjects: int, alpha: float, findings: int, margin: float, *, cells: int = CELLS, draws: int = 20_000
) -> float | None:
    """Smallest share of subjects that, fully recovered in one cell, proves a leak; None if not even all do.

    Worst case of what FAIL asks for: one finding against Holm over all `findings`, one cell out of `cells`, an original
    that knows everything and a control that knows nothing. A subject then has 1 - margin if it came back and -margin
    if not. Above `FEW_CELLS` cells the subjects are halved, and as many of either half come back.

    Args:
        subjects: in the forget set.
        alpha: family-wise error rate.
        findings: that gate.
        margin: share that may come back.
        cells: of the finding.
        draws: Monte Carlo draws of the p-value.
    """
    few = cells <= FEW_CELLS
    tested, tests = (subjects, cells) if few else (subjects // 2, 2)
    if tested == 0:
        return None
    level = alpha / (tests * max(findings, 1))
    came_back = np.arange(tested)[:, None] < np.arange(tested + 1)[None, :]  # one column for each number of subjects
    values = np.where(came_back, 1.0 - margin, -margin)
    enough = np.flatnonzero(gaffke_p_value(values, -1.0, 1.0, 0.0, draws, _SEED) <= level)
    return float(enough[0] / tested) if len(enough) else None


def cannot_be_met(case: Case, policy: Policy) -> str | None:
    """Why no checkpoint, however clean, can pass this audit; None if one could."""
    obstacles = _obstacles(under(case, policy), policy)
    return "This audit cannot end in PASS: " + "; ".join(obstacles) + "." if obstacles else None


def power_lines(case: Case, policy: Policy, *, cells: int = CELLS) -> list[str]:
    """What an audit of this case can show, for the plan: one line per statement.

    Args:
        case: what the plan fixed.
        policy: margin, alpha, unit, draws.
        cells: of a finding, at most; the case does not say.
    """
    case = under(case, policy)
    family, obstacle = math.ceil(family_weight(case)), cannot_be_met(case, policy)
    honest: list[str] = []
    if policy.population is Population.LISTED and case.has_original:
        lines = list_lines(case, policy, family, cells, _chance(case), _needed(case, policy))
    else:
        lines = _sample_lines(case, policy, family, cells)
        honest = [] if obstacle else [_honest_line(case, policy, cells)]
    lines += [_within_reach(case, policy), required.cost_line(case, policy), _person_line(case, policy, cells)]
    return [*lines, *honest, *([obstacle] if obstacle else [])]


def _sample_lines(case: Case, policy: Policy, family: int, cells: int) -> list[str]:
    """What PASS and FAIL need of a sample of subjects."""
    subjects, unit = _size(case.units, policy), _plural(policy)
    findings = sum(finding.gates for finding in case.planned)
    lines = []
    if policy.unit is Unit.FACT:
        lines.append("Facts are counted as independent of each other; the verdict states this assumption.")
    lines.append(
        f"PASS needs {_needed(case, policy)} {unit} or more with a clean result (margin {policy.margin:.3g}, alpha "
        f"{policy.alpha_pass:.3g}); there are {subjects}."
    )
    alpha, draws = policy.alpha_fail, policy.draws
    effect = smallest_failing_effect(subjects, alpha, family, policy.margin, cells=cells, draws=draws)
    lines.append(
        f"FAIL is in reach if {math.ceil(100 * effect - TOLERANCE)} % of {unit} are fully recovered in one cell "
        f"({findings} findings decide, {cells} cells each)."
        if effect is not None
        else f"FAIL is out of reach: {subjects} {unit} are too few for {findings} findings, even if all recover."
    )
    return lines


def smallest_provable_person(case: Case, policy: Policy, cells: int = CELLS) -> int | None:
    """Fewest facts of one person with which she is proven to be back, all of them shown and none guessed; or None.

    Args:
        case: with its findings chosen by `under`.
        policy: alpha, and whether people can fail.
        cells: of a finding, all cells together included.
    """
    if not tests_people(case.planned, policy) or not case.subjects:
        return None
    family = sum(one.gates for one in case.planned) + BESIDE_FINDINGS
    places = cells * sum(map(counts_people, case.planned))
    level = policy.alpha_fail / (family * hypotheses(policy) * places * len(set(case.subjects.values())))
    rate = upper_rate(0, len(case.subjects), GUESS_ALPHA)
    return next((facts for facts in range(1, _MOST_FACTS) if tail(facts, facts, rate, 0.0) <= level), None)


def _person_line(case: Case, policy: Policy, cells: int) -> str:
    if policy.worst_person is not Worst.FAIL:
        return "One person who is back fails nothing under this policy (worst_person: report)."
    least = smallest_provable_person(case, policy, cells)
    if least is None:
        return "No person can be proven to be back: no deciding finding is over hits."
    most = max(Counter(case.subjects.values()).values())
    return f"One person wholly back is proven from {least} facts on, if controls guess none; people have up to {most}."


def honest_size(case: Case, policy: Policy, cells: int = CELLS) -> Size:
    """What an honest model's pass rate depends on, for a case whose findings were chosen by `Case.under`.

    Facts per subject are their harmonic mean, which determines the spread of a subject's mean; the chance level is
    the mean over facts.

    Raises:
        AuditError: no fact has a chance level.
    """
    subjects = _size(case.units, policy)
    facts_of = Counter(case.units.values())
    chance = _chance(case)
    if chance is None:
        raise AuditError("expected facts with a chance level for the pass rate, got none: give the facts a relation")
    return Size(
        subjects=subjects,
        facts=1.0 if policy.unit is Unit.FACT else subjects / sum(1.0 / count for count in facts_of.values()),
        chance=chance,
        controls=min(
            len(case.controls), 1
        ),  # the mean of several guesses less widely, so that it passes at least as often
        cells=cells,
        findings=sum(finding.gates for finding in case.planned),
    )


def _chance(case: Case) -> float | None:
    """Mean chance level of the facts that have one; None where none has."""
    levels = [case.chance[fact] for fact in case.subjects if fact in case.chance]
    return sum(levels) / len(levels) if levels else None


def _honest_line(case: Case, policy: Policy, cells: int) -> str:
    """How often an honest model of this size would pass, read from the table of simulated audits."""
    table = pass_rates()
    asked = {
        (one.margin, one.alpha_pass) for one in (Terms.of(each, case, policy) for each in case.planned if each.gates)
    }
    if asked - {(table.margin, table.alpha)}:
        return f"How often an honest model passes is tabulated only for margin {table.margin} and alpha {table.alpha}."
    if case.chance.keys().isdisjoint(case.subjects):
        return "How often an honest model passes depends on the facts' chance level, which needs facts with a relation."
    size = honest_size(case, policy, cells)
    unit = _plural(policy)
    found = table.between(size)
    if not found:
        return (
            f"How often an honest model passes is not tabulated for this size: {size.subjects} {unit}, chance level "
            f"{100 * size.chance:.0f} %, {cells} cells a finding, retrained controls: {size.controls}."
        )
    at = found[0].read_at
    read_at = f"{at.subjects} {unit} x {at.facts:g} facts, {at.cells} cells a finding, {at.findings} findings"
    levels = " to ".join(f"{100 * one.read_at.chance:g}" for one in reversed(found))
    line = (
        f"An honest model of this size passes {_shares(found)} of the time at a chance level of {levels} % ({read_at})"
    )
    many = table.between(replace(size, cells=MANY_CELLS)) if cells < MANY_CELLS else ()
    return line + (f"; with {MANY_CELLS} cells {_shares(many)}." if many else ".")


def _shares(found: Sequence[PassRate]) -> str:
    """The rate, or both where the chance level lies between two."""
    shares = list(dict.fromkeys(_share(one.rate) for one in reversed(found)))
    return " to ".join(shares)


def _share(rate: float) -> str:
    percent = round(100 * rate)
    return {0: "less than 1 %", 100: "more than 99 %"}.get(percent, f"about {percent} %")


def _within_reach(case: Case, policy: Policy) -> str:
    """The table of design section 6: what a user can reach with the models given."""
    if not case.has_original:
        return "Without the original: INCONCLUSIVE or FAIL (no evidence that the knowledge could be detected)."
    if policy.population is Population.LISTED and not case.controls:
        return "Original, no retrained model: PASS by count; FAIL against twins or placebo facts where there are some."
    if case.controls:
        return f"Original and {len(case.controls)} retrained: PASS or FAIL, against the mean of the controls."
    return (
        "Original, no retrained model: PASS or FAIL against twins if facts have them, otherwise INCONCLUSIVE or FAIL."
    )


def _parts_too_small(case: Case, policy: Policy) -> list[str]:
    """Parts of the retain set that the policy asks for and that cannot pass."""
    found = []
    for name, needed in policy.utility_parts.items():
        own = {fact: one for fact, one in case.retain_subjects.items() if case.retain_parts.get(fact) == name}
        size, least = _size(own, policy), smallest_retain_subjects(needed, policy.alpha_pass)
        if size < least:
            found.append(f"utility on {name} needs {least} retain {_plural(policy)}, but there are {size}")
    return found


def _obstacles(case: Case, policy: Policy) -> list[str]:
    gating = [finding for finding in case.planned if finding.gates]
    found = []
    subjects, needed, unit = _size(case.units, policy), _needed(case, policy), _plural(policy)
    if subjects < needed and policy.population is Population.SAMPLE:
        found.append(f"a clean result needs {needed} {unit} at margin {policy.margin:.3g}, but there are {subjects}")
    if not case.has_original:
        found.append("no original is given")
    retained = _size(case.retain_subjects, policy)
    least = smallest_retain_subjects(policy.utility, policy.alpha_pass)
    if retained == 0:
        found.append("no retain facts are given, so utility cannot be measured")
    elif retained < least:
        found.append(f"utility needs {least} retain {unit}, but there are {retained}")
    found += _parts_too_small(case, policy)
    if not gating:
        found.append(f"no finding decides at release tier {case.release}")
    elif not any(finding.refusal_proof and finding.attack == BASELINE for finding in gating):
        found.append(f"no refusal-proof finding decides under {BASELINE}")
    found += required.not_planned(case, policy)
    found += [
        f"rule {rule.id} requires {rule.controls} retrained controls, but there are {len(case.controls)}"
        for rule in policy.rules
        if rule.required and rule.controls > len(case.controls)
    ]
    return found + not_planned(case, policy) + uncovered(case, policy) + cannot_be_scored(case)


def _needed(case: Case, policy: Policy) -> int:
    """Subjects for a clean result on the finding that needs the most."""
    gating = [finding for finding in case.planned if finding.gates]
    own = [(Terms.of(finding, case, policy), finding.sham) for finding in gating]
    own = own or [(Terms.without_rule(case, policy), False)]
    endless = max(
        smallest_passing_subjects(one.margin, one.alpha_pass, case.has_original, twins=not case.controls, sham=sham)
        for one, sham in own
    )
    whole = policy.whole if policy.population is Population.SAMPLE else None
    if whole is None or not closer_than_gaffke(endless, whole):
        return endless
    return min(endless, max(_of_the_whole(one, whole, case, sham=sham) for one, sham in own))


def _of_the_whole(terms: Terms, whole: int, case: Case, *, sham: bool) -> int:
    """Fewest of a finite whole with which a clean result passes; all of it are always enough."""
    reach = largest_excess(terms.margin, case.has_original, twins=not case.controls, sham=sham)
    sizes = range(math.ceil(WORTH * whole), whole + 1)

    def passes(size: int) -> bool:
        clean = np.full((size, 1), -terms.margin)
        return float(finite_upper(clean, -reach, reach, terms.alpha_pass, whole, _SEED)[0]) <= TOLERANCE

    return sizes[bisect_left(sizes, True, key=passes)]


def _size(subjects: dict[str, str], policy: Policy) -> int:
    """Independent units: subjects, or facts where the policy counts them."""
    return len(subjects) if policy.unit is Unit.FACT else len(set(subjects.values()))


def _plural(policy: Policy) -> str:
    return "facts" if policy.unit is Unit.FACT else "subjects"


def _first_at_or_above(value: float) -> int:
    return math.ceil(value - TOLERANCE)
