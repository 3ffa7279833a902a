"""What a run has found so far: mean scores of the checkpoint beside its controls', as soon as both are there.

A mean of all facts, and no finding: that is the verdict's, with its bound.
"""

from __future__ import annotations

from collections.abc import Mapping

from unlearn_audit.api import Role
from unlearn_audit.plan.plan import Job

_Place = tuple[str, str, int, str, str]
_WORDS = {Role.ORIGINAL: "original", Role.RETRAINED: "control"}


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
        known = self._known.get((job.attack, job.label, job.seed, dose, measure), {})
        checkpoint = [score for (role, _), score in known.items() if role is Role.UNLEARNED]
        found = {"checkpoint": checkpoint} if checkpoint else {}
        for role in (Role.RETRAINED, Role.ORIGINAL):
            scores = [score for (own, _), score in known.items() if own is role]
            found |= {_WORDS[role]: scores} if scores else {}
        return {who: sum(scores) / len(scores) for who, scores in found.items()}

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
