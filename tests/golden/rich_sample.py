"""A result with all that a report can draw: hidden states, membership curves, worst facts, a lora that brings back."""

from __future__ import annotations

from tests.golden import sample
from unlearn_audit.api import Access, ScoreKind
from unlearn_audit.api.terms import Status
from unlearn_audit.evidence.records import ComparisonRecord, GroupRecord
from unlearn_audit.evidence.seal import Seal
from unlearn_audit.report.annexes.texts import annexes
from unlearn_audit.verdict.policy.sealed import about_seal
from unlearn_audit.verdict.result import Appendix, FactRecord, Finding, Result, SignatureRecord

LAYERS = (1, 3, 5, 7)


def rich() -> Result:
    """`sample.failed()`, looked into."""
    result = sample.failed()
    findings = [*result.verdict.findings, *_lens()]
    findings[4] = findings[4].model_copy(update={"worst_facts": _facts()})
    more = {"findings": tuple(findings), "comparisons": _comparisons(), "people": sample.PEOPLE}
    relations = {f"f{place:03}": ("born_in", "lives_in", "works_as")[place % 3] for place in range(3 * sample.SUBJECTS)}
    case = result.case.model_copy(update={"relations": relations})
    return result.model_copy(update={"verdict": result.verdict.model_copy(update=more), "case": case})


def sealed(result: Result, *deviations: str, policy: str | None = None) -> Result:
    """The result of a run under a sealed plan, which it kept but for these."""
    seal = Seal(
        digest=sample.digest("seal"),
        made="2026-01-10T08:00:00+00:00",
        keys=(sample.digest("key"),),
        policy=policy or result.policy_digest,
        deviations=deviations,
    )
    case = result.case.model_copy(update={"seal": seal})
    verdict = result.verdict.model_copy(update={"sentence": result.verdict.sentence + about_seal(case, result.policy)})
    return result.model_copy(update={"case": case, "verdict": verdict})


def annexed(result: Result, *, keys: tuple[str, ...] = (sample.digest("signer"),)) -> Result:
    """The result as `report --annex` shows it, of a run that was signed."""
    signature = SignatureRecord(keys=keys, fits=True)
    signed = result.model_copy(update={"appendix": Appendix(signature=signature)})
    appendix = Appendix(signature=signature, annexes=annexes(signed, ("gdpr", "ai-act", "nist")))
    return signed.model_copy(update={"appendix": appendix})


def _lens() -> list[Finding]:
    read = {"resid": 0.95, "attn": 0.7, "mlp": 0.8}
    logit = [
        sample.cell("none", None, f"{part}-{layer}", share - 0.02 * layer, 0.98, (0.52, 0.5))
        for part, share in read.items()
        for layer in LAYERS
    ]
    linear = [sample.cell("none", None, f"resid-{layer}", 0.9, 0.97, (0.53, 0.49)) for layer in LAYERS]
    said = "read in the layers"
    return [
        sample.finding("as-is", "lens", "logit", logit, Status.FAILED, said, kind=ScoreKind.SOFT, gates=False),
        sample.finding("as-is", "lens", "linear", linear, Status.FAILED, said, kind=ScoreKind.SOFT, gates=False),
    ]


def _facts() -> tuple[FactRecord, ...]:
    return tuple(FactRecord(id=f"f{place:03}", unlearned=1.0, control=0.0, original=1.0) for place in range(10))


def _comparisons() -> tuple[ComparisonRecord, ...]:
    def curve(*tpr: float) -> dict[str, object]:
        return {"fpr": [0.0, 0.02, 0.04, 0.1, 0.3, 1.0], "tpr": list(tpr)}

    curves = {
        "checkpoint-npo": curve(0.0, 0.0, 0.02, 0.05, 0.1, 1.0),
        "original": curve(0.9, 1.0, 1.0, 1.0, 1.0, 1.0),
        "retrained-1": curve(0.02, 0.02, 0.05, 0.12, 0.33, 1.0),
    }
    reading = GroupRecord(
        measure="auc",
        variant="loss",
        between=("checkpoint-npo", "retrained-1"),
        estimate=0.12,
        lower=0.05,
        upper=0.2,
        null=(0.4, 0.6),
        p_value=0.0002,
        about={"privleak": 0.8, "roc": curves},
        status=Status.FAILED,
    )
    return (
        ComparisonRecord(name="membership", access=Access.LOGITS, paper="2407.06460", readings=(reading,)),
        ComparisonRecord(name="representation", access=Access.WEIGHTS, paper="", error="nothing was taken"),
    )
