"""A newer audit against an older one: a paired test on the facts, doses and ways of asking that both have.

Holm runs over the deciding findings (`finished.paired` has the test of each).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from unlearn_audit.errors import AuditError
from unlearn_audit.finished.paired import MOST_NAMED, fallen, grown, rest_of
from unlearn_audit.finished.redecide import finished, observations_of, with_verdict
from unlearn_audit.plan.case import PlannedFinding
from unlearn_audit.report.parts.numbers import p_value
from unlearn_audit.spec.policy import Policy
from unlearn_audit.spec.waivers import UTILITY
from unlearn_audit.statistics.bounds import holm
from unlearn_audit.verdict.changes import BaselineRecord, Change, Direction
from unlearn_audit.verdict.findings.places import BASELINE
from unlearn_audit.verdict.findings.utility import MEASURE, PROBE
from unlearn_audit.verdict.policy.planned import under
from unlearn_audit.verdict.result import Outcome, Result


def held_against(run: Path, result: Result, baseline: Path) -> Result:
    """The result of a run; it fails if a deciding finding got worse since the baseline.

    Args:
        run: the newer run.
        result: as it was decided.
        baseline: the older run.

    Raises:
        AuditError: the two have nothing in common.
        IntegrityError: the baseline was changed.
    """
    old = finished(baseline)
    record = compared(observations_of(run, result), result, observations_of(baseline, old), old)
    waived = {name for one in result.verdict.waivers for name in one.covers}
    worse = [one for one in record.worse() if one.finding not in waived]
    result = result.model_copy(update={"baseline": record})
    if not worse:
        return result
    lines = tuple(f"{one.finding}: worse than the baseline {_described(one)}" for one in worse)
    verdict = result.verdict
    rest = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    failed = verdict.outcome is Outcome.FAIL
    sentence = (
        f"{verdict.sentence} Worse than the baseline: {lines[0]}{rest}." if failed else f"FAIL: {lines[0]}{rest}."
    )
    update = {"outcome": Outcome.FAIL, "sentence": sentence, "reasons": lines + verdict.reasons}
    return with_verdict(result, verdict.model_copy(update=update))


def compared(new: pd.DataFrame, result: Result, old: pd.DataFrame, baseline: Result) -> BaselineRecord:
    """What changed from the baseline to the result.

    Args:
        new: observations of the newer run; `old` of the older.
        result: the newer result, whose policy says what decides.
        old: see `new`.
        baseline: the older result.

    Raises:
        AuditError: no finding has a fact in common.
    """
    policy = result.policy
    known = {one.id for one in under(baseline.case, policy).planned}
    planned = [one for one in under(result.case, policy).planned if one.probe != PROBE]
    found = [grown(one, new, old, result.case.subjects, policy) for one in planned if one.id in known]
    if result.case.retain_subjects or baseline.case.retain_subjects:
        found.append(fallen(new, old, result.case.retain_subjects, policy))
    changes = [one for one in found if isinstance(one, Change)]
    apart = [one for one in found if isinstance(one, str)]
    if not any(one.finding != UTILITY for one in changes):
        named = f" ({'; '.join(apart[:MOST_NAMED])}{rest_of(apart)})" if apart else ""
        raise AuditError(
            "expected facts that both runs asked in the same way, found none: there is nothing to compare" + named
        )
    return BaselineRecord(
        checkpoint=baseline.case.checkpoint,
        evidence=baseline.evidence_digest,
        policy=baseline.policy_digest,
        alpha=policy.alpha,
        notes=(*_notes(result, baseline, planned, known), *(f"not comparable: {one}" for one in apart)),
        changes=tuple(_settled(changes, policy)),
    )


def _settled(changes: Sequence[Change], policy: Policy) -> Iterator[Change]:
    adjusted = iter(holm([one.p_value for one in changes if one.gates]))
    for one in changes:
        deciding = next(adjusted) if one.gates else None
        shown = one.p_value if deciding is None else deciding
        direction = Direction.WORSE if shown <= policy.alpha else one.direction
        yield one.model_copy(update={"holm_p_value": deciding, "direction": direction})


def _described(one: Change) -> str:
    moved, nearest = ("fell", -one.upper) if one.finding == UTILITY else ("grew", one.lower)
    return (
        f"at {one.dose}, {one.variant}: {one.old:.2f} then and {one.new:.2f} now ({moved} by {nearest:.2f} or more, "
        f"Holm p {p_value(one.holm_p_value)}, {one.subjects} subjects)"
    )


def _notes(result: Result, baseline: Result, planned: Sequence[PlannedFinding], known: set[str]) -> Iterator[str]:
    """What differs between the two audits besides the model."""
    if result.case.checkpoint == baseline.case.checkpoint:
        yield "both audits are of the same model"
    for name in ("forget", "retain"):
        digests = {one.digest for run in (result, baseline) for one in run.data if one.set == name}
        if len(digests) > 1:
            yield f"the {name} sets differ; facts with the same id are taken to be the same fact"
    pairs = {
        "release tiers": (result.case.release, baseline.case.release),
        "profiles": (result.profile, baseline.profile),
        "seeds": (str(result.seed), str(baseline.seed)),
        "architectures": (_architecture(result), _architecture(baseline)),
        "policies": (result.policy_digest[:16], baseline.policy_digest[:16]),
        "tool versions": (result.tool_version, baseline.tool_version),
    }
    for name, (now, then) in pairs.items():
        if now != then:
            yield f"{name} differ: {then} then, {now} now"
    names = (result.versions.keys() | baseline.versions.keys()) - {"unlearn-audit"}
    other = sorted(name for name in names if result.versions.get(name) != baseline.versions.get(name))
    if other:
        yield f"versions differ: {', '.join(other)}"
    added = [one.id for one in planned if one.id not in known]
    lost = sorted(known - {one.id for one in planned} - {f"{BASELINE}/{PROBE}.{MEASURE}"})
    for what, several in (("not in the baseline", added), ("only in the baseline", lost)):
        if several:
            yield f"{what}: {', '.join(several[:MOST_NAMED])}{rest_of(several)}"


def _architecture(result: Result) -> str:
    return next((model.architecture for model in result.models if model.role == "unlearned"), "unknown")
