"""Distribution: does the checkpoint answer like a model that never knew, in what it says and how likely?"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveInt

from unlearn_audit.api import (
    Access,
    AuditError,
    Compared,
    Comparison,
    ComparisonContext,
    FactSet,
    Features,
    GroupReading,
    Model,
    Parameters,
    Profile,
    Prompt,
    Role,
    derive_seed,
    mean_estimate,
)
from unlearn_audit.api.kit.asking import is_askable, is_readable

FloatArray = npt.NDArray[np.float64]
SUBJECTS = {Profile.QUICK: 32, Profile.STANDARD: 64, Profile.DEEP: 256}
SETS = (FactSet.FORGET, FactSet.RETAIN)
TELLING, DIVERGENCE = "telling", "divergence"
NOTHING_SAID = "one of the models gives no answer to these questions, or does not read them"


class DistributionParameters(Parameters):
    """Parameters of `distribution`. None follows the profile."""

    subjects: PositiveInt | None = Field(None, description="Most subjects per set; 32, 64 or 256 by profile.")
    samples: int = Field(4, ge=1, description="Answers drawn from each model for one question per subject.")
    max_new_tokens: int = Field(32, ge=1, description="Most tokens of an answer.")
    resamples: int = Field(1000, ge=100, description="Bootstrap samples of the subjects behind `divergence`.")


class Distribution(Comparison[DistributionParameters]):
    """Draws each model's answers at temperature 1 and asks how likely the other model finds them (FADE, 2510.12981).

    With `gap(y | a, b) = log p_a(y) - log p_b(y)` of an answer y that was drawn from a, and both directions averaged:

    - `divergence`: mean of gap over the tokens of y, in nats a token; half of Jeffreys' divergence a token. 0 for
      models that say the same; no upper limit. Its interval is a bootstrap over subjects, and informational.
    - `telling`: mean of max(0, 1 - exp(-gap)), in [0, 1]: the total variation distance, without bias. (1 + telling) / 2
      is how often the best reader of one answer guesses correctly which model gave it. Gaffke's bounds, which hold
      for any distribution.

    `forget` asks what should be gone, `retain` what must stay. The null of `telling` is the same number between two
    retrained models, which differ by chance alone; with one control there is no null, and nothing is claimed.
    With two, `relative` is either number over that of the controls. The original is also compared with the
    control: it must stand out.

    **Departures**: the authors' code was not available. This follows the description above: bidirectional
    likelihood on generated answers, relative to retrained against retrained. Answers are scored as text that the chat
    template writes, without the end of the turn, and are cut off at `max_new_tokens`. Empty answers have no likelihood
    and are skipped, as are those that one of the models does not read behind their question; the share of both is given
    with the number.

    **Known failure**: two controls of one base and one recipe are closer than honest unlearning can get.
    Samples pass from model to model within a run and are not kept.
    """

    name: ClassVar[str] = "distribution"
    summary: ClassVar[str] = "Draws answers from each model and asks how likely the other finds them."
    paper: ClassVar[str] = "2510.12981"
    access: ClassVar[Access] = Access.LOGITS
    roles: ClassVar[tuple[Role, ...]] = (Role.UNLEARNED, Role.RETRAINED)
    crosses: ClassVar[bool] = True
    hands_on: ClassVar[frozenset[str]] = frozenset(f"{name.value} words" for name in SETS)
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.STANDARD, Profile.DEEP})
    Parameters: ClassVar[type[Parameters]] = DistributionParameters

    def extract(self, model: Model, context: ComparisonContext) -> Features:
        """Of each set: the answers (bytes, handed on), and log p and tokens of each, both (questions, samples)."""
        found: dict[str, npt.NDArray[np.generic]] = {}
        for name in SETS:
            questions = self._questions(context, name)
            if not questions:
                continue
            drawn = model.sample(
                [Prompt(text=question) for question in questions],
                count=self.parameters.samples,
                max_new_tokens=self.parameters.max_new_tokens,
                seed=derive_seed(context.seed, name),
            )
            answers = [[one.text for one in several] for several in drawn]
            found[f"{name} words"] = np.frombuffer(json.dumps(answers).encode(), dtype=np.uint8)
            found[f"{name} own"], found[f"{name} tokens"] = likelihoods(model, questions, answers)
        return found

    def cross(
        self, model: Model, own: Features, others: Mapping[str, Features], context: ComparisonContext
    ) -> Features:
        """Log-likelihood of every other model's answers, (questions, samples)."""
        found: dict[str, npt.NDArray[np.generic]] = {}
        for other, features in others.items():
            for name in SETS:
                if f"{name} words" in features:
                    answers = json.loads(np.asarray(features[f"{name} words"]).tobytes())
                    questions = self._questions(context, name)
                    found[f"{name} of {other}"], _ = likelihoods(model, questions, answers)
        return found

    def compare(self, models: Sequence[Compared], context: ComparisonContext) -> Iterator[GroupReading]:
        """The original and the checkpoint against every control, and the controls among themselves."""
        controls = [model for model in models if model.role is Role.RETRAINED]
        for name in [name for name in SETS if f"{name} own" in models[0].features]:
            honest = [self._read(*pair, name, context) for pair in combinations(controls, 2)]
            for one in models:
                if one.role is not Role.RETRAINED:
                    for control in controls:
                        yield from self._readings(one, control, name, honest, context)

    def _readings(
        self, one: Compared, control: Compared, name: FactSet, honest: Sequence[_Read], context: ComparisonContext
    ) -> Iterator[GroupReading]:
        own = self._read(one, control, name, context)
        for measure in (TELLING, DIVERGENCE):
            yield own.reading(measure, name, (one.name, control.name), [each for each in honest if each.size])

    def _read(self, one: Compared, other: Compared, name: FactSet, context: ComparisonContext) -> _Read:
        gaps = [gap_of(one, other, name), gap_of(other, one, name)]
        telling = by_subject([-np.expm1(-np.maximum(gap, 0.0)) for gap in gaps])
        lengths = [np.maximum(model.features[f"{name} tokens"], 1) for model in (one, other)]
        divergence = by_subject([np.divide(gap, length) for gap, length in zip(gaps, lengths, strict=True)])
        empty = float(np.mean([np.isnan(gap).mean() for gap in gaps]))
        if not len(telling):
            return _Read(empty=empty)
        seed = derive_seed(context.seed, name, one.name, other.name)
        bounded = mean_estimate(telling, null=0.0, alpha=context.alpha, seed=seed)
        draws = np.random.default_rng(seed).integers(0, len(divergence), (self.parameters.resamples, len(divergence)))
        lower, upper = np.quantile(divergence[draws].mean(1), [context.alpha, 1.0 - context.alpha])
        return _Read(
            spans={
                TELLING: (bounded.estimate, bounded.lower, bounded.upper),
                DIVERGENCE: (float(divergence.mean()), float(lower), float(upper)),
            },
            size=len(telling),
            empty=empty,
        )

    def _questions(self, context: ComparisonContext, name: FactSet) -> list[str]:
        """The first question of each of the first subjects."""
        first: dict[str, str] = {}
        for fact in context.of(name):
            if is_askable(fact) and fact.question:
                first.setdefault(fact.subject, fact.question)
        return list(first.values())[: self.parameters.subjects or SUBJECTS[context.profile]]


@dataclass(frozen=True, kw_only=True)
class _Read:
    """What one pair of models gave: measure -> estimate, lower, upper; nothing where nothing was said."""

    spans: Mapping[str, tuple[float, float, float]] | None = None
    size: int = 0
    empty: float = 0.0

    def reading(self, measure: str, name: FactSet, between: tuple[str, ...], honest: Sequence[_Read]) -> GroupReading:
        if self.spans is None:
            return GroupReading(measure=measure, variant=name, between=between, missing=NOTHING_SAID)
        estimate, lower, upper = self.spans[measure]
        others = [each.spans[measure] for each in honest if each.spans is not None]
        bounded = measure == TELLING and bool(others)
        usual = max((other[0] for other in others), default=0.0)
        return GroupReading(
            measure=measure,
            variant=name,
            between=between,
            estimate=estimate,
            lower=lower,
            upper=upper,
            null=(min(other[1] for other in others), max(other[2] for other in others)) if bounded else None,
            null_from="retrained against retrained" if bounded else "",
            size=self.size,
            about={"empty": self.empty, **({"relative": estimate / usual} if usual > 0 else {})},
        )


def gap_of(one: Compared, other: Compared, name: FactSet) -> FloatArray:
    """Surplus log p_one(y) - log p_other(y) of one model's answers, (questions, samples)."""
    gap: FloatArray = np.subtract(one.features[f"{name} own"], other.features[f"{name} of {one.name}"])
    return gap


def likelihoods(
    model: Model, questions: Sequence[str], answers: Sequence[Sequence[str]]
) -> tuple[FloatArray, FloatArray]:
    """Log-likelihood and tokens of each answer, both (questions, samples).

    NaN for an answer without words, and for one that the model does not read behind its question.
    """
    places = [
        (row, column) for row, several in enumerate(answers) for column, answer in enumerate(several) if answer.strip()
    ]
    shape = (len(answers), max(map(len, answers), default=0))
    found, tokens = np.full(shape, math.nan), np.zeros(shape)
    if places:
        scores = model.score([(Prompt(text=questions[row]), answers[row][column]) for row, column in places])
        if not all(is_readable(score) for score in scores if score.missing is None):
            raise AuditError("an answer's likelihood is not a number; try --dtype float32 or bfloat16")
        for (row, column), score in zip(places, scores, strict=True):
            if score.missing is not None:
                continue
            found[row, column], tokens[row, column] = score.log_likelihood, len(score.log_probs)
    return found, tokens


def by_subject(directions: Sequence[FloatArray]) -> FloatArray:
    """One number a subject: its samples averaged in each direction, then both; subjects silent in one are left out."""
    kept = ~np.any([np.isnan(values).all(axis=1) for values in directions], axis=0)
    found: FloatArray = np.mean([np.nanmean(values[kept], axis=1) for values in directions], axis=0)
    return found
