"""Finished runs -> one table: what each checkpoint kept, what came back under each attack, and who differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_audit.api import Role
from unlearn_audit.api.kit.printable import clean, listed
from unlearn_audit.api.problems import did_you_mean
from unlearn_audit.api.terms import ScoreKind
from unlearn_audit.errors import AuditError, SpecError
from unlearn_audit.evidence.manifest import RESULT, SHARD
from unlearn_audit.evidence.manifest import SPEC as REQUEST
from unlearn_audit.finished.baseline import compared
from unlearn_audit.finished.paired import fallen, grown
from unlearn_audit.finished.redecide import finished, observations_of
from unlearn_audit.plan.case import PlannedFinding
from unlearn_audit.spec.waivers import UTILITY
from unlearn_audit.statistics.bounds import holm
from unlearn_audit.verdict.changes import Change
from unlearn_audit.verdict.findings.places import BASELINE
from unlearn_audit.verdict.findings.utility import FINDING
from unlearn_audit.verdict.result import Finding, Outcome, Result
from unlearn_audit.verdict.several import Audited, Difference, Recovery, Scale, SeveralRecord

if TYPE_CHECKING:
    import pandas as pd

_RANK = (Outcome.PASS, Outcome.WAIVED, Outcome.INCONCLUSIVE, Outcome.FAIL, Outcome.ERROR)
_MOST_NAMED = 8
MOST_TESTED = 12
"""Checkpoints up to which every one is tested against every other: 132 ordered pairs."""


@dataclass(frozen=True)
class Run:
    """A finished run; its evidence is read when it is first asked for."""

    path: Path
    result: Result

    @cached_property
    def observations(self) -> pd.DataFrame:
        """All of it, checked against its digests."""
        return observations_of(self.path, self.result)

    @cached_property
    def _own(self) -> dict[tuple[str, str, str], pd.DataFrame]:
        """What the checkpoint itself showed, in parts: a whole table is slow to look through for each pair."""
        own = self.observations[self.observations["role"].astype(str) == Role.UNLEARNED]
        groups = own.groupby(["attack", "probe", "measure"], observed=True)
        return {(str(attack), str(probe), str(measure)): rows for (attack, probe, measure), rows in groups}

    def own(self, planned: PlannedFinding) -> pd.DataFrame:
        """What the checkpoint itself showed of a finding."""
        return self._own.get((planned.attack, planned.probe, planned.measure), self.observations.iloc[:0])

    @property
    def reference(self) -> str:
        """Where the checkpoint is."""
        return next((one.reference for one in self.result.models if one.role == "unlearned"), "")

    @property
    def digest(self) -> str:
        """Of the checkpoint."""
        return next((one.digest for one in self.result.models if one.role == "unlearned"), self.result.case.checkpoint)

    @property
    def controls(self) -> frozenset[str]:
        """Digests of the retrained models."""
        return frozenset(one.digest for one in self.result.models if one.role == "retrained")

    def facts(self, name: str) -> str:
        """Digest of a fact set; empty where there was none."""
        return next((one.digest for one in self.result.data if one.set == name), "")


def runs_in(named: Sequence[Path]) -> tuple[tuple[Run, ...], tuple[str, ...], bool]:
    """The finished runs that paths name: run directories, or folders of such.

    Returns:
        The runs; a line for each directory in a folder that is a run and has not ended; whether a folder was named.

    Raises:
        AuditError: a path is neither, or a folder has no finished run.
        IntegrityError: a file is not what its run wrote.
    """
    found: dict[Path, Run] = {}
    notes: list[str] = []
    has_folder = False
    for path in named:
        if _is_run(path) or not path.is_dir():
            found.setdefault(path, Run(path, finished(path)))
            continue
        has_folder = True
        inside = sorted(one for one in path.iterdir() if _is_run(one))
        ended = [one for one in inside if (one / RESULT).is_file()]
        if not ended:
            raise AuditError(f"{path}: expected a run directory or a folder of finished runs, found neither")
        notes += [f"{one}: has not ended, and is left out" for one in inside if one not in ended]
        for one in ended:
            found.setdefault(one, Run(one, finished(one)))
    return tuple(found.values()), tuple(notes), has_folder


def _is_run(path: Path) -> bool:
    return path.is_dir() and any((path / name).is_file() for name in (RESULT, SHARD, REQUEST))


def several(named: Sequence[Path], *, measure: str | None = None, baseline: Path | None = None) -> SeveralRecord:
    """The table of finished runs. The runs of a folder are ranked; those that are named keep their order.

    Args:
        named: run directories, or folders of such.
        measure: `probe.measure` by which attacks are compared; None: the one by hits that most checkpoints have.
        baseline: an older run; each of the others is also held against it.

    Raises:
        AuditError: there is no finished run, or nobody has the measure.
        IntegrityError: a file of a run is not what it wrote.
    """
    runs, notes, ranked = runs_in(named)
    old = None if baseline is None else Run(baseline, finished(baseline))
    runs = tuple(run for run in runs if old is None or run.path != old.path)
    shown = (*([old] if old else []), *runs)
    measure = _measure(shown, measure)
    names = _names(shown)
    rows = [audited(run, name, shown) for run, name in zip(shown, names, strict=True)]
    has_original = all(run.result.case.has_original for run in shown)
    scale = Scale.RECOVERED if has_original else Scale.BEYOND
    rows = [row.model_copy(update={"worst": worst_of(row, scale)}) for row in rows]
    attacks = attacks_of(rows, measure)
    rows = with_front(rows, scale, attacks, measure)
    differences, tests, untested = _differences(shown, names, attacks, measure)
    changes = {}
    if old is not None:
        changes = {
            name: compared(run.observations, run.result, old.observations, old.result)
            for run, name in zip(shown[1:], names[1:], strict=True)
        }
    return SeveralRecord(
        ranked=ranked,
        measure=measure,
        scale=scale,
        attacks=attacks,
        alpha=shown[0].result.policy.alpha,
        rows=tuple(sorted(rows, key=lambda row: _standing(row, scale)) if ranked else rows),
        differences=differences,
        tests=tests,
        notes=(*notes, *_notes(shown), *untested),
        baseline=names[0] if old else None,
        changes=changes,
    )


def _names(runs: Sequence[Run]) -> list[str]:
    """The checkpoints' names: the end of a path, and more of it, the digest or the run where names are alike."""
    paths = [clean(run.reference.rstrip("/"), 200) or "checkpoint" for run in runs]
    ends = [["/".join(path.split("/")[-depth:]) for path in paths] for depth in (1, 2)]
    columns = [
        *ends,
        [f"{name} ({run.digest[:8]})" for name, run in zip(ends[0], runs, strict=True)],
        [f"{name} [{run.path.name}]" for name, run in zip(ends[0], runs, strict=True)],
        [f"{name} [{place}]" for place, name in enumerate(ends[0], 1)],
    ]
    return [
        next(name for name, column in zip(options, columns, strict=True) if column.count(name) == 1)
        for options in zip(*columns, strict=True)
    ]


def _measure(runs: Sequence[Run], wanted: str | None) -> str:
    """The measure by which attacks are compared.

    Raises:
        SpecError: nobody has the one that is wanted.
        AuditError: nobody has any.
    """
    findings = [one for run in runs for one in run.result.verdict.findings]
    known = Counter(_measure_of(one) for one in findings)
    if wanted is not None:
        if wanted not in known:
            raise SpecError(f"--measure: no finding of these runs is by {wanted!r}{did_you_mean(wanted, list(known))}")
        return wanted
    if not known:
        raise AuditError("expected runs with findings, found none: there is nothing to compare")
    plain = Counter(_measure_of(one) for one in findings if one.gates and one.kind is ScoreKind.HIT and not one.any_of)
    ((most, _),) = (plain or known).most_common(1)
    return most


def _measure_of(finding: Finding) -> str:
    """`recall.hit`, `recall.hit.any`."""
    return finding.id.partition("/")[2]


def audited(run: Run, name: str, runs: Sequence[Run]) -> Audited:
    """The row of a run in the table of these runs."""
    result, utility = run.result, run.result.verdict.utility
    measures = sorted(map(_recovery, result.verdict.findings), key=lambda one: not one.gates)
    return Audited(
        name=name,
        reference=run.reference,
        digest=run.digest,
        run=str(run.path),
        outcome=result.outcome,
        is_control=any(run.digest in other.controls for other in runs if other is not run),
        started=result.started,
        profile=result.profile,
        policy=result.policy_digest,
        forget=run.facts("forget"),
        controls=len(run.controls),
        subjects=len(set(result.case.subjects.values())),
        utility=utility.unlearned,
        original_utility=utility.original,
        utility_status=utility.status,
        measures=tuple(measures),
        faults=len(result.case.model_faults),
    )


def _recovery(finding: Finding) -> Recovery:
    cell = finding.worst
    kept = {"finding": finding.id, "attack": finding.attack, "measure": _measure_of(finding), "gates": finding.gates}
    if cell is None:
        return Recovery(**kept, status=finding.status)
    controls = sum(cell.controls.values()) / len(cell.controls) if cell.controls else None
    return Recovery(
        **kept,
        status=finding.status,
        dose=cell.dose,
        variant=cell.variant,
        shown=cell.unlearned,
        controls=controls,
        original=cell.original,
        recovered=finding.recovered,
        beyond=cell.unlearned - (controls or 0.0),
        lower=cell.excess.lower,
        upper=cell.excess.upper,
        subjects=finding.subjects,
        facts=finding.facts,
    )


def worst_of(row: Audited, scale: Scale) -> Recovery | None:
    """The deciding finding under which most came back."""
    known = [one for one in row.measures if one.gates and one.on(scale) is not None]
    return max(known, key=lambda one: one.on(scale) or 0.0, default=None)


def with_front(rows: Sequence[Audited], scale: Scale, attacks: Sequence[str], measure: str) -> list[Audited]:
    """Marks who has gaps, and who is on the Pareto front: utility (more is better), worst recovery (less is better).

    Controls are no method, and are on no front. Nor is a checkpoint with gaps, which drives nobody off it either: what
    was not measured may be its worst.
    """
    rows = [row.model_copy(update={"has_gaps": _has_gaps(row, attacks, measure)}) for row in rows]
    places = {
        place: (row.utility, row.worst.on(scale) or 0.0)
        for place, row in enumerate(rows)
        if row.utility is not None and row.worst is not None and not row.is_control and not row.has_gaps
    }

    def beaten(own: tuple[float, float]) -> bool:
        return any(kept >= own[0] and back <= own[1] and (kept, back) != own for kept, back in places.values())

    front = {place for place, own in places.items() if not beaten(own)}
    return [row.model_copy(update={"on_front": place in front}) for place, row in enumerate(rows)]


def _has_gaps(row: Audited, attacks: Sequence[str], measure: str) -> bool:
    """Whether it has no number where another checkpoint of the table has one."""
    found = [row.under(attack, measure) for attack in attacks]
    return row.utility is None or any(one is None or one.shown is None for one in found)


def _standing(row: Audited, scale: Scale) -> tuple[bool, int, float, float, str]:
    """Controls last; else by verdict, then by what came back, then by what was kept."""
    back = None if row.worst is None else row.worst.on(scale)
    return (
        row.is_control,
        _RANK.index(row.outcome),
        2.0 if back is None else round(back, 6),
        -(row.utility or 0.0),
        row.name,
    )


def attacks_of(rows: Sequence[Audited], measure: str) -> tuple[str, ...]:
    """The attacks that some checkpoint has a number of, the baseline first, then the most harmful."""
    found: dict[str, float] = {}
    for row in rows:
        for one in row.measures:
            if one.measure == measure:
                found[one.attack] = max(found.get(one.attack, -1.0), -1.0 if one.beyond is None else one.beyond)
    return tuple(sorted(found, key=lambda name: (name != BASELINE, -found[name], name)))


def _differences(
    runs: Sequence[Run], names: Sequence[str], attacks: Sequence[str], measure: str
) -> tuple[tuple[Difference, ...], int, tuple[str, ...]]:
    """Every checkpoint against every other that was asked the same facts, by the findings of the table and utility.

    Returns:
        The differences, proven ones first; the size of Holm's family; lines on what was not tested.
    """
    if len(runs) > MOST_TESTED:
        line = f"not tested in pairs: more than {MOST_TESTED} checkpoints; name fewer runs"
        return (), 0, (line,)
    family = len(runs) * (len(runs) - 1) * (len(attacks) + 1)
    tested: list[tuple[str, str, Change]] = []
    apart: dict[str, None] = {}
    for (one, leaks), (two, other) in permutations(zip(runs, names, strict=True), 2):
        if one.facts("forget") != two.facts("forget"):
            apart |= dict.fromkeys([f"not tested in pairs: {listed(sorted((leaks, other)), 2)} (other forget sets)"])
            continue
        tested += [(leaks, other, change) for change in _changes(one, two, attacks, measure, family)]
    adjusted = holm([change.p_value for _, _, change in tested]) if tested else ()
    alpha = runs[0].result.policy.alpha
    found = [
        _difference(leaks, other, change, p_value, alpha)
        for (leaks, other, change), p_value in zip(tested, adjusted, strict=True)
    ]
    found.sort(key=lambda one: (one.finding == UTILITY, one.holm_p_value, -one.estimate, one.leaks, one.other))
    return tuple(found), len(tested), tuple(apart)


def _changes(one: Run, two: Run, attacks: Sequence[str], measure: str, family: int) -> Iterator[Change]:
    """By how much one shows more than the other, and keeps less."""
    case, policy = one.result.case, one.result.policy
    found = [
        grown(planned, one.own(planned), two.own(planned), case.subjects, policy, family=family)
        for planned in case.planned
        if planned.attack in attacks and planned.id.partition("/")[2] == measure
    ]
    if case.retain_subjects and one.facts("retain") == two.facts("retain"):
        found.append(fallen(one.own(FINDING), two.own(FINDING), case.retain_subjects, policy, family=family))
    yield from (change for change in found if isinstance(change, Change))


def _difference(leaks: str, other: str, change: Change, p_value: float, alpha: float) -> Difference:
    sign = -1.0 if change.finding == UTILITY else 1.0
    low, high = sorted((sign * change.lower, sign * change.upper))
    return Difference(
        finding=change.finding,
        leaks=leaks,
        other=other,
        dose=change.dose,
        variant=change.variant,
        estimate=sign * change.estimate,
        lower=low,
        upper=high,
        p_value=change.p_value,
        holm_p_value=p_value,
        subjects=change.subjects,
        facts=change.facts,
        proven=p_value <= alpha,
    )


def _notes(runs: Sequence[Run]) -> Iterator[str]:
    """In what the audits differ besides the model."""
    for name in ("forget", "retain"):
        if len({run.facts(name) for run in runs}) > 1:
            yield f"the {name} sets differ: the numbers of different facts are not comparable"
    controls = {run.controls for run in runs}
    if len(controls) > 1:
        yield "the retrained controls differ from run to run"
    told: dict[str, Callable[[Result], str]] = {
        "release tiers": lambda result: result.case.release,
        "profiles": lambda result: result.profile,
        "seeds": lambda result: str(result.seed),
        "policies": lambda result: result.policy_digest[:16],
        "tool versions": lambda result: result.tool_version,
    }
    for what, of in told.items():
        found = list(dict.fromkeys(of(run.result) for run in runs))
        if len(found) > 1:
            yield f"{what} differ: {listed(found, _MOST_NAMED)}"
    batteries = [frozenset(one.attack for one in run.result.case.planned) for run in runs]
    if some := sorted({attack for one in batteries for other in batteries for attack in one - other}):
        yield f"not every run has these attacks: {listed(some, _MOST_NAMED)}"
