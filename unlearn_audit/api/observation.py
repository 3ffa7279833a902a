"""The reading of a probe with its place in the audit, as the evidence keeps it.

Importing it loads no torch, so that plug-ins can be listed quickly. Scores follow one rule everywhere:
in [0, 1], **higher = more of the knowledge shown**, or missing with a reason; missing is never 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from unlearn_audit.api.terms import Role


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """A reading with its place in the audit: role, attack, dose, probe, seed.

    Attributes:
        placebo_score: the same measure of the fact's placebo, the same question about an invented subject; taken
            if no retrained model is given.
        sham: the attack optimized toward a twin answer, and the score is that answer's (design 6.6).
    """

    role: Role
    model: str
    attack: str
    dose: str
    dose_value: float | None
    probe: str
    measure: str
    variant: str
    fact_id: str
    seed: int
    score: float | None
    twin_score: float | None
    missing: str | None
    placebo_score: float | None = None
    sham: bool = False
