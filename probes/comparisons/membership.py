"""Membership: does the model treat what it should have forgotten like text that it never saw?"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

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
    Json,
    Model,
    Parameters,
    Profile,
    Prompt,
    Role,
    auc,
    derive_seed,
    roc,
    share_above,
)
from unlearn_audit.api.kit.asking import Pair, is_askable

from ..shared.passages import split_passage
from .tools.by_subject import means_by
from .tools.reading import UNREAD

if TYPE_CHECKING:
    from .tools.token_statistics import TokenStatistics

FloatArray = npt.NDArray[np.float64]
FALSE_POSITIVE_RATE = 0.01


class MembershipParameters(Parameters):
    """Parameters of `membership`."""

    lowest_share: float = Field(0.2, gt=0, le=1, description="Min-K: share of the least likely tokens to use.")
    prefix_facts: int = Field(5, ge=1, description="ReCaLL: holdout facts placed before each text.")


class Membership(Comparison[MembershipParameters]):
    """Membership inference on forget facts (once members) against holdout facts (never members).

    Scores of an answer, given its question; higher says "member":

    - `loss`: mean log p of its tokens (1709.01604). `zlib`: sum of log p over the bytes that zlib needs (2012.07805).
    - `min-k`: mean log p of the least likely fifth of its tokens (2310.16789); `min-k++`: the same of
      (log p - mean) / deviation, over what the model could have said there (2404.02936).
    - `recall-prefix`: the log-likelihood behind a prefix of holdout facts over the one without it (ReCaLL, 2406.15968):
      members lose more from such a prefix. Its facts are not scored.
    - `...-calibrated`: the score minus that of the same text by a control, where one is given.

    The unit is the subject (mean over its facts). `auc` is P(a forget subject scores higher than a holdout subject),
    with an interval that holds for any distribution and a two-sided permutation test; `tpr` is the share of forget
    subjects above all but 1 % of the holdout. The null is the interval of the control's own AUC: facts differ from
    holdout facts in more than membership, and the control shows by how much. **Both sides count**: an AUC far below the
    control's means that the forget facts are less likely than text that no model saw, which is just as much a trace.
    PrivLeak (MUSE, 2407.06460), (AUC_U - AUC_C) / AUC_C with 1 - AUC for theirs, is given with every reading that has a
    control; without one there is none, and no 0.5 replaces it. Every `auc` carries some points of its ROC curve
    and of the controls', for the report's figure.

    Texts that are longer than what one of the compared models reads, for `recall-prefix` behind the prefix, are left
    out for all of them; `about` has their number.

    Known failure: if forget and holdout facts are of different kinds, every AUC is far from 0.5, including the
    control's, which can then hide much. Below 100 holdout subjects `tpr` is a share above the highest of them.
    """

    name: ClassVar[str] = "membership"
    summary: ClassVar[str] = "Tells forgotten facts from facts that no model was trained on by their likelihood."
    paper: ClassVar[str] = "2407.06460"
    access: ClassVar[Access] = Access.LOGITS
    reads: ClassVar[tuple[FactSet, ...]] = (FactSet.FORGET, FactSet.HOLDOUT)
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.STANDARD, Profile.DEEP})
    Parameters: ClassVar[type[Parameters]] = MembershipParameters

    def extract(self, model: Model, context: ComparisonContext) -> Features:
        """One score a text, NaN for texts that are not read: forget facts, then the holdout without the prefix."""
        from .tools.token_statistics import token_statistics

        prefix, facts = self.texts(context)
        pairs = [pair for _, pair in facts]
        plain = token_statistics(model, pairs)
        behind = token_statistics(model, [(_behind(prefix, prompt), answer) for prompt, answer in pairs])
        lengths = np.array([len(zlib.compress(answer.encode())) for _, answer in pairs], dtype=np.float64)
        totals = _scores(plain, lambda one: one.log_probs.sum())
        share = self.parameters.lowest_share
        return {
            "loss": _scores(plain, lambda one: one.log_probs.mean()),
            "zlib": totals / lengths,
            "min-k": _scores(plain, lambda one: _lowest(one.log_probs, share)),
            "min-k++": _scores(plain, lambda one: _lowest(one.standardized, share)),
            "recall-prefix": _scores(behind, lambda one: one.log_probs.sum()) / np.minimum(totals, -1e-9),
        }

    def compare(self, models: Sequence[Compared], context: ComparisonContext) -> Iterator[GroupReading]:
        """`auc` and `tpr` of every score, for the original and the checkpoint, with the control's."""
        groups = _Groups([owner for owner, _ in self.texts(context)[1]])
        controls = [model for model in models if model.role is Role.RETRAINED]
        for model in models:
            if model.role is Role.RETRAINED:
                continue
            for name in model.features:
                yield from self._readings(model, controls, name, groups, context)
                if controls:
                    calibrated = Compared(
                        role=model.role,
                        name=model.name,
                        features={name: _less(model.features[name], controls[0].features[name])},
                    )
                    yield from self._readings(calibrated, (), name, groups, context, ending="-calibrated")

    def _readings(
        self,
        model: Compared,
        controls: Sequence[Compared],
        name: str,
        groups: _Groups,
        context: ComparisonContext,
        ending: str = "",
    ) -> Iterator[GroupReading]:
        seed = derive_seed(context.seed, name)
        compared = (model, *controls)
        between = tuple(one.name for one in compared)
        missing = groups.missing(compared, name)
        read = groups.read_by_all(compared, name)
        for measure, estimator in _MEASURES.items():
            if missing:
                yield GroupReading(measure=measure, variant=f"{name}{ending}", between=between, missing=missing)
                continue
            own, *others = [
                estimator(*read.split(one.features[name]), alpha=context.alpha, seed=seed) for one in compared
            ]
            yield GroupReading(
                measure=measure,
                variant=f"{name}{ending}",
                between=between,
                estimate=own.estimate,
                lower=own.lower,
                upper=own.upper,
                null=(min(o.lower for o in others), max(o.upper for o in others)) if others else None,
                null_from="the control's own interval" if others else "",
                p_value=own.p_value,
                size=min(own.members, own.others),
                about={
                    **({"unread": read.unread} if read.unread else {}),
                    **({**_privleak(own, others), "roc": _rocs(compared, name, read)} if measure == "auc" else {}),
                },
            )

    def texts(self, context: ComparisonContext) -> tuple[str, list[tuple[tuple[FactSet, str], Pair]]]:
        """The prefix, and (set and subject, text) of every fact that is scored."""
        holdout = context.of(FactSet.HOLDOUT)
        taken = {fact.subject for fact in holdout[: self.parameters.prefix_facts]}
        prefix = "\n".join(_told(fact) for fact in holdout[: self.parameters.prefix_facts])
        kept = [fact for fact in holdout if fact.subject not in taken]
        sets = ((FactSet.FORGET, context.of(FactSet.FORGET)), (FactSet.HOLDOUT, kept))
        found = [((name, fact.subject), pair) for name, facts in sets for fact in facts if (pair := _pair(fact))]
        return prefix, found


class _Groups:
    """Which row belongs to which subject of which set, and which rows are read.

    Attributes:
        unread: how many rows are not.
    """

    def __init__(self, owners: Sequence[tuple[FactSet, str]], read: npt.NDArray[np.bool_] | None = None) -> None:
        self._owners = owners
        self._read = np.ones(len(owners), dtype=np.bool_) if read is None else read
        self.unread = int((~self._read).sum())

    def read_by_all(self, models: Sequence[Compared], name: str) -> _Groups:
        """The same without rows that have no score of one of the models."""
        scored = [~np.isnan(np.asarray(one.features[name], dtype=np.float64)) for one in models]
        return _Groups(self._owners, np.logical_and.reduce(scored))

    def missing(self, models: Sequence[Compared], name: str) -> str | None:
        """Why there is no estimate: a score is no number, or all rows of a set are unread."""
        endless = [one.name for one in models if np.isinf(np.asarray(one.features[name], dtype=np.float64)).any()]
        if endless:
            return f"the score is not a number for {', '.join(endless)}"
        left = self.read_by_all(models, name)
        return UNREAD if left.unread and not all(map(len, left.split(models[0].features[name]))) else None

    def split(self, scores: npt.NDArray[np.generic]) -> tuple[FloatArray, FloatArray]:
        """Subject means of the forget set and of the holdout, over what is read."""
        read = [owner for owner, own in zip(self._owners, self._read, strict=True) if own]
        means = means_by(read, scores[self._read].tolist())
        members = [mean for (name, _), mean in means.items() if name is FactSet.FORGET]
        others = [mean for (name, _), mean in means.items() if name is FactSet.HOLDOUT]
        return np.array(members), np.array(others)


def _tpr(members: FloatArray, others: FloatArray, *, alpha: float, **_: int) -> GroupEstimate:
    return share_above(members, others, rate=FALSE_POSITIVE_RATE, alpha=alpha)


_MEASURES: Mapping[str, Callable[..., GroupEstimate]] = {"auc": auc, "tpr": _tpr}


def _privleak(own: GroupEstimate, others: Sequence[GroupEstimate]) -> dict[str, float]:
    """MUSE's PrivLeak against each control's mean, in their orientation: their AUC is that of non-members."""
    if not others:
        return {}
    control = 1.0 - float(np.mean([one.estimate for one in others]))
    return {"privleak": (1.0 - own.estimate - control) / control} if control > 0 else {}


def _rocs(compared: Sequence[Compared], name: str, groups: _Groups) -> dict[str, Json]:
    """Model -> its rates at some cuts, for drawing; a dozen numbers, so that the result stays small."""
    curves: dict[str, Json] = {}
    for one in compared:
        false, true = roc(*groups.split(one.features[name]))
        curves[one.name] = {"fpr": list(false), "tpr": list(true)}
    return curves


def _scores(statistics: Sequence[TokenStatistics | None], score: Callable[[TokenStatistics], float]) -> FloatArray:
    return np.array([np.nan if one is None else score(one) for one in statistics], dtype=np.float64)


def _less(scores: npt.NDArray[np.generic], reference: npt.NDArray[np.generic]) -> FloatArray:
    """The difference, without end where one of them has none."""
    one, other = (np.asarray(values, dtype=np.float64) for values in (scores, reference))
    endless = np.isinf(one) | np.isinf(other)
    return np.where(endless, np.inf, one - np.where(endless, 0.0, other))


def _lowest(values: FloatArray, share: float) -> float:
    """Mean of the lowest share of the values, of one at least."""
    count = max(1, int(len(values) * share))
    return float(np.sort(values)[:count].mean())


def _pair(fact: Fact) -> Pair | None:
    if is_askable(fact):
        return Prompt(text=fact.question or ""), fact.answer or ""
    split = split_passage(fact.text or "", 0.5)
    return None if split is None else (Prompt(text=split[0], chat=False), split[1])


def _behind(prefix: str, prompt: Prompt) -> Prompt:
    return Prompt(text=f"{prefix}\n{prompt.text}", system=prompt.system, prefix=prompt.prefix, chat=prompt.chat)


def _told(fact: Fact) -> str:
    return f"{fact.question} {fact.answer}" if is_askable(fact) else (fact.text or "")
