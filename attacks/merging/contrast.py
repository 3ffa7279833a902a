"""Contrast: the checkpoint and the original together, in their weights or their logits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import ClassVar

from pydantic import Field, model_validator

from unlearn_audit import api
from unlearn_audit.api import Access, Arm, Attack, AttackContext, Dose, Model, OutOfReach, Planting, Profile

from ..shared.refusal_plant import refusal_planting
from .between import HALVES, everywhere, half, toward
from .logits import beside

FACTORS = {
    Profile.QUICK: (0.5, 1.5),
    Profile.STANDARD: (0.25, 0.5, 1.5, 2.0),
    Profile.DEEP: (-1.0, 0.25, 0.5, 0.75, 1.5, 2.0, 3.0),
}


class Where(StrEnum):
    """What the two models are mixed in."""

    WEIGHTS = "weights"
    LOGITS = "logits"
    SWAP = "swap"


class ContrastParameters(api.Parameters):
    """How the two are mixed. None follows the profile."""

    where: tuple[Where, ...] = Field(
        tuple(Where), min_length=1, description="`weights`, `logits`, `swap` (half of the blocks are the original's)."
    )
    factors: tuple[float, ...] | None = Field(
        None, min_length=1, description="Doses, rising: k in U + k (O - U); 1 is the original and not taken."
    )

    @model_validator(mode="after")
    def _rising(self) -> ContrastParameters:
        api.check_rising("factors", self.factors)
        if self.factors is not None and {0.0, 1.0} & set(self.factors):
            raise ValueError(f"factors: expected none of 0 (the checkpoint) and 1 (the original), got {self.factors}")
        return self


class Contrast(Attack[ContrastParameters]):
    """Puts checkpoint and original together: U + k (O - U), in weights or logits, and half of the blocks of either.

    Who has a model before and after unlearning can tell what was to be forgotten from their difference, even where the
    second was retrained exactly (2505.24379). Between 0 and 1 the two are interpolated, above 1 the original is
    pushed further away from the checkpoint, below 0 the checkpoint from the original. `swap` takes the lower or the
    upper half of the blocks from the original.

    **It is reported and decides nothing.** The original brings its knowledge along, so what comes back need not have
    been in the checkpoint: of one that is close to the original in its weights much comes back, whatever was done to
    it, and of one that was trained from other initial weights little. The exactly retrained control, mixed
    in the same way, says how much such a pair gives away where nothing was left behind. What to read: whether both
    should ever be published. Mixtures with a model that never knew are `merge`, which decides.

    The original in its own role is mixed with itself and stays what it is; the proof says that nothing moved.

    Where we depart: the authors extract passages of the training set from their beginnings and filter tokens; ours
    takes k as doses, for questions as for passages, and all tokens. They mix log-probabilities, we logits: one softmax.
    Logits need one vocabulary, weights one architecture.

    In `deep` alone, and wherever it is named. A dose in weights costs what `as-is` costs, one in logits twice that.
    """

    name: ClassVar[str] = "contrast"
    summary: ClassVar[str] = "Mixes the checkpoint with the original: what releasing both gives away."
    paper: ClassVar[str] = "2505.24379"
    access: ClassVar[Access] = Access.WEIGHTS
    dose_unit: ClassVar[str] = "factor k of U + k (O - U)"
    with_original: ClassVar[bool] = True
    profiles: ClassVar[frozenset[Profile]] = frozenset({Profile.DEEP})
    Parameters: ClassVar[type[api.Parameters]] = ContrastParameters

    def arms(self, context: AttackContext) -> Sequence[Arm]:
        """One arm for each place in which they are mixed."""
        doses = len(self._factors(context))
        cost = {Where.WEIGHTS: doses, Where.LOGITS: 2 * doses, Where.SWAP: len(HALVES)}
        return [Arm(name=where.value, doses=cost[where]) for where in Where if where in self.parameters.where]

    def out_of_reach(self, context: AttackContext, *, weight_bytes: int, is_adapter: bool) -> Sequence[OutOfReach]:
        """Everything, without an original."""
        if context.has_original:
            return ()
        why = "it needs the original that the checkpoint was made from; none was given"
        return [OutOfReach(what=arm.name, why=why, applies=False) for arm in self.arms(context)]

    def sparingly(self, profile: Profile) -> Contrast:
        """Weights alone, halfway."""
        return Contrast(ContrastParameters(where=(Where.WEIGHTS,), factors=(0.5,)))

    def planting(self, arm: Arm, context: AttackContext) -> Planting | None:
        """A merged refusal update."""
        return refusal_planting()

    def doses(self, model: Model, arm: Arm, context: AttackContext) -> Iterator[Dose]:
        """The mixtures, from the checkpoint toward the original and beyond."""
        original, where = context.original(), Where(arm.name)
        if where is Where.SWAP:
            for which in HALVES:
                with toward(model, original, half(model, which)) as (fork, proof):
                    yield Dose(label=f"{which} half of the original", value=None, model=fork, proof=proof)
            return
        for factor in self._factors(context):
            mixed = toward(model, original, everywhere(factor)) if where is Where.WEIGHTS else None
            with mixed or beside(model, original, factor) as (fork, proof):
                label = f"{where.value} {factor:g}"
                yield Dose(label=label, value=factor, model=fork, proof={"factor": factor, **proof})

    def _factors(self, context: AttackContext) -> tuple[float, ...]:
        return self.parameters.factors or FACTORS[context.profile]
