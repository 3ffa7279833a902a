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
    facts = live.pool(FactSet.FORGET)
    lines = _relations([fact for fact in facts if fact.question is not None])
    for name, found in live.outlooks.items():
        for measure in live.probes[name].measures:
            outlook = found.get(measure.name)
            if outlook is None or not outlook.levels:  # one that can score nothing is not planned, which is said
                continue
            if measure.kind is ScoreKind.HIT:
                lines.append(_guessed(f"{name}.{measure.name}", outlook, live.plan.spec.policy.margin))
            elif measure.gates:
                own = {fact.id for fact in facts if (fact.question is None) is measure.passages}
                missing = {fact: why for fact, why in outlook.missing.items() if fact in own}
                lines += _missed(f"{name}.{measure.name}", missing, len(own))
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


def _missed(name: str, missing: Mapping[str, str], facts: int) -> list[str]:
    return [f"{name} cannot score {len(missing)} of {facts} facts: {_reasons(missing)}."] if missing else []


def _guessed(name: str, outlook: Outlook, margin: float) -> str:
    low = sum(level <= margin / SHARE_OF_MARGIN + 1e-9 for level in outlook.levels.values())
    mean = sum(outlook.levels.values()) / len(outlook.levels)
    return (
        f"{name}: guessing scores {100 * mean:.2g} % on average; for {low} of {len(outlook.levels)} facts that is at "
        f"most a third of the margin of {margin:.3g}, so that their hits can be counted as they are."
    )


def _reasons(missing: Mapping[str, str]) -> str:
    counted = Counter(missing.values()).most_common()
    told = [f"{why} ({number})" if len(counted) > 1 else why for why, number in counted[:_MOST_REASONS]]
    more = sum(number for _, number in counted[_MOST_REASONS:])
    return "; ".join([*told, *([f"others ({more})"] if more else [])])
