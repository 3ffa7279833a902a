"""Traces: do a model's answers or hidden states reveal that something was removed from it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveInt

from unlearn_audit.api import (
    Access,
    Compared,
    Comparison,
    ComparisonContext,
    Fact,
    FactSet,
    Features,
    GroupEstimate,
    GroupReading,
    Model,
    Parameters,
    Profile,
    Prompt,
    Role,
    mean_estimate,
)
from unlearn_audit.api.kit.asking import depth_of, is_askable, questions_of

from .tools.by_subject import sampled

FloatArray = npt.NDArray[np.float64]
PROMPTS = {Profile.QUICK: 64, Profile.STANDARD: 200, Profile.DEEP: 500}
TEXT, ACTIVATIONS = KINDS = ("text", "activations")
BENIGN = "benign"
NOT_READ = "fewer than two questions are read by all models, with states that are numbers"
TOLD_APART = 0.95
"""Accuracy from which a null says nothing: what it allows is everything."""


class TracesParameters(Parameters):
    """Parameters of `traces`. None follows the profile."""

    prompts: PositiveInt | None = Field(None, description="Most questions asked; 64, 200 or 500 by profile.")
    answer_tokens: PositiveInt = Field(48, description="Length of the answers that the text classifier reads.")
    words: PositiveInt = Field(2048, description="Hash buckets for words and pairs of words.")
    folds: int = Field(5, ge=2, description="Groups of prompts; each is judged by a classifier of the others.")
    benign_steps: int = Field(20, ge=0, description="Steps of the benign fine-tune that serves as a null; 0 for none.")
    benign_rate: float = Field(1e-4, gt=0, description="Its learning rate.")


class Traces(Comparison[TracesParameters]):
    """Tells the checkpoint from the original on questions unrelated to what was forgotten.

    The questions are those of the retain and holdout sets. Two classifiers are trained to say which of the two models
    gave an answer (2506.14003): logistic regression on TF-IDF of the answer's words and pairs of words, and on the
    residual stream at the last prompt token, halfway up and before the last block. Folds are disjoint by prompt.
    `accuracy` is the mean over prompts of the share of the two that are named correctly; 0.5 is chance, and what two
    equal models get exactly. Its interval treats prompts as independent and the classifiers as given.

    **The null** is the same between the original and models from which nothing was removed: each control, and the
    original after a benign fine-tune (LoRA of rank 16 on answers that must stay, AdamW, batches of 8). Two models
    differ because they were trained twice, which is not a trace of unlearning. A model that can almost always be told
    from the original (by hidden states, if trained from scratch) would allow everything, and is not used as a null; if
    there is no other, the number is given without a null. `about` has the accuracy of each.

    Where we depart: the authors train a language model as classifier, over many models; we have one pair and few
    prompts. The fine-tune is one of many that the owner might have made, and a short one.

    Known failure: a low accuracy does not prove that there is no trace; a stronger classifier may find one.
    """

    name: ClassVar[str] = "traces"
    summary: ClassVar[str] = "Tells the checkpoint from the original by answers and activations that should not differ."
    paper: ClassVar[str] = "2506.14003"
    access: ClassVar[Access] = Access.ACTIVATIONS
    reads: ClassVar[tuple[FactSet, ...]] = (FactSet.RETAIN,)
    roles: ClassVar[tuple[Role, ...]] = (Role.ORIGINAL, Role.UNLEARNED)
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.STANDARD, Profile.DEEP})
    Parameters: ClassVar[type[Parameters]] = TracesParameters

    def extract(self, model: Model, context: ComparisonContext) -> Features:
        """`text`: hashed counts of each answer's words, (prompts, words); `activations`: (prompts, 2 x width).

        The same after the benign fine-tune, as `benign text` and `benign activations`. Which of the models is the
        original cannot be seen here, so every one is tuned.
        """
        own = self.parameters
        found = self._read(model, context)
        asked = [(Prompt(text=fact.question or ""), fact.answer or "") for fact in _askable(context)]
        pairs = [pair for pair in asked if model.unread(model.render(*pair)) is None]
        if not own.benign_steps or not pairs:
            return found
        from .tools.benign_tuning import benignly_tuned

        with benignly_tuned(
            model, pairs, steps=own.benign_steps, learning_rate=own.benign_rate, seed=context.seed
        ) as tuned:
            return {**found, **{f"{BENIGN} {kind}": rows for kind, rows in self._read(tuned, context).items()}}

    def _read(self, model: Model, context: ComparisonContext) -> dict[str, npt.NDArray[np.generic]]:
        from sklearn.feature_extraction.text import HashingVectorizer

        prompts = [Prompt(text=question) for question in self._questions(context)]
        answers = [one.text for one in model.generate(prompts, max_new_tokens=self.parameters.answer_tokens)]
        hashing = HashingVectorizer(
            n_features=self.parameters.words, ngram_range=(1, 2), norm=None, alternate_sign=False, dtype=np.float32
        )
        depth = depth_of(model)
        states = model.hidden_states(prompts, layers=sorted({max(1, depth // 2), max(1, depth - 1)}))
        return {
            TEXT: np.asarray(hashing.transform(answers).todense()).astype(np.uint16),
            ACTIVATIONS: states.flatten(1).numpy().astype(np.float32),
        }

    def compare(self, models: Sequence[Compared], context: ComparisonContext) -> Iterator[GroupReading]:
        """`accuracy` by text and by activations, with the controls'."""
        original = next(model for model in models if model.role is Role.ORIGINAL)
        unlearned = next(model for model in models if model.role is Role.UNLEARNED)
        controls = [model for model in models if model.role is Role.RETRAINED] + _tuned(original)
        read = _read_by_all((*models, *controls))
        for kind in KINDS:
            shapes = {model.features[kind].shape for model in (*models, *controls)}
            if len(shapes) > 1:
                yield GroupReading(
                    measure="accuracy",
                    variant=kind,
                    between=(unlearned.name, original.name),
                    missing=f"the models' states have different shapes ({sorted(shapes)})",
                )
                continue
            if read.sum() < 2:
                yield GroupReading(
                    measure="accuracy", variant=kind, between=(unlearned.name, original.name), missing=NOT_READ
                )
                continue
            own = self._told_apart(unlearned, original, kind, read, context)
            others = {one.name: self._told_apart(one, original, kind, read, context) for one in controls}
            null = [other for other in others.values() if other.estimate < TOLD_APART]
            yield GroupReading(
                measure="accuracy",
                variant=kind,
                between=(unlearned.name, original.name),
                estimate=own.estimate,
                lower=own.lower,
                upper=own.upper,
                null=(0.5, max(other.upper for other in null)) if null else None,
                null_from=_null_words(others),
                p_value=own.p_value,
                size=own.members,
                about={f"accuracy of {name}": other.estimate for name, other in others.items()},
            )

    def _told_apart(
        self, one: Compared, other: Compared, kind: str, read: npt.NDArray[np.bool_], context: ComparisonContext
    ) -> GroupEstimate:
        rows = [np.asarray(model.features[kind], dtype=np.float64)[read] for model in (one, other)]
        shares = told_apart(rows[0], rows[1], text=kind == TEXT, folds=self.parameters.folds, seed=context.seed)
        return mean_estimate(shares, null=0.5, alpha=context.alpha, seed=context.seed)

    def _questions(self, context: ComparisonContext) -> list[str]:
        asked = questions_of([*context.of(FactSet.RETAIN), *context.of(FactSet.HOLDOUT)])
        return sampled(asked, self.parameters.prompts or PROMPTS[context.profile], context.seed)


def told_apart(one: FloatArray, other: FloatArray, *, text: bool, folds: int, seed: int) -> FloatArray:
    """For each prompt the share of its two rows that a classifier of other prompts ascribes to the right model.

    Args:
        one: features of one model, (prompts, width).
        other: of the other, for the same prompts.
        text: rows are counts of words, to be weighted by TF-IDF; else each column is standardized.
        folds: groups of prompts.
        seed: of the groups.

    Returns:
        0, 0.5 or 1 a prompt; exactly 0.5 where both rows are the same.
    """
    from sklearn.model_selection import KFold

    shares = np.full(len(one), 0.5)
    labels = np.repeat([1, 0], [len(one), len(other)])
    for train, test in KFold(min(folds, len(one)), shuffle=True, random_state=seed).split(one):
        if not (one[train] != other[train]).any():
            continue  # nothing to learn from
        classifier = _classifier(text=text).fit(np.vstack([one[train], other[train]]), _both(labels, train, len(one)))
        rightly = (classifier.predict(one[test]) == 1).astype(float) + (classifier.predict(other[test]) == 0)
        shares[test] = rightly / 2.0
    return shares


def _read_by_all(models: Sequence[Compared]) -> npt.NDArray[np.bool_]:
    """Shape (prompts,): whether every model read it, and has states that are numbers."""
    states = [np.asarray(model.features[ACTIVATIONS], dtype=np.float64) for model in models]
    read: npt.NDArray[np.bool_] = np.all([np.isfinite(own).all(axis=1) for own in states], axis=0)
    return read


def _both(labels: npt.NDArray[np.int_], train: npt.NDArray[np.int_], size: int) -> npt.NDArray[np.int_]:
    return np.concatenate([labels[train], labels[size + train]])


def _classifier(*, text: bool) -> Any:
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(TfidfTransformer() if text else StandardScaler(), LogisticRegression(max_iter=2000))


def _tuned(original: Compared) -> list[Compared]:
    """The original after its benign fine-tune, if there was one."""
    features = {
        kind: original.features[f"{BENIGN} {kind}"] for kind in KINDS if f"{BENIGN} {kind}" in original.features
    }
    return [Compared(role=Role.RETRAINED, name="a benign fine-tune", features=features)] if features else []


def _askable(context: ComparisonContext) -> list[Fact]:
    return [fact for fact in context.of(FactSet.RETAIN) if is_askable(fact)]


def _null_words(others: Mapping[str, GroupEstimate]) -> str:
    if not others:
        return "no control was given"
    named = [name for name, other in others.items() if other.estimate < TOLD_APART]
    if named:
        return f"chance to the upper bound of {', '.join(named)}"
    return f"none: {', '.join(others)} can also be told from the original"
