"""Unlearning depth: patched into the original, do the checkpoint's hidden states still produce the answer?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from typing import ClassVar

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
    Rendered,
    Role,
    mean_estimate,
)
from unlearn_audit.api.kit.asking import Pair, is_askable

from .tools.by_subject import means_by, sampled
from .tools.reading import UNREAD, read_by, spread

FloatArray = npt.NDArray[np.float64]
FACTS = {Profile.QUICK: 48, Profile.STANDARD: 96, Profile.DEEP: 256}
DEPTHS = {Profile.QUICK: 8, Profile.STANDARD: 16, Profile.DEEP: 32}
STATES, LENGTHS, DEPTHS_READ, WHOLE, ITSELF = "states", "lengths", "depths", "whole", "itself"
UNLIKE = "hidden states of the original's depth and width for the same tokens of the answers"
NOTHING_ENCODED = "after every block the control has what the original knows"


class UnlearningDepthParameters(Parameters):
    """Parameters of `unlearning-depth`. None follows the profile."""

    facts: PositiveInt | None = Field(None, description="Most facts that are patched; 48, 96 or 256 by profile.")
    depths: PositiveInt | None = Field(None, description="Most blocks that are patched; 8, 16 or 32 by profile.")
    answer_tokens: PositiveInt = Field(16, description="Leading tokens of an answer that are patched and scored.")
    threshold: float = Field(
        0.05, gt=0, description="Least drop from the control's states, in nats, for a block to encode a fact (tau)."
    )


class UnlearningDepth(Comparison[UnlearningDepthParameters]):
    """The Unlearning Depth Score by activation patching (UDS, 2605.24614).

    The original reads a question and its answer, teacher-forced. After one block l, its states at the places where
    answer tokens are predicted are replaced by another model's at the same places. What that costs the answer is
    D(l) = mean over its tokens of log p(original) - log p(patched), in nats: D1 with the control's states, D2 with the
    checkpoint's. A block encodes a fact if D1(l) > tau. For each fact that some block encodes,

        depth = sum over these blocks of D1(l) clip(D2(l) / D1(l), 0, 1) / sum of D1(l),

    in [0, 1]: **0 if the checkpoint's states hold all that the original's do, 1 if they hold no more than the
    control's**. This is the one number here that is *lower* if more knowledge is left.

    - `depth`: the mean over subjects, with an interval for any distribution. The first control has 1 by construction
      and is not a null: clipping keeps an honest model below 1, and only further controls can show by how much. If
      there are any, the null goes from their smallest lower bound, measured against the first, to 1. The
      original's own states, patched back, are listed as a control of the patching: their depth is 0.
    - `erased`: clip(D2 / D1, 0, 1) block by block over the facts that it encodes; informational.

    **Departures.** The span that the authors patch is taken to be the places that predict the entity's tokens. They
    mark the entity of an answer by hand, with the words before it given; here it is the longest of the fact's aliases
    that the answer holds, with the words before it given, else the whole answer, up to `answer_tokens`. Prompts are
    written by the model's own template. They patch every block; we patch at most `depths`, evenly spread, including
    the last. States are kept in half precision. Facts are drawn uniformly at random, and none is dropped because the
    original answers it incorrectly; those that one of the models does not read, with so many tokens of the answer, are
    left out.

    **Known failure.** A state only has meaning in its own model. A control that was trained from scratch, and not from
    where the original started, has another basis in every layer: then D1 is large throughout, whatever is known, and
    depth is small if the checkpoint stayed close to the original. Damage also counts as depth: a
    checkpoint with broken states gets 1.
    """

    name: ClassVar[str] = "unlearning-depth"
    summary: ClassVar[str] = "Patches hidden states into the original and measures how much of the answer is lost."
    paper: ClassVar[str] = "2605.24614"
    access: ClassVar[Access] = Access.ACTIVATIONS
    roles: ClassVar[tuple[Role, ...]] = (Role.ORIGINAL, Role.UNLEARNED, Role.RETRAINED)
    crosses: ClassVar[bool] = True
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.STANDARD, Profile.DEEP})
    Parameters: ClassVar[type[Parameters]] = UnlearningDepthParameters

    def extract(self, model: Model, context: ComparisonContext) -> Features:
        """`states`: (answer tokens, depths, width), in half precision; `lengths`: answer tokens of each fact.

        The length is 0 for facts that are not read; `states` is absent where none is.
        """
        from .tools.patching import answer_lengths, blocks_of, depths_of, states_behind

        rows = self._rows(model, context)
        read = read_by(model, rows)
        layers = blocks_of(model)
        depths = depths_of(layers.depth, self._most_depths(context))
        lengths = {LENGTHS: np.where(read, answer_lengths(rows), 0), DEPTHS_READ: np.array(depths)}
        if not read.any():
            return lengths
        return {STATES: states_behind(model, layers, depths, list(compress(rows, read))), **lengths}

    def cross(
        self, model: Model, own: Features, others: Mapping[str, Features], context: ComparisonContext
    ) -> Features:
        """On the original alone: mean log p of each answer, as it is, and by depth with each model's states."""
        from unlearn_audit.api.kit.answer_batches import mean_log_probs

        from .tools.patching import blocks_of, patched_log_probs, states_of

        if Role.ORIGINAL in others or STATES not in own:
            return {}
        rows = self._rows(model, context)
        layers = blocks_of(model)
        depths = own[DEPTHS_READ].tolist()
        read = np.asarray(own[LENGTHS], dtype=np.int64) > 0
        found = {WHOLE: spread(mean_log_probs(model, list(compress(rows, read))), read)}
        for name, features in {ITSELF: own, **others}.items():
            both = _read_alike(own, features)
            if both.any():
                states = states_of(features[STATES], features[LENGTHS], both)
                patched = [
                    patched_log_probs(model, list(compress(rows, both)), layers.blocks[depth - 1], states[:, place])
                    for place, depth in enumerate(depths)
                ]
                found[_patched(name)] = spread(np.stack(patched, axis=1), both)
        return found

    def compare(self, models: Sequence[Compared], context: ComparisonContext) -> Iterator[GroupReading]:
        """`depth` of the original and the checkpoint, and `erased` by block, against the first control."""
        original = next(model for model in models if model.role is Role.ORIGINAL)
        controls = [
            model for model in models if model.role is Role.RETRAINED and _drop(original, model.name) is not None
        ]
        for model in models:
            if model.role is Role.RETRAINED:
                continue
            if missing := self._missing(model, original, controls):
                yield GroupReading(measure="depth", variant="", between=(model.name, original.name), missing=missing)
            elif model is original:
                yield self._depth(original, original, controls[:1], context)
            else:
                yield self._depth(model, original, controls, context)
                yield from self._erased(model, original, controls[0], context)

    def _missing(self, model: Compared, original: Compared, controls: Sequence[Compared]) -> str:
        if STATES not in original.features or STATES not in model.features:
            return UNREAD
        if not controls:
            return f"no control has {UNLIKE}"
        return f"the checkpoint has not {UNLIKE}" if _drop(original, self._source(model)) is None else ""

    def _depth(
        self, model: Compared, original: Compared, controls: Sequence[Compared], context: ComparisonContext
    ) -> GroupReading:
        between = (model.name, *((original.name,) if model is not original else ()), controls[0].name)
        own = self._estimate(model, original, controls[0], context)
        if own is None:
            return GroupReading(measure="depth", variant="", between=between, missing=NOTHING_ENCODED)
        others = [self._estimate(other, original, controls[0], context) for other in controls[1:]]
        lower = min((other.lower for other in others if other is not None), default=1.0)
        encoded = np.isfinite(self._of(model, original, controls[0]))[self._read(model, original, controls)].mean()
        return GroupReading(
            measure="depth",
            variant="",
            between=between,
            estimate=own.estimate,
            lower=own.lower,
            upper=own.upper,
            null=(lower, 1.0) if others else None,
            null_from="the other controls' own" if others else "",
            size=own.members,
            about={"encoded": float(encoded), "threshold": self.parameters.threshold},
        )

    def _erased(
        self, model: Compared, original: Compared, control: Compared, context: ComparisonContext
    ) -> Iterator[GroupReading]:
        first, second = _known(_drop(original, control.name)), _known(_drop(original, self._source(model)))
        shares = erased(first, second, self.parameters.threshold)
        for place, depth in enumerate(original.features[DEPTHS_READ].tolist()):
            found = _by_subject(shares[:, place], self._facts(context), context)
            yield GroupReading(
                measure="erased",
                variant=f"block {depth}",
                between=(model.name, original.name, control.name),
                estimate=None if found is None else found.estimate,
                lower=None if found is None else found.lower,
                upper=None if found is None else found.upper,
                size=0 if found is None else found.members,
                missing=NOTHING_ENCODED if found is None else None,
                about={"drop": float(np.nanmean(first[:, place]))},
            )

    def _estimate(
        self, model: Compared, original: Compared, control: Compared, context: ComparisonContext
    ) -> GroupEstimate | None:
        return _by_subject(self._of(model, original, control), self._facts(context), context)

    def _read(self, model: Compared, original: Compared, controls: Sequence[Compared]) -> npt.NDArray[np.bool_]:
        """Which facts have states of all three, (facts,)."""
        drops = [_known(_drop(original, name)) for name in (controls[0].name, self._source(model))]
        known: npt.NDArray[np.bool_] = ~np.any([np.isnan(drop).any(axis=1) for drop in drops], axis=0)
        return known

    def _of(self, model: Compared, original: Compared, control: Compared) -> FloatArray:
        """Depth of each fact, NaN where no block encodes it."""
        first, second = _known(_drop(original, control.name)), _known(_drop(original, self._source(model)))
        return depth_scores(first, second, self.parameters.threshold)

    @staticmethod
    def _source(model: Compared) -> str:
        return ITSELF if model.role is Role.ORIGINAL else model.name

    def _most_depths(self, context: ComparisonContext) -> int:
        return self.parameters.depths or DEPTHS[context.profile]

    def _rows(self, model: Model, context: ComparisonContext) -> list[Rendered]:
        from .tools.patching import shortened

        pairs = [entity_of(fact) for fact in self._facts(context)]
        return [shortened(model.render(prompt, answer), self.parameters.answer_tokens) for prompt, answer in pairs]

    def _facts(self, context: ComparisonContext) -> list[Fact]:
        facts = [fact for fact in context.of(FactSet.FORGET) if is_askable(fact)]
        return sampled(facts, self.parameters.facts or FACTS[context.profile], context.seed)


def entity_of(fact: Fact) -> Pair:
    """The question with the answer up to what it is about, and that: the longest alias in it, else the whole answer."""
    answer = (fact.answer or "").strip()
    held = [alias for alias in fact.aliases if alias.strip() and alias.casefold() in answer.casefold()]
    if not held or len(answer) != len(answer.casefold()):
        return Prompt(text=fact.question or ""), answer
    alias = max(held, key=len)
    start = answer.casefold().find(alias.casefold())
    return Prompt(text=fact.question or "", prefix=answer[:start]), answer[start : start + len(alias)]


def erased(first: FloatArray, second: FloatArray, threshold: float) -> FloatArray:
    """clip(D2 / D1, 0, 1) by fact and block, NaN where the block does not encode the fact (eq. 4)."""
    encoded = (first > threshold) & ~np.isnan(second)
    return np.where(encoded, np.clip(second / np.where(encoded, first, 1.0), 0.0, 1.0), np.nan)


def depth_scores(first: FloatArray, second: FloatArray, threshold: float) -> FloatArray:
    """The Unlearning Depth Score of each fact, (facts,), NaN where no block encodes it (eq. 5).

    Args:
        first: D1 by fact and block, from the control's states; NaN for a fact that one of the models does not read.
        second: D2, from the checkpoint's.
        threshold: tau.
    """
    weights = np.where((first > threshold) & ~np.isnan(second), first, 0.0)
    total = weights.sum(axis=1)
    shares = np.nan_to_num(erased(first, second, threshold))
    return np.where(total > 0, (weights * shares).sum(axis=1) / np.where(total > 0, total, 1.0), np.nan)


def _read_alike(own: Features, other: Features) -> npt.NDArray[np.bool_]:
    """Which facts have states in both models, for as many tokens; none where the states cannot be compared."""
    lengths = [np.asarray(features[LENGTHS], dtype=np.int64) for features in (own, other)]
    both: npt.NDArray[np.bool_] = np.all([one > 0 for one in lengths], axis=0)
    alike = STATES in other and np.shape(own[STATES])[1:] == np.shape(other[STATES])[1:]
    if alike and np.array_equal(lengths[0][both], lengths[1][both]):
        return both
    return np.zeros_like(both)


def _patched(name: str) -> str:
    return f"patched {name}"


def _drop(original: Compared, name: str) -> FloatArray | None:
    """D by fact and block, for states of a model; None where they could not be patched."""
    patched = original.features.get(_patched(name))
    if patched is None:
        return None
    whole = np.asarray(original.features[WHOLE], dtype=np.float64)
    found: FloatArray = whole[:, None] - np.asarray(patched, dtype=np.float64)
    return found


def _known(drop: FloatArray | None) -> FloatArray:
    if drop is None:
        raise ValueError("states that could not be patched have no drop")
    return drop


def _by_subject(values: FloatArray, facts: Sequence[Fact], context: ComparisonContext) -> GroupEstimate | None:
    """The mean over subjects of their facts' mean; None where no fact has a value."""
    known = np.isfinite(values)
    found = means_by((fact.subject for fact, own in zip(facts, known, strict=True) if own), values[known].tolist())
    if not found:
        return None
    means = np.clip(list(found.values()), 0.0, 1.0)
    return mean_estimate(means, null=1.0, alpha=context.alpha, seed=context.seed)
