"""Pruning: sets weights to zero, either the smallest or those that withhold an answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, PositiveInt, model_validator

from unlearn_audit import api
from unlearn_audit.api import (
    Access,
    Arm,
    Attack,
    AttackContext,
    AttackError,
    Dose,
    Model,
    NotApplicableError,
    OutOfReach,
    Planting,
    Profile,
    Prompt,
)

from ..shared.asking.questions import questions_of, sampled
from ..shared.descent.weight_scales import sizes_in
from ..shared.refusal_plant import refusal_planting
from ..shared.splits import lessons_of

if TYPE_CHECKING:
    import torch

    from ..shared.linear_layers import LinearLayer

Share = Annotated[float, Field(gt=0, lt=1)]


class Score(StrEnum):
    """What decides which weights go."""

    MAGNITUDE = "magnitude"
    SNIP = "snip"


SHARES: dict[Profile, dict[Score, tuple[float, ...]]] = {
    Profile.QUICK: {Score.MAGNITUDE: (0.3, 0.5), Score.SNIP: (0.025,)},
    Profile.STANDARD: {Score.MAGNITUDE: (0.1, 0.3, 0.5), Score.SNIP: (0.01, 0.025, 0.05)},
    Profile.DEEP: {Score.MAGNITUDE: (0.1, 0.2, 0.3, 0.4, 0.5, 0.6), Score.SNIP: (0.005, 0.01, 0.025, 0.05, 0.1, 0.2)},
}
QUESTIONS = {Profile.QUICK: 64, Profile.STANDARD: 128, Profile.DEEP: 512}
ANSWER_TOKENS = 32


class PruningParameters(api.Parameters):
    """Which weights go, and how many. None follows the profile."""

    scores: tuple[Score, ...] = Field(tuple(Score), min_length=1, description="`magnitude`, `snip`, or both.")
    shares: dict[Score, tuple[Share, ...]] = Field(
        default={}, description="Doses by score, rising: shares of each matrix (for `snip` before the difference)."
    )
    kept: float = Field(
        0.1, ge=0, le=1, description="`snip`: weights in this part of the share by utility are kept (q = kept * p)."
    )
    questions: PositiveInt | None = Field(None, description="`snip`: most texts of each set used to score weights.")

    @model_validator(mode="after")
    def _rising(self) -> PruningParameters:
        for score, shares in self.shares.items():
            if not shares or sorted(set(shares)) != list(shares):
                raise ValueError(f"shares: expected rising values for {score}, each once, got {shares}")
            if score not in self.scores:
                raise ValueError(f"shares: expected only scores of {self.scores}, got {score}")
        return self


class Pruning(Attack[PruningParameters]):
    """Prunes the linear layers of a copy, without any training afterwards.

    Arm `magnitude` zeroes the weights of each matrix that are smallest for their row and column. Arm `snip` zeroes, of
    each matrix, the top p by SNIP score |w * dL/dw| (1810.02340) on the model's own answers to the forget questions,
    unless they are among the top q on the retain facts: the set difference of 2402.05162, with the data that
    2409.18025 uses for models that refuse. It never uses forget answers, only questions, which anyone who asks for a
    fact knows.

    Where we depart: the authors search a grid of p >= q, from 0.5 % to 20 %, for the best recovery, which would be a
    choice on scored facts; here every p is a dose, and q = p / 10, chosen once on the bundled refusal organism. They
    score 128 to 512 texts of a corpus; we score the available questions. All matrices of the blocks are pruned,
    each on its own as in their code, and an adapter is merged first.

    `quick` prunes 30 and 50 % by magnitude and p = 2.5 % (64 texts a set); `standard` also 10 %, and
    p = 1 and 5 % (128 texts); `deep` adds 20, 40 and 60 %, and p = 0.5, 10 and 20 % (512 texts).
    """

    name: ClassVar[str] = "pruning"
    summary: ClassVar[str] = "Zeroes the smallest weights, or those behind the model's own answers to forget questions."
    paper: ClassVar[str] = "2409.18025"
    access: ClassVar[Access] = Access.WEIGHTS
    dose_unit: ClassVar[str] = "share of the weights removed"
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.STANDARD, Profile.DEEP})
    Parameters: ClassVar[type[api.Parameters]] = PruningParameters

    def arms(self, context: AttackContext) -> Sequence[Arm]:
        """One arm a score."""
        return [
            Arm(
                name=score.value,
                settings={"score": score.value},
                doses=len(self._shares(score, context)),
                training_texts=2 * self._questions(context) if score is Score.SNIP else 0,
            )
            for score in Score
            if score in self.parameters.scores
        ]

    def out_of_reach(self, context: AttackContext, *, weight_bytes: int, is_adapter: bool) -> Sequence[OutOfReach]:
        """SNIP scores, if there is no retain set to show what is useful."""
        if context.retain or Score.SNIP not in self.parameters.scores:
            return ()
        return (
            OutOfReach(what=Score.SNIP.value, why="it needs retain facts to find the weights to keep; none were given"),
        )

    def planting(self, arm: Arm, context: AttackContext) -> Planting | None:
        """A merged refusal update, the same for both arms."""
        return refusal_planting()

    def doses(self, model: Model, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        """The pruned model, once per share."""
        score = Score(str(arm.settings["score"]))
        if score is Score.SNIP:
            yield from self._by_snip(model, context)
        else:
            yield from self._by_magnitude(model, context)

    def _by_magnitude(self, model: Model, context: AttackContext) -> Iterator[Dose]:
        from ..shared.edited_weights import edited

        for share in self._shares(Score.MAGNITUDE, context):
            with edited(model, partial(without_smallest, share=share)) as (fork, edit):
                yield Dose(label=f"magnitude {share:.4g}", value=share, model=fork, proof=edit.as_proof())

    def _by_snip(self, model: Model, context: AttackContext) -> Iterator[Dose]:
        from ..shared.edited_weights import edited
        from .snip import snip_scores

        held_back = own_answers(model, questions_of(context.forget, most=self._questions(context)))
        facts = sampled(context.retain, self._questions(context))
        useful = [lesson.pair for fact in facts for lesson in lessons_of(fact)[:1]]
        if not held_back:
            raise NotApplicableError("the model answers no forget question, and SNIP scores are taken on its answers")
        if not useful:
            raise AttackError("SNIP scores need retain facts with an answer, got none; set scores to [magnitude]")
        forget, utility = snip_scores(model, held_back), snip_scores(model, useful)
        for share in self._shares(Score.SNIP, context):
            kept = self.parameters.kept * share
            with edited(model, partial(_without_marked, forget, utility, share=share, kept=kept)) as (fork, edit):
                yield Dose(
                    label=f"snip {share:.4g}",
                    value=share,
                    model=fork,
                    proof={**edit.as_proof(), "q": kept, "texts": [len(held_back), len(useful)]},
                )

    def _shares(self, score: Score, context: AttackContext) -> tuple[float, ...]:
        given = self.parameters.shares.get(score)
        return SHARES[context.profile][score] if given is None else given

    def _questions(self, context: AttackContext) -> int:
        return self.parameters.questions or QUESTIONS[context.profile]


def without_smallest(layer: LinearLayer, *, share: float) -> torch.Tensor:
    """A layer's weight whose smallest `share` of values are zero; of equal ones the first go.

    By magnitude relative to the size that a weight has by its row and column, so that it does not matter how a
    checkpoint is written.
    """
    values = layer.weight.flatten().clone()
    magnitudes = layer.weight.float().abs() / sizes_in(layer.weight, experts=layer.experts)
    values[magnitudes.flatten().argsort(stable=True)[: int(share * values.numel())]] = 0
    return values.view(layer.weight.shape)


def _without_marked(
    forget: Mapping[str, torch.Tensor],
    utility: Mapping[str, torch.Tensor],
    layer: LinearLayer,
    *,
    share: float,
    kept: float,
) -> torch.Tensor:
    from .snip import set_difference

    gone = set_difference(forget[layer.name], utility[layer.name], share=share, kept_share=kept)
    return layer.weight.masked_fill(gone.to(layer.weight.device), 0)


def own_answers(model: Model, questions: Sequence[Prompt]) -> list[tuple[Prompt, str]]:
    """The questions with the model's own answers, if it gives any."""
    answers = model.generate(questions, max_new_tokens=ANSWER_TOKENS)
    return [(question, answer.text) for question, answer in zip(questions, answers, strict=True) if answer.text.strip()]
