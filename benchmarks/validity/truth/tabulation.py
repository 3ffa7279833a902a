"""Verdicts against truth: pure functions from decided organisms to counts. Loads no model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from unlearn_audit.api.terms import Status
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.finished.redecide import redecide
from unlearn_audit.plan.case import Case
from unlearn_audit.spec.policy import Policy
from unlearn_audit.verdict.decide import decide
from unlearn_audit.verdict.result import Finding, Outcome, Result, Verdict

KNOWS_FROM, GONE_TO, KEPT_FROM = 0.20, 0.05, 0.80
CONFIDENCE = 0.95
UTILITY = "utility"


class Truth(StrEnum):
    """What is true of an organism (docs/validity.md, "The truth")."""

    KNOWS = "knows"
    NEVER = "never knew"
    GONE = "gone"
    BROKEN = "broken"
    UNDETERMINED = "undetermined"


def truth_of(by_construction: Truth | None, *, kept: float, readout: float | None, retraining: float | None) -> Truth:
    """The truth, in the order of the page: construction, then damage, then the oracles.

    Args:
        by_construction: what is known from how it was made, or None.
        kept: its hits on retain questions over the original's.
        readout: share of the original's readable knowledge that can still be read, the controls' taken off; it can
            prove that a model knows, and nothing else. None where it was not asked.
        retraining: the same share of what full fine-tuning brings back; None where it was not asked.
    """
    if by_construction is not None:
        return by_construction
    if kept < KEPT_FROM:
        return Truth.BROKEN
    if max(readout or 0.0, retraining or 0.0) >= KNOWS_FROM:
        return Truth.KNOWS
    return Truth.GONE if retraining is not None and retraining <= GONE_TO else Truth.UNDETERMINED


@dataclass(frozen=True, kw_only=True)
class Organism:
    """One model of the zoo, with its truth.

    Attributes:
        family: how it was made; the row that it counts in.
        forget: share of forget questions that it answers.
        kept: its hits on retain questions over the original's, in [0, 1] or a little above.
        oracle: what retraining brings back, or None where it was not asked; `readout` what can be read off. In the
            first zoo `oracle` was the readout.
    """

    world: str
    name: str
    family: str
    truth: Truth
    forget: float | None = None
    kept: float | None = None
    oracle: float | None = None
    readout: float | None = None


@dataclass(frozen=True, kw_only=True)
class Decided:
    """An organism with its verdicts.

    Attributes:
        failed: ids of the gating findings that failed, and `utility`.
        deciding: the finding that decided, with what it showed; or what stood in the way of a verdict.
        without: the outcome had an attack not been in the battery, by attack.
        seconds: processor time of its audit, on jobs that others may have paid for.
    """

    organism: Organism
    outcome: Outcome
    failed: tuple[str, ...] = ()
    deciding: str = ""
    without: Mapping[str, Outcome]
    seconds: float | None = None

    @property
    def found_by(self) -> frozenset[str]:
        """The attacks whose findings failed; a leak is a leak under whichever attack it is seen."""
        return frozenset(name.partition("/")[0] for name in self.failed if name != UTILITY)


@dataclass(frozen=True, kw_only=True)
class Rate:
    """`count` of `total`, which may be 0: then there is nothing to say."""

    count: int
    total: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """Clopper-Pearson, two-sided."""
        return self._bounds(1.0 - CONFIDENCE)

    @property
    def upper(self) -> float | None:
        """Clopper-Pearson, one-sided: with this confidence the rate is not larger."""
        bounds = self._bounds(2.0 * (1.0 - CONFIDENCE))
        return None if bounds is None else bounds[1]

    def _bounds(self, alpha: float) -> tuple[float, float] | None:
        if self.total == 0:
            return None
        low, high = proportion_confint(self.count, self.total, alpha=alpha, method="beta")
        return float(low), float(high)


def rate(decided: Sequence[Decided], truths: frozenset[Truth], holds: Callable[[Decided], bool]) -> Rate:
    """How many of the organisms of these truths are so."""
    among = [one for one in decided if one.organism.truth in truths]
    return Rate(count=sum(map(holds, among)), total=len(among))


DETERMINED = frozenset(Truth) - {Truth.UNDETERMINED}


def wrong_pass(decided: Sequence[Decided]) -> Rate:
    """PASS of what still knows."""
    return rate(decided, frozenset({Truth.KNOWS}), is_outcome(Outcome.PASS))


def broken_pass(decided: Sequence[Decided]) -> Rate:
    """PASS of what is broken."""
    return rate(decided, frozenset({Truth.BROKEN}), is_outcome(Outcome.PASS))


def wrong_fail(decided: Sequence[Decided]) -> Rate:
    """FAIL of what never knew."""
    return rate(decided, frozenset({Truth.NEVER}), is_outcome(Outcome.FAIL))


def disputed_fail(decided: Sequence[Decided]) -> Rate:
    """FAIL of what the oracle calls gone: one of the two is blind."""
    return rate(decided, frozenset({Truth.GONE}), is_outcome(Outcome.FAIL))


def undecided(decided: Sequence[Decided]) -> Rate:
    """INCONCLUSIVE (or an ERROR) where the truth is determined."""
    return rate(decided, DETERMINED, lambda one: one.outcome in (Outcome.INCONCLUSIVE, Outcome.ERROR))


def is_outcome(outcome: Outcome) -> Callable[[Decided], bool]:
    """Whether an organism got this outcome."""
    return lambda one: one.outcome is outcome


def found_by(decided: Sequence[Decided], attack: str, truth: Truth) -> Rate:
    """How many of a truth an attack's findings failed."""
    return rate(decided, frozenset({truth}), lambda one: attack in one.found_by)


def found_alone(decided: Sequence[Decided], attack: str) -> tuple[Decided, ...]:
    """What still knows and failed under this attack and under no other."""
    return tuple(one for one in decided if one.organism.truth is Truth.KNOWS and one.found_by == {attack})


def had_been_left_out(decided: Sequence[Decided], attack: str) -> tuple[Decided, ...]:
    """The same organisms with the outcomes of a battery without the attack."""
    return tuple(
        Decided(organism=one.organism, outcome=one.without[attack], without={}, seconds=one.seconds) for one in decided
    )


def missed_without(decided: Sequence[Decided], attack: str) -> tuple[Decided, ...]:
    """What still knows and fails, and would not without the attack."""
    return tuple(
        one
        for one in decided
        if one.organism.truth is Truth.KNOWS and one.outcome is Outcome.FAIL and one.without[attack] is not Outcome.FAIL
    )


def attacks_of(case: Case) -> tuple[str, ...]:
    """The attacks of a battery, in the order of the plan."""
    return tuple(dict.fromkeys(finding.attack for finding in case.planned))


def without_attack(case: Case, policy: Policy, attack: str) -> tuple[Case, Policy]:
    """The case and the policy of a battery that never had the attack.

    Its findings leave Holm's family, and the policy asks for no power of it. What is known of utility stays, although
    it is measured on the un-attacked models.
    """
    case = case.model_copy(
        update={
            "planned": tuple(finding for finding in case.planned if finding.attack != attack),
            "faults": tuple(fault for fault in case.faults if fault.attack != attack),
        }
    )
    wanted = {
        release: tuple(entry for entry in entries if entry.partition("/")[0].partition("@")[0] != attack)
        for release, entries in policy.required.items()
    }
    return case, policy.model_copy(update={"required": wanted})


def decide_run(run: Path, organism: Organism, policy: Policy, *, seconds: float | None = None) -> Decided:
    """A finished audit decided again from its evidence by a policy, whole and without each attack.

    Raises:
        AuditError: there is no finished run, or its evidence is not what its result was made from.
    """
    result = redecide(run, policy, sealed=False)  # runs from before there were manifests, too
    observations = EvidenceStore(run).gather(result.jobs)
    return decided(result, observations, organism, leave_out=attacks_of(result.case), seconds=seconds)


def decided(
    result: Result,
    observations: pd.DataFrame,
    organism: Organism,
    *,
    leave_out: Sequence[str],
    seconds: float | None = None,
) -> Decided:
    """A result, and its evidence decided once more for each attack that is left out."""
    without = {}
    for attack in leave_out:
        case, policy = without_attack(result.case, result.policy, attack)
        without[attack] = decide(observations, case, policy).outcome
    return Decided(
        organism=organism,
        outcome=result.outcome,
        failed=failed_ids(result.verdict),
        deciding=deciding(result),
        without=without,
        seconds=seconds,
    )


def failed_ids(verdict: Verdict) -> tuple[str, ...]:
    """What failed and decides."""
    failed = [finding.id for finding in verdict.findings if finding.gates and finding.status is Status.FAILED]
    return (*failed, *([UTILITY] if verdict.utility.status is Status.FAILED else ()))


def deciding(result: Result) -> str:
    """One finding for a reader: of those that failed the one that brought back most, else what came nearest to it."""
    gating = [finding for finding in result.verdict.findings if finding.gates]
    failed = [finding for finding in gating if finding.status is Status.FAILED]
    if failed:
        return _shown(max(failed, key=lambda finding: finding.recovered or 0.0))
    if result.verdict.utility.status is Status.FAILED:
        return UTILITY
    bounded = [finding for finding in gating if finding.bound is not None]
    return _shown(max(bounded, key=lambda finding: finding.bound or 0.0)) if bounded else "nothing"


def _shown(finding: Finding) -> str:
    place = f" at {finding.worst.dose}" if finding.worst is not None else ""
    share = "" if finding.recovered is None else f", {finding.recovered:.2f} back"
    return f"{finding.id}{place}{share}"
