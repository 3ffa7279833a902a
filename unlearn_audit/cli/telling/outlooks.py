"""What `plan` says of the facts that a measure cannot score, and of how often a guess is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from unlearn_audit.api import Fact, FactSet, Outlook, ScoreKind
from unlearn_audit.plan.live import LivePlan

SHARE_OF_MARGIN = 3
"""Hits can be counted as they are where a guess is right in no more than this part of the margin."""

_MOST_REASONS = 2


def outlook_lines(live: LivePlan) -> list[str]:
    """One line for facts without a relation, and one for each measure that cannot score all facts or can be guessed."""
    facts = [fact for fact in live.pool(FactSet.FORGET) if fact.question is not None]
    lines = _relations(facts)
    for name, found in live.outlooks.items():
        measures = {measure.name: measure for measure in live.probes[name].measures}
        for measure, outlook in found.items():
            if measure in measures and (measures[measure].gates or measures[measure].kind is ScoreKind.HIT):
                is_hit = measures[measure].kind is ScoreKind.HIT
                lines += _of(f"{name}.{measure}", outlook, live.plan.spec.policy.margin, is_hit=is_hit)
    return lines


def _relations(facts: Sequence[Fact]) -> list[str]:
    bare = [fact for fact in facts if fact.relation is None]
    if not bare:
        return []
    keyless = sum(not fact.aliases for fact in bare)
    return [
        f"{len(bare)} of {len(facts)} facts have no `relation`"
        + (f", and {keyless} of these no `aliases`" if keyless else "")
        + ". Without a relation no answers of other subjects can stand in for a retrained model, the chance level is "
        "that of all facts together, and no relation is tested by itself; options of a choice are taken from facts "
        "that ask the same question of others. Give facts of one kind the same `relation`, and the words of the answer "
        "as `aliases`."
    ]


def _of(name: str, outlook: Outlook, margin: float, *, is_hit: bool) -> list[str]:
    lines = []
    facts = len(outlook.levels) + len(outlook.missing)
    if outlook.missing and not is_hit:  # a hit of the same choice would say it again
        lines.append(f"{name} cannot score {len(outlook.missing)} of {facts} facts: {_reasons(outlook.missing)}.")
    if outlook.levels and is_hit:
        low = sum(level <= margin / SHARE_OF_MARGIN + 1e-9 for level in outlook.levels.values())
        mean = sum(outlook.levels.values()) / len(outlook.levels)
        lines.append(
            f"{name}: guessing scores {100 * mean:.2g} % on average; for {low} of {len(outlook.levels)} facts that is "
            f"at most a third of the margin of {margin:.3g}, so that their hits can be counted as they are."
        )
    return lines


def _reasons(missing: Mapping[str, str]) -> str:
    counted = Counter(missing.values()).most_common()
    told = [f"{why} ({number})" if len(counted) > 1 else why for why, number in counted[:_MOST_REASONS]]
    more = sum(number for _, number in counted[_MOST_REASONS:])
    return "; ".join([*told, *([f"others ({more})"] if more else [])])
