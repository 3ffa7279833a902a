"""Representation: how far apart are the hidden states of two models, layer by layer?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveInt

from unlearn_audit.api import (
    Access,
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
)
from unlearn_audit.api.kit.asking import depth_of, questions_of

FloatArray = npt.NDArray[np.float64]
NOT_READ = "questions that both models read, with states that are numbers"
PROMPTS = {Profile.QUICK: 64, Profile.STANDARD: 128, Profile.DEEP: 512}


class RepresentationParameters(Parameters):
    """Parameters of `representation`. None follows the profile."""

    prompts: PositiveInt | None = Field(None, description="Most questions per set; 64, 128 or 512 by profile.")
    resamples: int = Field(100, ge=20, description="Bootstrap samples of the prompts behind every interval.")


class Representation(Comparison[RepresentationParameters]):
    """Compares the residual stream of two models on the same questions, before every block and after the last.

    Both measures are of states at the last prompt token, centred over the questions, X and Y of shape (prompts, width):

    - `cka`: linear centred kernel alignment (1905.00414), |Y'X|^2 / (|X'X| |Y'Y|) with Frobenius norms, in [0, 1]; 1
      if one is a rotation and scaling of the other. Unless there are many more prompts than the
      width, it is biased upward, for every pair alike.
    - `procrustes`: 1 - |Y'X|_* / (|X| |Y|), nuclear over Frobenius norms, in [0, 1]: the least squared distance under a
      rotation, both scaled to one (2108.01661). 0 if they agree.

    `forget` uses questions of the forget set, `retain` those that must stay. Models trained separately differ
    everywhere; one that was merely tuned differs where the tuning had an effect. The reader must judge whether that is
    a trace: these numbers have no target, so they have no null and never decide. Read the checkpoint's distance from
    the original next to the control's. Intervals are percentiles of a bootstrap over prompts, for orientation
    rather than proof: resampled prompts repeat, and a bootstrap of a bounded measure is too narrow near its limit.
    """

    name: ClassVar[str] = "representation"
    summary: ClassVar[str] = "Measures how far apart two models' activations are, layer by layer."
    paper: ClassVar[str] = "1905.00414"
    access: ClassVar[Access] = Access.ACTIVATIONS
    roles: ClassVar[tuple[Role, ...]] = (Role.ORIGINAL, Role.UNLEARNED)
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.STANDARD, Profile.DEEP})
    Parameters: ClassVar[type[Parameters]] = RepresentationParameters

    def extract(self, model: Model, context: ComparisonContext) -> Features:
        """States of each set, (prompts, layers + 1, width), in half precision; NaN for prompts that are not read."""
        layers = range(depth_of(model) + 1)
        found = {}
        for name in (FactSet.FORGET, FactSet.RETAIN):
            prompts = [Prompt(text=question) for question in self._questions(context, name)]
            if any(model.unread(prompt) is None for prompt in prompts):
                states = model.hidden_states(prompts, layers=list(layers)).numpy()
                found[name.value] = states.clip(-65504, 65504).astype(np.float16)
        return found

    def compare(self, models: Sequence[Compared], context: ComparisonContext) -> Iterator[GroupReading]:
        """Every pair of models, the checkpoint first where it is one of them."""
        for other, one in combinations(models, 2):
            for name in [name for name in one.features if name in other.features]:
                yield from self._pair(one, other, name, derive_seed(context.seed, name), context.alpha)

    def _pair(self, one: Compared, other: Compared, name: str, seed: int, alpha: float) -> Iterator[GroupReading]:
        left, right = (np.asarray(model.features[name], dtype=np.float64) for model in (one, other))
        if left.shape[:2] != right.shape[:2]:
            yield GroupReading(
                measure="cka",
                variant=name,
                between=(one.name, other.name),
                missing=f"the models have {left.shape[1]} and {right.shape[1]} layers",
            )
            return
        read = np.isfinite(left).all(axis=(1, 2)) & np.isfinite(right).all(axis=(1, 2))
        if read.sum() < 2:
            yield GroupReading(
                measure="cka", variant=name, between=(one.name, other.name), missing=f"{read.sum()} {NOT_READ}"
            )
            return
        left, right = left[read], right[read]
        draws = np.random.default_rng(seed).integers(0, len(left), (self.parameters.resamples, len(left)))
        for layer in range(left.shape[1]):
            for measure, distance in MEASURES.items():
                x, y = products(left[:, layer]), products(right[:, layer])
                spread = np.array([distance(x[np.ix_(draw, draw)], y[np.ix_(draw, draw)]) for draw in draws])
                lower, upper = np.quantile(spread, [alpha, 1.0 - alpha])
                yield GroupReading(
                    measure=measure,
                    variant=f"{name}, layer {layer}",
                    between=(one.name, other.name),
                    estimate=distance(x, y),
                    lower=float(lower),
                    upper=float(upper),
                    size=len(left),
                )

    def _questions(self, context: ComparisonContext, name: FactSet) -> list[str]:
        return questions_of(context.of(name))[: self.parameters.prompts or PROMPTS[context.profile]]


def products(states: FloatArray) -> FloatArray:
    """XX' of states that are not centred, (prompts, prompts)."""
    return states @ states.T


def centred(gram: FloatArray) -> FloatArray:
    """The products of the states centred over these prompts, from the plain ones."""
    rows = gram.mean(0, keepdims=True)
    found: FloatArray = gram - rows - rows.T + gram.mean()
    return found


def cka(x: FloatArray, y: FloatArray) -> float:
    """Linear CKA from the products of two sets of states of the same prompts; 0 where one does not vary."""
    x, y = centred(x), centred(y)
    size = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(np.sum(x * y) / size) if size > 0 else 0.0


def procrustes(x: FloatArray, y: FloatArray) -> float:
    """Least distance under a rotation, from the same; 1 where one does not vary.

    The singular values of Y'X are the roots of the eigenvalues of (XX')(YY').
    """
    x, y = centred(x), centred(y)
    size = float(np.sqrt(np.trace(x) * np.trace(y)))
    if not size > 0:
        return 1.0
    values, vectors = np.linalg.eigh(x)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ y @ root).clip(0)).sum()
    return float(np.clip(1.0 - shared / size, 0.0, 1.0))


MEASURES: Mapping[str, Callable[[FloatArray, FloatArray], float]] = {"cka": cka, "procrustes": procrustes}
