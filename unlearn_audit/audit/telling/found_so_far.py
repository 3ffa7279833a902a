"""What a run has found so far: mean scores of the checkpoint beside its controls', as soon as both are there.

A mean of all facts, and no finding: that is the verdict's, with its bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from unlearn_audit.api import Role
from unlearn_audit.plan.plan import SHAM, Job

_Place = tuple[str, str, int, str, str]
_WORDS = {Role.ORIGINAL: "original", Role.RETRAINED: "control"}


@dataclass(frozen=True, kw_only=True)
class Leading:
    """One cell of the checkpoint against the mean of its controls.

    Attributes:
        finding: `attack/probe.measure`.
        shown: mean over subjects; `controls` likewise, None where there are none.
        lower: of shown - controls, one-sided at the policy's error rate, for this cell alone; `upper` likewise.
    """

    finding: str
    dose: str
    shown: float
    controls: float | None
    lower: float
    upper: float
    subjects: int


class FoundSoFar:
    """Scores by attack, arm, seed, dose and measure, of every model."""

    def __init__(self) -> None:
        self._known: dict[_Place, dict[tuple[Role, str], float]] = {}

    def add(self, job: Job, dose: str, scores: Mapping[str, float]) -> None:
        """Takes down what a job measured at a dose."""
        for measure, score in scores.items():
            place = (job.attack, job.label, job.seed, dose, measure)
            self._known.setdefault(place, {})[job.model.role, job.model.name] = score

    def beside(self, job: Job, dose: str, measure: str) -> dict[str, float]:
        """Who scored what in one place: `checkpoint`, `control` (the mean of all), `original`, as far as known."""
        return self._beside((job.attack, job.label, job.seed, dose, measure))

    def _beside(self, place: _Place) -> dict[str, float]:
        known = self._known.get(place, {})
        checkpoint = [score for (role, _), score in known.items() if role is Role.UNLEARNED]
        found = {"checkpoint": checkpoint} if checkpoint else {}
        for role in (Role.RETRAINED, Role.ORIGINAL):
            scores = [score for (own, _), score in known.items() if own is role]
            found |= {_WORDS[role]: scores} if scores else {}
        return {who: sum(scores) / len(scores) for who, scores in found.items()}

    def worst(self, attack: str, measure: str) -> tuple[str, dict[str, float]] | None:
        """The dose of an attack at which the checkpoint shows most beyond its controls, and who scored what there.

        Where no place has the checkpoint yet, any that has the controls; None where nothing is known. Attempts toward
        twin answers do not count.
        """
        found: list[tuple[bool, float, str, dict[str, float]]] = []
        for own, label, seed, dose, name in self._known:
            if (own, name) != (attack, measure) or label.endswith(SHAM):
                continue
            who = self._beside((own, label, seed, dose, name))
            shown = who.get("checkpoint")
            found.append((shown is not None, (shown or 0.0) - who.get("control", 0.0), dose, who))
        if not found:
            return None
        _, _, dose, who = max(found, key=lambda one: one[:2])
        return dose, who

    def measures(self) -> list[str]:
        """All of them, in the order in which they came."""
        return list(dict.fromkeys(place[-1] for place in self._known))

    def told(self, job: Job, dose: str, scores: Mapping[str, float]) -> str:
        """`nf4: recall.hit 98 % (control 3 %, original 100 %)`: the first score of a dose, and who it is held against.

        Of a control or of the original the score alone, unless the checkpoint's is there.
        """
        if not scores:
            return dose
        measure, score = next(iter(scores.items()))
        found = self.beside(job, dose, measure)
        own = "checkpoint" if job.model.role is Role.UNLEARNED else _WORDS.get(job.model.role, "")
        others = {who: value for who, value in found.items() if who != own} if "checkpoint" in found else {}
        held = ", ".join(f"{who} {100 * value:.0f} %" for who, value in others.items())
        return f"{dose}: {measure} {100 * score:.0f} %" + (f" ({held})" if held and own else "")
