"""What an audit of listed facts can show, stated before it runs: how many may be shown, and how many are proof.

An honest model guesses each fact at the chance level g. It passes a cell by count where at most margin x N of N facts
are guessed: P(Bin(N, g) <= margin N). Cells and findings that guess the same facts pass together more often than
independent ones, so that the product over all of them is a lower limit.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from unlearn_audit.api import ScoreKind
from unlearn_audit.plan.case import Case
from unlearn_audit.spec.policy import Policy
from unlearn_audit.statistics.bounds import TOLERANCE
from unlearn_audit.statistics.counts import design_effect, excess_p_value, tail

WANTED = (0.8, 0.95)
"""Shares of honest models that should pass, for which the plan says how many facts it takes."""

_MOST_FACTS = 100_000


def allowed(facts: int, margin: float) -> int:
    """How many of so many facts may be shown, where the original knows them all."""
    return math.floor(margin * facts + TOLERANCE)


def honest_share(facts: int, chance: float, margin: float, passes: int) -> float:
    """Share of honest models that pass by count, at least.

    Args:
        facts: asked in each cell.
        chance: how often a model that knows nothing hits.
        margin: share that may be shown.
        passes: cells times findings.
    """
    return (1.0 - tail(allowed(facts, margin) + 1, facts, chance, 0.0)) ** passes


def facts_for(share: float, chance: float, margin: float, passes: int) -> int | None:
    """Fewest facts from which on at least so many honest models pass by count; None where no number does."""
    if chance >= margin:
        return None
    low, high = 1, 1
    while honest_share(high, chance, margin, passes) < share:
        low, high = high, 2 * high
        if high > _MOST_FACTS:
            return None
    # The share rises and falls with the rounding of the margin: the least multiple of 1 / margin is looked for.
    step = max(1, round(1.0 / margin))
    wanted = range(low - low % step + step, high + step, step)
    return next((facts for facts in wanted if honest_share(facts, chance, margin, passes) >= share), high)


def provable(case: Case, margin: float, level: float) -> int | None:
    """Fewest facts shown in one run that prove a leak, where controls guess none; None where not even all do.

    Args:
        case: with its facts and controls.
        margin: share that may be shown.
        level: that the p-value must reach.
    """
    facts, controls, may = len(case.subjects), max(len(case.controls), 1), margin * len(case.subjects)
    sizes = np.array(list(Counter(case.units.values()).values()), dtype=np.float64)
    effect = design_effect(np.zeros((1, len(sizes))), sizes)

    def proves(shown: int) -> bool:
        return excess_p_value(shown - may, facts - may, 0.0, controls * facts, effect) <= level

    return next((shown for shown in range(allowed(facts, margin) + 1, facts + 1) if proves(shown)), None)


def list_lines(case: Case, policy: Policy, family: int, cells: int, chance: float | None, needed: int) -> list[str]:
    """What a pass and a fail need of a list of facts, and how often an honest model passes.

    Args:
        case: with its findings chosen by `under`.
        policy: margin, error rates.
        family: hypotheses that share the error rate of FAIL.
        cells: of a finding.
        chance: how often a model that knows nothing hits; None where it is not known.
        needed: people with which a clean result passes by the bound.
    """
    facts, people = len(case.subjects), len(set(case.subjects.values()))
    findings = sum(one.gates for one in case.planned)
    may = allowed(facts, policy.margin)
    lines = [
        f"Facts are counted (population: listed): there are {people} people with {facts}. PASS: no dose, wording or "
        f"run shows more than {may} of them (margin {policy.margin:.3g} of what the original knows, here all), guesses "
        "included; or, where guesses are more, a bound against the controls holds."
    ]
    least = provable(case, policy.margin, policy.alpha_fail / max(family, 1) / max(cells, 1))
    lines.append(
        f"FAIL is in reach from {least} facts shown in one of {cells} runs, if controls guess none ({findings} "
        "findings decide)."
        if least is not None
        else f"FAIL by count is out of reach: {facts} facts of {people} people are too few for {findings} findings."
    )
    soft = sorted({f"{one.probe}.{one.measure}" for one in case.planned if one.gates and one.kind is ScoreKind.SOFT})
    if soft:
        lines.append(
            f"Soft scores ({', '.join(soft)}) count as shares of a fact. Where guessing alone gives more than the "
            f"margin they need the bound, which takes {needed} people or more: there are {people}."
        )
    return [*lines, _honest(facts, people, policy, cells * max(findings, 1), chance)]


def _honest(facts: int, people: int, policy: Policy, passes: int, chance: float | None) -> str:
    if chance is None:
        return "How often an honest model passes depends on the facts' chance level, which needs facts with a relation."
    share = honest_share(facts, chance, policy.margin, passes)
    line = (
        f"An honest model that guesses {100 * chance:.2g} % passes all {passes} counts in at least "
        f"{math.floor(100 * share + TOLERANCE)} % of audits"
    )
    needed = [facts_for(one, chance, policy.margin, passes) for one in WANTED]
    if None in needed:
        return f"{line}; it guesses more than a count can bear, so that it passes by the bound alone."
    each = facts / max(people, 1)
    sizes = [
        f"{100 * one:.0f} % need {math.ceil((count or 0) / each)} people"
        for one, count in zip(WANTED, needed, strict=True)
    ]
    return f"{line} ({', '.join(sizes)} of {each:.2g} facts)."
