"""The findings that an audit will support, fixed before any evidence is seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from typing import Any

from unlearn_audit.api import Access, Attack, Fact, FactSet, Outlook, Probe, Profile, ScoreKind
from unlearn_audit.plan.case import PlannedFinding
from unlearn_audit.spec.policy import Release
from unlearn_audit.spec.spec import AuditSpec

HAS_QUESTION = "it has a question, and this measures passages"
NO_QUESTION = "it has no question"


def planned_findings(
    release: Release,
    facts: Sequence[Fact],
    attacks: Mapping[str, Attack[Any]],
    probes: Mapping[str, Probe[Any]],
    blind: Set[tuple[str, str]] = frozenset(),
    *,
    as_served: bool = True,
) -> tuple[PlannedFinding, ...]:
    """One finding for each attack and measure that meet, in the order of the plan.

    Args:
        release: who will hold the model: decides which findings can gate.
        facts: the forget set.
        attacks: by name.
        blind: probe and measure of those that can score no fact, which are left out.
        probes: by name; the whole battery under the baseline and what is served, the rest where it is for attacks.
        as_served: whether the whole battery also meets what the owner applies before serving (`meets_all_as_served`).
    """
    passages = has_passages(facts)
    return tuple(
        finding
        for attack in attacks.values()
        for probe in probes.values()
        if probe.reads is FactSet.FORGET
        and (meets_all(attack, 0, as_served=as_served) or meets_attacks(probe, passages=passages))
        for finding in _of(attack, probe, release, facts)
        if (finding.probe, finding.measure) not in blind
    )


def meets_all_as_served(spec: AuditSpec) -> bool:
    """Whether every probe meets the first arm of what the owner applies before serving, and not the baseline alone.

    `deep` does so, and others where the policy says what is served: most probes tell more of what asking would find.
    """
    return spec.profile is Profile.DEEP or bool(spec.policy.serves)


def meets_all(attack: Attack[Any], place: int, *, as_served: bool) -> bool:
    """Whether the whole battery meets an attack's arm at this place: the model as it is, as a file, or as served."""
    return attack.baseline or attack.of_artifacts or (attack.served and place == 0 and as_served)


def has_passages(facts: Sequence[Fact]) -> bool:
    """Whether some fact is a text alone."""
    return any(fact.question is None for fact in facts)


def meets_attacks(probe: Probe[Any], *, passages: bool) -> bool:
    """Whether a probe runs at every dose of every attack.

    One that decides on passages does where there are such, but for one that only vouches that nothing is refused.
    """
    decides = any(measure.passages and measure.gates for measure in probe.measures)
    return probe.under_attacks or (passages and decides and not probe.refusal_proof)


def unscorable(
    facts: Sequence[Fact],
    probes: Mapping[str, Probe[Any]],
    outlooks: Mapping[str, Mapping[str, Outlook]],
) -> dict[tuple[str, str], dict[str, str]]:
    """Probe and measure -> fact id -> why no model can have a score there, as far as that is known before the run.

    Args:
        facts: the forget set.
        probes: by name.
        outlooks: probe -> measure -> what the probe knows of it before the run.
    """
    found: dict[tuple[str, str], dict[str, str]] = {}
    for name, probe in probes.items():
        for measure in probe.measures if probe.reads is FactSet.FORGET else ():
            other = HAS_QUESTION if measure.passages else NO_QUESTION
            outlook = outlooks.get(name, {}).get(measure.name)
            missing = dict(outlook.missing) if outlook is not None else {}
            missing |= {fact.id: other for fact in facts if (fact.question is None) is not measure.passages}
            if missing:
                found[name, measure.name] = missing
    return found


def blind_measures(
    facts: Sequence[Fact], without: Mapping[tuple[str, str], Mapping[str, str]]
) -> dict[tuple[str, str], str]:
    """Probe and measure -> why it can score none of the forget facts; out of `unscorable`."""
    return {
        place: Counter(missing.values()).most_common(1)[0][0]
        for place, missing in without.items()
        if all(fact.id in missing for fact in facts)
    }


def _of(attack: Attack[Any], probe: Probe[Any], release: Release, facts: Sequence[Fact]) -> list[PlannedFinding]:
    reached = release.reaches(attack.access, served=attack.served) and release.reaches(probe.access)
    rephrased = any(fact.paraphrases for fact in facts)
    passages = has_passages(facts)
    found = []
    for measure in probe.measures:
        if measure.passages and not passages:
            continue
        exposed = attack.baseline and rephrased and measure.kind is ScoreKind.HIT and not probe.refusal_proof
        found += [
            PlannedFinding(
                attack=attack.name,
                probe=probe.name,
                measure=measure.name,
                kind=measure.kind,
                access=max(attack.access, probe.access, key=list(Access).index),
                gates=reached and measure.gates and not attack.with_original,
                any_of=any_of,
                refusal_proof=probe.refusal_proof,
                sham=attack.toward_answers,
                seeded=attack.seeded,
                dose_unit=attack.dose_unit,
                at_every_dose=attack.baseline or attack.of_artifacts or meets_attacks(probe, passages=passages),
            )
            for any_of in ((False, True) if exposed else (False,))
        ]
    return found
