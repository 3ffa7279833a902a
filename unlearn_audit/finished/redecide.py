"""Evidence -> result, and a finished run decided again by another policy. No torch: works on a laptop."""

from __future__ import annotations

import math
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import unlearn_audit
from unlearn_audit.api.writer import Material
from unlearn_audit.errors import AuditError, IntegrityError, Notice
from unlearn_audit.evidence.manifest import MANIFEST, RESULT, manifest_problems
from unlearn_audit.evidence.observations import evidence_digest
from unlearn_audit.evidence.published import read_published
from unlearn_audit.evidence.store import EvidenceStore
from unlearn_audit.report.formats.json import load_result
from unlearn_audit.spec.policy import Policy
from unlearn_audit.spec.waivers import Waiving
from unlearn_audit.verdict.decide import decide
from unlearn_audit.verdict.policy.planned import under
from unlearn_audit.verdict.result import Result, Verdict

if TYPE_CHECKING:
    import pandas as pd

FEWEST_DIGITS = 12
_PROSE = frozenset({"sentence", "reasons", "reason", "why"})
"""Fields of a verdict that hold sentences; what they say stands in the other fields as well."""

_CLOSE = 1e-6
"""How far a number may be from the one that another machine wrote: evidence is rounded to six digits."""


def material_of(run: Path, result: Result | None = None) -> Material:
    """What reports of a finished run are made from, by its own verdict or by `result`'s.

    The evidence is read only if a report asks for it.
    """
    result = result or written(run)
    return Material(result=result, observations=partial(table_of, run, result), published=partial(read_published, run))


def redecide(run: Path, policy: Policy | None = None, waivers: Waiving | None = None, *, sealed: bool = True) -> Result:
    """A finished run's result, by its own policy and waivers or by others.

    Args:
        run: the run directory.
        policy: in place of the run's own.
        waivers: in place of the run's own, which are checked again as of today.
        sealed: refuse a run whose files are not those of its manifest.

    Raises:
        AuditError: there is no finished run.
        IntegrityError: its files are not what the run wrote, or contradict its evidence.
    """
    result = finished(run, sealed=sealed)
    observations = observations_of(run, result)
    verdict = verdict_of(observations, result) if policy is None else None
    if verdict is not None and result.verdict.rules != verdict.rules:
        warnings.warn(
            "an older version of the rules decided this run; it is decided anew by today's", Notice, stacklevel=2
        )
    elif verdict is not None and not agrees(result, verdict):
        raise IntegrityError(f"{run / RESULT}: contradicts its evidence; rerun the audit")
    now = waivers or Waiving(waivers=tuple(one.waiver for one in result.verdict.waivers))
    if verdict is None or now.waivers or result.verdict.waivers:
        policy = policy or result.policy
        verdict = decide(observations, under(result.case, policy), policy, result.verdict.comparisons, now)
    policy = policy or result.policy
    return with_verdict(result, verdict).model_copy(update={"policy": policy, "policy_digest": policy.digest()})


def require(result: Result, digest: str) -> None:
    """Requires a policy.

    Raises:
        AuditError: the digest is too short to name one.
        IntegrityError: the result was decided by another.
    """
    wanted = digest.lower().removeprefix("sha256:")
    if len(wanted) < FEWEST_DIGITS:
        raise AuditError(f"--require-policy {digest}: expected at least {FEWEST_DIGITS} digits of the digest")
    if not result.policy_digest.startswith(wanted):
        raise IntegrityError(f"expected the policy sha256:{wanted}, but sha256:{result.policy_digest} decided this run")


def finished(run: Path, *, sealed: bool = True) -> Result:
    """The result of a finished run.

    Raises:
        AuditError: there is none.
        IntegrityError: with `sealed`, some file is not what the run wrote.
    """
    if not (run / RESULT).is_file():
        raise AuditError(f"{run}: expected a finished run, found no {RESULT}; check the path, or finish it")
    problems = manifest_problems(run)[1] if sealed else []
    if problems:
        more = f" (and {len(problems) - 1} more; `unlearn-audit verify` lists them)" if len(problems) > 1 else ""
        raise IntegrityError(problems[0] + more)
    result = load_result(run / RESULT)
    if result.policy.digest() != result.policy_digest:
        raise IntegrityError(f"{run / RESULT}: its policy does not match its policy digest")
    return result


def written(run: Path) -> Result:
    """What `result.json` says, for writing it in other formats.

    Raises:
        AuditError: there is none, or it cannot be read.
        IntegrityError: the run's manifest, where it has one, says that the file was another.
    """
    path = run / RESULT
    if path.is_file() and (run / MANIFEST).is_file():
        changed = [problem for problem in manifest_problems(run)[1] if problem.startswith(f"{path}:")]
        if changed:
            raise IntegrityError(changed[0])
    return load_result(path)


def observations_of(run: Path, result: Result) -> pd.DataFrame:
    """The evidence of a run.

    Raises:
        IntegrityError: it is not what the result was made from.
    """
    try:
        observations = EvidenceStore(run).gather(result.jobs)
    except OSError as error:
        raise IntegrityError(f"{run}: the evidence cannot be read ({error})") from error
    if evidence_digest(observations) != result.evidence_digest:
        raise IntegrityError(f"{run}: the evidence is not what {RESULT} was made from; rerun the audit")
    return observations


def table_of(run: Path, result: Result) -> pd.DataFrame:
    """The evidence of a run with the columns `subject` (a pseudonym) and `relation`; empty where a fact has none.

    Raises:
        IntegrityError: as `observations_of`.
    """
    observations, case = observations_of(run, result), result.case
    # Only planned findings are about the forget set; two sets may use the same ids.
    of_forget = observations["probe"].isin({planned.probe for planned in case.planned})
    facts = observations["fact_id"]
    people = facts.map(case.subjects).where(of_forget, facts.map(case.retain_subjects))
    return observations.assign(subject=people, relation=facts.map(case.relations).where(of_forget))


def verdict_of(observations: pd.DataFrame, result: Result) -> Verdict:
    """The verdict that a result should hold: by its own policy and waivers, as of its own day."""
    records = result.verdict.waivers
    waivers = Waiving(waivers=tuple(one.waiver for one in records), on=records[0].on) if records else None
    return decide(observations, under(result.case, result.policy), result.policy, result.verdict.comparisons, waivers)


def agrees(written: Result, decided: Verdict) -> bool:
    """Whether a stored verdict is the one that the evidence gives, in every field that was stored.

    Sentences are compared as well, unless another version of the tool wrote them: the wording may have changed since.
    """
    stored = written.verdict.model_dump(mode="json", exclude_unset=True)
    prose = frozenset() if written.tool_version == unlearn_audit.__version__ else _PROSE
    return _same(stored, decided.model_dump(mode="json"), leaving_out=prose)


def with_verdict(result: Result, verdict: Verdict) -> Result:
    """The result with another verdict; outcome and exit code follow from it."""
    outcome = verdict.outcome
    return result.model_copy(update={"verdict": verdict, "outcome": outcome, "exit_code": outcome.exit_code})


def _same(one: object, other: object, *, leaving_out: frozenset[str]) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        keys = one.keys() - leaving_out
        return all(key in other and _same(one[key], other[key], leaving_out=leaving_out) for key in keys)
    if isinstance(one, list) and isinstance(other, list):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(_same(*pair, leaving_out=leaving_out) for pair in pairs)
    if isinstance(one, float | int) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=_CLOSE, abs_tol=_CLOSE)
    return one == other
